"""Triage bot: asks people in Slack whether they caused a security alert, and tells MozDef their answers."""

__version__ = "1.0.0"
