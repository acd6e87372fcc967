"""Parsers for the environment variables.

Each takes the text without surrounding whitespace ("" if the variable is not set) and returns the value. The
`ValueError` for a wrong one has a sentence that continues after the variable's name and shows no secret:
`is 'x'; expected …`.
"""

from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo

from bot.redaction import Secret, redact
from bot.triage.outcomes import PROFILES, Profile
from bot.triage.working_time import WorkingHours, find_time_zone, parse_working_hours

_BOT_TOKEN = "xoxb-"  # noqa: S105 - the prefix that every bot token has
_APP_TOKEN = "xapp-"  # noqa: S105 - the prefix that every app-level token has

#: Prefixes of Slack's tokens that an error may show.
_TOKEN_PREFIXES = (_BOT_TOKEN, _APP_TOKEN, "xoxp-", "xoxa-", "xoxe-", "xoxe.")

_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

#: The forms of the log.
LOG_FORMATS = ("text", "json")

_HIGHEST_PORT = 65535

#: The longest hold, in seconds. It waits for a cron job of MozDef that runs every minute.
_MAX_SYNC_SECONDS = 3600

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

#: In days. SQS may deliver a message again within 14 days, and then it must still be known.
_SHORTEST_RETENTION_DAYS = 15

_MOST_OPEN = 100
_MOST_REMINDERS = 10

#: An https URL of RFC 3986's characters, with placeholders only after the host. These characters exclude `<`,
#: `>` and `|`, which have a meaning in the links of Slack messages.
_ALERT_URL = re.compile(
    r"https://[A-Za-z0-9.-]+(?::[0-9]{1,5})?/(?:[A-Za-z0-9_.~:/?#\[\]@!$&'()*+,;=%-]|{identifier})*"
)

#: The name of a secret in AWS's parameter store.
_PARAMETER = re.compile(r"ssm:(?:/[A-Za-z0-9_.-]+)+")

#: A DynamoDB table, by DynamoDB's rule for names, optionally with its region.
_TABLE_URL = re.compile(r"dynamodb://[A-Za-z0-9_.-]{3,255}(?:\?region=[a-z0-9-]{1,63})?")

#: How a client may prove itself to the provider of the second factor.
CLIENT_AUTHENTICATIONS = ("client_secret_basic", "client_secret_post", "private_key_jwt")

#: How much of a wrong value an error shows.
_SHOWN_CHARACTERS = 80


def bot_token(text: str) -> Secret:
    """Parse the bot token: `xoxb-…`, or the name of a parameter as `ssm:/name`. Raises `ValueError`."""
    expected = f"the bot token, {_BOT_TOKEN}… (on the app's page OAuth & Permissions)"
    return _read_token(text, _BOT_TOKEN, expected)


def app_token(text: str) -> Secret:
    """Parse the app-level token: `xapp-…`, or the name of a parameter as `ssm:/name`. Raises `ValueError`."""
    expected = f"the app-level token, {_APP_TOKEN}… (on the app's page Basic Information)"
    return _read_token(text, _APP_TOKEN, expected)


def web_api_url(text: str) -> str:
    """Parse the URL of Slack's Web API; the result ends in a slash. Raises `ValueError`."""
    expected = "an http or https URL such as https://slack.com/api/"
    parts = _read_url(text, expected)
    if parts.query or parts.fragment:
        raise _make_error(text, expected)
    return text.rstrip("/") + "/"


def queue_url(text: str) -> str:
    """Parse the URL of an SQS queue; the result ends in the queue's name. Raises `ValueError`."""
    expected = "the URL of a queue such as https://sqs.eu-central-1.amazonaws.com/123456789012/NAME"
    parts = _read_url(text, expected)
    if not parts.path.strip("/") or parts.query or parts.fragment:
        raise _make_error(text, expected)
    return text.rstrip("/")


def store_url(text: str, folder: Path) -> str:
    """Parse the URL of the store: a table, or a file, whose relative path starts in `folder`.

    The path is taken literally, without expanding `~` or `%`. Raises `ValueError`.
    """
    if _TABLE_URL.fullmatch(text):
        return text
    scheme, _, path = text.partition(":///")
    if scheme != "sqlite" or not path or path.endswith("/") or "?" in path or path == ":memory:":
        table = "dynamodb://TABLE (3 to 255 letters, digits, dots, dashes and underscores)"
        raise _make_error(text, f"sqlite:///relative.db, sqlite:////absolute/file.db or {table}")
    return f"sqlite:///{folder / path}"


def profile(text: str) -> Profile:
    """Parse the profile of words in which outcomes are reported. Raises `ValueError`."""
    try:
        return Profile(text.lower())
    except ValueError as error:
        known = (f"{profile} ({facts.about})" for profile, facts in PROFILES.items())
        raise _make_error(text, " or ".join(known)) from error


def sync_time(text: str) -> timedelta:
    """Parse a whole number of seconds, 0 to 3600. Raises `ValueError`."""
    expected = f"a whole number of seconds, 0 to {_MAX_SYNC_SECONDS}"
    return timedelta(seconds=_read_number(text, 0, _MAX_SYNC_SECONDS, expected))


def boolean(text: str) -> bool:
    """Parse true, 1, yes, false, 0 or no, in any case. Raises `ValueError`."""
    if text.lower() not in _BOOLEANS:
        raise _make_error(text, "true or false")
    return _BOOLEANS[text.lower()]


def duration(text: str) -> timedelta | None:
    """Parse a duration such as 90s, 15m, 4h or 2d; 0 means never: None. Raises `ValueError`."""
    if text == "0":
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,5})([smhd])", text)
    if not found:
        raise _make_error(text, "a duration such as 90s, 15m, 4h or 2d, or 0 for never")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def retention(text: str) -> timedelta:
    """Parse how many days to keep what has ended, at least 15. Raises `ValueError`."""
    least = _SHORTEST_RETENTION_DAYS
    return timedelta(days=_read_number(text, least, 99_999, f"a number of days, at least {least}"))


def reminder_count(text: str) -> int:
    """Parse how often a person is reminded of one question, 0 to 10. Raises `ValueError`."""
    return _read_number(text, 0, _MOST_REMINDERS, f"a whole number, 0 to {_MOST_REMINDERS}")


def open_count(text: str) -> int:
    """Parse how many questions of one person may be open at a time, 1 to 100. Raises `ValueError`."""
    return _read_number(text, 1, _MOST_OPEN, f"a whole number, 1 to {_MOST_OPEN}")


def working_hours(text: str) -> WorkingHours:
    """Parse a schedule such as `Mon-Fri 09:00-18:00`, in local time. Raises `ValueError`."""
    try:
        return parse_working_hours(text)
    except ValueError as error:
        raise ValueError(redact(str(error))) from error


def zone(text: str) -> ZoneInfo:
    """Parse the name of a time zone in the tz database. Raises `ValueError`."""
    found = find_time_zone(text)
    if not found:
        raise _make_error(text, "the name of a time zone such as Europe/Berlin or UTC")
    return found


#: The id of somebody in Slack.
_PERSON = "[UW][A-Z0-9]{2,30}"


def channel_id(text: str) -> str:
    """Parse the id of a Slack channel. Whether the bot is a member is not checked. Raises `ValueError`."""
    expected = "the id of a channel such as C0123456789 (at the end of the channel's About page)"
    return _read_match("[CG][A-Z0-9]{2,30}", text, expected)


def people_ids(text: str) -> frozenset[str]:
    """Parse ids of people in Slack, separated by commas. Raises `ValueError`."""
    expected = "ids such as U0123456789, separated by commas (a profile's menu has Copy member ID)"
    _read_match(rf"{_PERSON}( *, *{_PERSON})*", text, expected)
    return frozenset(each.strip() for each in text.split(","))


def person_id(text: str) -> str:
    """Parse the id of somebody in Slack. Raises `ValueError`."""
    return _read_match(_PERSON, text, "an id such as U0123456789")


def alert_url(text: str) -> str:
    """Parse the URL of an alert: https, with `{identifier}` after the host. Raises `ValueError`."""
    if not _ALERT_URL.fullmatch(text) or "{identifier}" not in text:
        raise _make_error(text, "an https URL such as https://mozdef.example.com/alert/{identifier}")
    return text


def log_level(text: str) -> str:
    """Parse a log level: DEBUG, INFO, WARNING or ERROR, in any case. Raises `ValueError`."""
    if text.upper() not in _LOG_LEVELS:
        raise _make_error(text, f"one of {', '.join(_LOG_LEVELS)}")
    return text.upper()


def log_format(text: str) -> str:
    """Parse the format of the log, text or json. Raises `ValueError`."""
    if text.lower() not in LOG_FORMATS:
        raise _make_error(text, " or ".join(LOG_FORMATS))
    return text.lower()


def listen_address(text: str) -> tuple[str, int]:
    """Parse `HOST:PORT`, an IPv6 address in brackets; port 0 is any free one. Raises `ValueError`."""
    label = "[A-Za-z0-9-]{1,63}"  # Python raises UnicodeError for any other
    found = re.fullmatch(rf"(?:\[([0-9A-Fa-f:.]+)\]|({label}(?:\.{label})*\.?)):([0-9]{{1,5}})", text)
    if not found or int(found[3]) > _HIGHEST_PORT:
        raise _make_error(text, "HOST:PORT such as 127.0.0.1:9464 or [::1]:9464")
    return found[1] or found[2], int(found[3])


def region(text: str) -> str:
    """Parse the name of an AWS region. Whether it exists is not checked. Raises `ValueError`."""
    return _read_match("[a-z0-9-]{1,63}", text, "the name of a region such as eu-central-1")


def issuer_url(text: str) -> str:
    """Parse the issuer of an OpenID provider, which is compared exactly. Raises `ValueError`."""
    expected = "the issuer of the provider, an https URL such as https://login.example.com"
    parts = _read_url(text, expected)
    if parts.scheme != "https" or parts.query or parts.fragment or "@" in parts.netloc:
        raise _make_error(text, expected)
    return text


def client_authentication(text: str) -> str:
    """Parse how the client proves itself to the provider. Raises `ValueError`."""
    if text not in CLIENT_AUTHENTICATIONS:
        raise _make_error(text, f"one of {', '.join(CLIENT_AUTHENTICATIONS)}")
    return text


def client_secret(text: str) -> Secret:
    """Parse the secret of a client, or the name of a parameter as `ssm:/name`. Raises `ValueError`."""
    if text.startswith("ssm:") and not _PARAMETER.fullmatch(text):
        raise ValueError("names no parameter; expected the secret itself, or ssm:/parameter/name")
    if not re.fullmatch(r"[ -~\r\n]+", text):
        raise ValueError("has characters that no secret has; expected printable ASCII")
    return Secret(text)


def login_hint(text: str) -> str:
    """Parse how the provider is told who is asked: a text with `{subject}` in it. Raises `ValueError`."""
    if "{subject}" not in text or not text.isprintable():
        raise _make_error(text, 'one line with {subject} in it, such as {"username": "{subject}"}')
    return text


def scope(text: str) -> str:
    """Parse the scope of a proof: words, one of which is `openid`. Raises `ValueError`."""
    if "openid" not in text.split() or not re.fullmatch("[!-~ ]+", text):
        raise _make_error(text, "words with openid among them, such as openid email")
    return text


def word(text: str) -> str:
    """Parse one line of printable ASCII without spaces at its ends. Raises `ValueError`."""
    return _read_match("[!-~](?:[ -~]*[!-~])?", text, "one line of printable ASCII")


def existing_folder(text: str, folder: Path) -> Path:
    """Parse the path of an existing folder; a relative one starts in `folder`. Raises `ValueError`."""
    path = folder / text
    if not os.path.isdir(path):  # noqa: PTH112 - the method fails if the path is too long, or must not be read
        raise _make_error(text, "an existing folder")
    return path


def _read_number(text: str, least: int, most: int, expected: str) -> int:
    if not re.fullmatch("[0-9]{1,5}", text) or not least <= int(text) <= most:
        raise _make_error(text, expected)
    return int(text)


def _read_match(pattern: str, text: str, expected: str) -> str:
    if not re.fullmatch(pattern, text):
        raise _make_error(text, expected)
    return text


def _read_token(text: str, prefix: str, expected: str) -> Secret:
    if re.fullmatch(re.escape(prefix) + "[!-~]+", text) or _PARAMETER.fullmatch(text):
        return Secret(text)
    if not text:
        raise _make_error(text, expected)
    raise ValueError(f"{_describe_wrong_token(text, prefix)}; expected {expected}, or ssm:/parameter/name")


def _describe_wrong_token(text: str, prefix: str) -> str:
    """Describe a wrong token without showing more of it than a well-known prefix."""
    found = next((known for known in _TOKEN_PREFIXES if text.startswith(known)), "")
    if found == prefix:
        return f"starts with {found} but is incomplete or contains characters that no token has"
    if found in {_BOT_TOKEN, _APP_TOKEN}:
        return f"starts with {found}, as if SLACK_BOT_TOKEN and SLACK_APP_TOKEN were swapped"
    if found:
        return f"starts with {found}, which is a different kind of token"
    return f"has {len(text)} characters that do not start with {prefix}"


def _read_url(text: str, expected: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError as error:
        raise _make_error(text, expected) from error
    if not usable or not re.fullmatch("[!-~]+", text):
        raise _make_error(text, expected)
    return parts


def _make_error(text: str, expected: str) -> ValueError:
    # A token may be in the wrong variable. It is redacted before it is cut, which could leave a part of it.
    held = f"is {redact(text)[:_SHOWN_CHARACTERS]!r}" if text else "is not set"
    return ValueError(f"{held}; expected {expected}")
