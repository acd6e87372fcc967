"""Keeps secrets out of everything that people and log shippers read."""

from __future__ import annotations

import json
import re

#: What a secret looks like. Any character may precede it, such as the `n` of an escaped line break.
_SECRETS = re.compile(
    r"""
    xox[a-z](?:\.xox[a-z])?-[\w-]+                     # Slack's tokens: bot, user, refresh …
    | xapp-[\w-]+                                      # Slack's app-level tokens
    | (?:AKIA|ASIA)[A-Z0-9]{12,}                       # AWS access key ids
    | (?<=ticket=)[^\s"'&]+                            # the one-time ticket of a websocket's URL
    | (?<=hooks\.slack\.com/)[^\s"',]+                 # response URLs: they let anybody post
    | eyJ[\w-]{8,}\.[\w-]+\.[\w-]*                     # tokens of OpenID: JSON in base64, signed
    | (?:(?<=BEGIN\ PRIVATE\ KEY-----)                 # private keys
        |(?<=BEGIN\ EC\ PRIVATE\ KEY-----)|(?<=BEGIN\ RSA\ PRIVATE\ KEY-----))[^-]+
    | (?<=://)[^\s/@"']+(?=@)                          # user name and password in a URL
    """,
    re.VERBOSE,
)

#: AWS's and OpenID's secrets have no recognisable shape: they are found by the name before them.
_NAMED_SECRETS = re.compile(
    r"""((?:secret_?access_?key|session_?token|security-token|client_?secret|client_assertion|auth_req_id
        |(?:access|refresh|id)_token|authorization)["']?\s*[:=]\s*(?:b?["']?(?:Basic|Bearer)\ |b?["']?))
        [^\s"',})]+""",
    re.IGNORECASE | re.VERBOSE,
)

#: Every text that either pattern matches contains one of these in lower case. Searching for them takes a
#: tenth of the time, and few lines of the log contain one.
_MARKS = (
    *("xox", "xapp-", "akia", "asia", "ticket=", "hooks.slack.com/", "://", "key", "token"),
    *("eyj", "client", "auth_req_id", "authorization"),
)

#: Characters of a part of a secret that is redacted wherever it stands: a shorter one is part of many words.
_PART_MIN = 6

#: The private members of a JWK (RFC 7518, section 6).
_PRIVATE = ("d", "p", "q", "dp", "dq", "qi", "k")

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


def find_parts(secret: Secret) -> list[str]:
    """Return what gives a secret away wherever it stands: its lines, and the private members of a JWK.

    Nothing, if it is the name of a parameter.
    """
    if secret.parameter:
        return []
    lines = [line for line in secret.reveal().splitlines() if not line.startswith("-----")]
    try:
        members = json.loads(secret.reveal())
    except (ValueError, RecursionError):
        members = None
    if isinstance(members, dict):
        lines += [str(members[name]) for name in _PRIVATE if name in members]
    return [line for line in lines if len(line) >= _PART_MIN]


def redact(text: str) -> str:
    """Return `text` with everything that looks like a secret replaced by `REDACTED`."""
    lowered = text.lower()
    if not any(map(lowered.__contains__, _MARKS)):
        return text
    return _NAMED_SECRETS.sub(rf"\1{REDACTED}", _SECRETS.sub(REDACTED, text))
