"""How the text of each environment variable is read.

Every function takes the text without surrounding space ("" if the variable is not set) and returns the value,
or raises `ValueError` with the rest of a sentence that begins with the variable's name.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from bot.redaction import Secret, redact
from bot.triage.outcomes import PROFILES, Profile
from bot.triage.working_time import WorkingHours, find_time_zone, parse_working_hours

if TYPE_CHECKING:
    from pathlib import Path
    from zoneinfo import ZoneInfo

_BOT_TOKEN = "xoxb-"  # noqa: S105 - the prefix that every bot token has
_APP_TOKEN = "xapp-"  # noqa: S105 - the prefix that every app-level token has

#: Prefixes of Slack's tokens that may be named when they stand in the wrong place.
_TOKEN_PREFIXES = (_BOT_TOKEN, _APP_TOKEN, "xoxp-", "xoxa-", "xoxe-", "xoxe.")

_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

#: The forms of the log.
LOG_FORMATS = ("text", "json")

_HIGHEST_PORT = 65535

#: The longest hold, in seconds. The copying that it waits for runs once a minute.
_MAX_SYNC_SECONDS = 3600

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

#: In days. A message that comes again within the 14 days that SQS may keep it must still be known.
_SHORTEST_RETENTION_DAYS = 15

#: More would be a nuisance, whatever the question is.
_MOST_REMINDERS = 10

#: An https URL of RFC 3986's characters with placeholders below its host. `<`, `>` and `|`, which have a
#: meaning in the link of a Slack message, are none of those characters.
_ALERT_URL = re.compile(
    r"https://[A-Za-z0-9.-]+(?::[0-9]{1,5})?/(?:[A-Za-z0-9_.~:/?#\[\]@!$&'()*+,;=%-]|{identifier})*"
)

#: Where a secret is kept in AWS's parameter store.
_PARAMETER = re.compile(r"ssm:(?:/[A-Za-z0-9_.-]+)+")

#: A DynamoDB table, by its own rule for names, and perhaps its region.
_TABLE_URL = re.compile(r"dynamodb://[A-Za-z0-9_.-]{3,255}(?:\?region=[a-z0-9-]{1,63})?")

#: How much of a wrong value is shown.
_SHOWN_CHARACTERS = 80


def bot_token(text: str) -> Secret:
    """Read the token that the bot posts with."""
    return _token(text, _BOT_TOKEN, f"the bot token, {_BOT_TOKEN}… (the app's page OAuth & Permissions)")


def app_token(text: str) -> Secret:
    """Read the app-level token that opens Socket Mode."""
    return _token(text, _APP_TOKEN, f"the app-level token, {_APP_TOKEN}… (the app's page Basic Information)")


def web_api_url(text: str) -> str:
    """Read where Slack's Web API is; the result ends in a slash."""
    expected = "an http or https URL such as https://slack.com/api/"
    parts = _url(text, expected)
    if parts.query or parts.fragment:
        raise _wrong(text, expected)
    return text.rstrip("/") + "/"


def queue_url(text: str) -> str:
    """Read an SQS queue's URL."""
    expected = "a queue's URL such as https://sqs.eu-central-1.amazonaws.com/123456789012/NAME"
    if not _url(text, expected).path.strip("/"):
        raise _wrong(text, expected)
    return text


def store_url(text: str, folder: Path) -> str:
    """Read where the store is: a table, or a file, whose path is taken as it stands, from `folder` on."""
    if _TABLE_URL.fullmatch(text):
        return text
    scheme, _, path = text.partition(":///")
    if scheme != "sqlite" or not path or path.endswith("/") or "?" in path or path == ":memory:":
        table = "dynamodb://TABLE (3 to 255 letters, digits, dots, dashes and underscores)"
        raise _wrong(text, f"sqlite:///relative.db, sqlite:////absolute/file.db or {table}")
    return f"sqlite:///{folder / path}"


def profile(text: str) -> Profile:
    """Read in whose words outcomes are written."""
    try:
        return Profile(text.lower())
    except ValueError as error:
        known = (f"{profile} ({facts.about})" for profile, facts in PROFILES.items())
        raise _wrong(text, " or ".join(known)) from error


def sync_time(text: str) -> timedelta:
    """Read a number of seconds, 0 to 3600."""
    if not re.fullmatch("[0-9]{1,4}", text) or int(text) > _MAX_SYNC_SECONDS:
        raise _wrong(text, f"a whole number of seconds, 0 to {_MAX_SYNC_SECONDS}")
    return timedelta(seconds=int(text))


def boolean(text: str) -> bool:
    """Read yes or no, in one of the usual spellings."""
    if text.lower() not in _BOOLEANS:
        raise _wrong(text, "true or false")
    return _BOOLEANS[text.lower()]


def duration(text: str) -> timedelta | None:
    """Read a duration such as 90s, 15m, 4h or 2d; 0 is never, None."""
    if text == "0":
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,5})([smhd])", text)
    if not found:
        raise _wrong(text, "a duration such as 90s, 15m, 4h or 2d, or 0 for never")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def retention(text: str) -> timedelta:
    """Read how many days to keep what has ended. SQS can deliver a message again for 14 days."""
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) < _SHORTEST_RETENTION_DAYS:
        raise _wrong(text, f"a number of days, at least {_SHORTEST_RETENTION_DAYS}")
    return timedelta(days=int(text))


def reminder_count(text: str) -> int:
    """Read how often a person is reminded of one question."""
    if not re.fullmatch("[0-9]{1,2}", text) or int(text) > _MOST_REMINDERS:
        raise _wrong(text, f"a whole number, 0 to {_MOST_REMINDERS}")
    return int(text)


def working_hours(text: str) -> WorkingHours:
    """Read when people work, by their own clocks."""
    try:
        return parse_working_hours(text)
    except ValueError as error:
        raise ValueError(redact(str(error))) from error


def zone(text: str) -> ZoneInfo:
    """Read the name of a time zone of the tz database."""
    found = find_time_zone(text)
    if not found:
        raise _wrong(text, "a time zone's name such as Europe/Berlin or UTC")
    return found


def channel_id(text: str) -> str:
    """Read the id of a Slack channel. Whether the bot is a member is for Slack to say."""
    if not re.fullmatch("[CG][A-Z0-9]{2,30}", text):
        raise _wrong(text, "a channel's id such as C0123456789 (at the end of the channel's About page)")
    return text


def alert_url(text: str) -> str:
    """Read the template of the links to alerts. `{identifier}` stands after the host, as it stands here."""
    if not _ALERT_URL.fullmatch(text) or "{identifier}" not in text:
        raise _wrong(text, "an https URL such as https://mozdef.example.com/alert/{identifier}")
    return text


def log_level(text: str) -> str:
    """Read the name of a level of logging."""
    if text.upper() not in _LOG_LEVELS:
        raise _wrong(text, f"one of {', '.join(_LOG_LEVELS)}")
    return text.upper()


def log_format(text: str) -> str:
    """Read in what form the log is written."""
    if text.lower() not in LOG_FORMATS:
        raise _wrong(text, " or ".join(LOG_FORMATS))
    return text.lower()


def listen_address(text: str) -> tuple[str, int]:
    """Read where to listen: a host (an IPv6 one in brackets) and a port; 0 is any free one."""
    expected = "HOST:PORT such as 127.0.0.1:9464 or [::1]:9464"
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):([0-9]{1,5})", text)
    if not found or int(found[3]) > _HIGHEST_PORT:
        raise _wrong(text, expected)
    return found[1] or found[2], int(found[3])


def region(text: str) -> str:
    """Read the name of an AWS region; whether it exists is for AWS to say."""
    if not re.fullmatch("[a-z0-9-]{1,63}", text):
        raise _wrong(text, "a region's name such as eu-central-1")
    return text


def existing_folder(text: str, folder: Path) -> Path:
    """Read the path of a folder that must exist; a relative one starts in `folder`."""
    path = folder / text
    if not path.is_dir():
        raise _wrong(text, "a folder that exists")
    return path


def _token(text: str, prefix: str, expected: str) -> Secret:
    if re.fullmatch(re.escape(prefix) + "[!-~]+", text) or _PARAMETER.fullmatch(text):
        return Secret(text)
    if not text:
        raise _wrong(text, expected)
    raise ValueError(f"{_token_holds(text, prefix)}; expected {expected}, or ssm:/parameter/name")


def _token_holds(text: str, prefix: str) -> str:
    """Say what a wrong token looks like without showing any of it but a well-known prefix."""
    found = next((known for known in _TOKEN_PREFIXES if text.startswith(known)), "")
    if found == prefix:
        return f"starts with {found} but is cut short or has characters that no token has"
    if found in {_BOT_TOKEN, _APP_TOKEN}:
        return f"starts with {found}, as if SLACK_BOT_TOKEN and SLACK_APP_TOKEN were swapped"
    if found:
        return f"starts with {found}, which is another kind of token"
    return f"has {len(text)} characters that do not start with {prefix}"


def _url(text: str, expected: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError as error:
        raise _wrong(text, expected) from error
    if not usable or not re.fullmatch("[!-~]+", text):
        raise _wrong(text, expected)
    return parts


def _wrong(text: str, expected: str) -> ValueError:
    # A token may stand in the wrong variable. Redacted before it is cut, so that no half of it is left.
    held = f"is {redact(text)[:_SHOWN_CHARACTERS]!r}" if text else "is not set"
    return ValueError(f"{held}; expected {expected}")
