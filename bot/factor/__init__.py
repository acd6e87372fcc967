"""The provider of the second factor, over OpenID Client-Initiated Backchannel Authentication (CIBA), polled.

Other packages use `ciba`, which implements the port `SecondFactor` of `triage.ports`. Only `tokens` needs the
extra `factor`.
"""
