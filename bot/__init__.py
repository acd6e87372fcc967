"""Triage bot: asks people in Slack whether a security alert was them, and tells MozDef what they said."""

__version__ = "1.0.0"
