"""Keeps secrets out of everything that people and log shippers read."""

from __future__ import annotations

import re

#: What a secret looks like. Any character may precede it, such as the `n` of an escaped line break.
_SECRETS = re.compile(
    r"""
    xox[a-z](?:\.xox[a-z])?-[\w-]+                     # Slack's tokens: bot, user, refresh …
    | xapp-[\w-]+                                      # Slack's app-level tokens
    | (?:AKIA|ASIA)[A-Z0-9]{12,}                       # AWS access key ids
    | (?<=ticket=)[^\s"'&]+                            # the one-time ticket of a websocket's URL
    | (?<=hooks\.slack\.com/)[^\s"',]+                 # response URLs: they let anybody post
    | (?<=://)[^\s/@"']+(?=@)                          # user name and password in a URL
    """,
    re.VERBOSE,
)

#: AWS secrets have no recognisable shape: they are found by the name before them.
_NAMED_SECRETS = re.compile(
    r"""((?:secret_?access_?key|session_?token|security-token)["']?\s*[:=]\s*b?["']?)[^\s"',})]+""",
    re.IGNORECASE,
)

#: Every text that either pattern matches contains one of these in lower case. Searching for them takes a
#: tenth of the time, and few lines of the log contain one.
_MARKS = ("xox", "xapp-", "akia", "asia", "ticket=", "hooks.slack.com/", "://", "key", "token")

#: Replaces a secret.
REDACTED = "[redacted]"


class Secret:
    """A value that no repr, format or log record shows. False if empty."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value itself, to authenticate with. Never log it."""
        return self._value

    @property
    def parameter(self) -> str:
        """The parameter (`ssm:/name`) that holds the value, and is not secret; empty if none does."""
        return self._value.removeprefix("ssm:") if self._value.startswith("ssm:/") else ""

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return f"Secret({REDACTED if self._value else ''})"


def redact(text: str) -> str:
    """Return `text` with everything that looks like a secret replaced by `REDACTED`."""
    lowered = text.lower()
    if not any(map(lowered.__contains__, _MARKS)):
        return text
    return _NAMED_SECRETS.sub(rf"\1{REDACTED}", _SECRETS.sub(REDACTED, text))
