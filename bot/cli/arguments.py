"""Parsers for the arguments of commands, for argparse's `type=`.

Each takes the text of one argument and returns its value. If that is wrong it raises
`argparse.ArgumentTypeError`, which reads on after the name of the option: `expects …, not 'x'`.
"""

from __future__ import annotations

import argparse
import re
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from bot.settings import parsers
from bot.settings.env_file import suggest
from bot.settings.settings import current_folder
from bot.triage.outcomes import Outcome

#: The longest time that a command looks back: ten years.
LONGEST = timedelta(days=3650)

#: The outcomes, for people.
OUTCOMES = " or ".join(", ".join(Outcome).rsplit(", ", 1))


def file_url(text: str) -> str:
    """Parse the URL of a SQLite store; a relative path starts in the current directory."""
    return _store_url(text, "sqlite:///")


def table_url(text: str) -> str:
    """Parse the URL of a DynamoDB store."""
    if text.startswith("dynamodb://"):
        try:
            return parsers.store_url(text, Path())
        except ValueError:
            raise argparse.ArgumentTypeError(
                "expects dynamodb://TABLE, with 3 to 255 letters, digits, dots, dashes and underscores, not"
                f" {text!r}"
            ) from None
    return _store_url(text, "dynamodb://")


def _store_url(text: str, scheme: str) -> str:
    url = ""
    with suppress(ValueError):
        url = parsers.store_url(text, current_folder())
    if not url.startswith(scheme):
        raise argparse.ArgumentTypeError(
            f"expects {scheme}…, not {text!r}: only SQLite to DynamoDB is supported, --from sqlite:///FILE"
            " --to dynamodb://TABLE"
        )
    return url


def duration(text: str) -> timedelta:
    """Parse how far to look back: a duration such as 90s, 15m, 4h or 2d, of at most 3650 days."""
    found = None
    with suppress(ValueError):
        found = parsers.duration(text)
    if found is None or found > LONGEST:
        raise argparse.ArgumentTypeError(
            f"expects a duration such as 90s, 15m or 4h, at most {LONGEST.days}d, not {text!r}"
        )
    return found


def svg_path(text: str) -> Path:
    """Parse the path of an SVG file, which need not exist."""
    path = Path(text)
    if path.suffix.lower() != ".svg":
        raise argparse.ArgumentTypeError(f"expects FILE.svg, not {text!r}")
    return path


def fact(text: str) -> dict[str, str]:
    """Parse `NAME=VALUE` as a fact of a request."""
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"expects NAME=VALUE, such as Host=db1, not {text!r}")
    return {"name": name, "value": value}


def outcome(text: str) -> str:
    """Parse an outcome, as `docs/reference.md` calls it."""
    if text in frozenset(Outcome):
        return text
    meant = suggest(text, frozenset(Outcome))
    question = f"; did you mean {meant}?" if meant else ""
    raise argparse.ArgumentTypeError(f"expects {OUTCOMES}, not {text!r}{question}")


def address(text: str) -> str:
    """Parse an e-mail address by the rule for those in requests."""
    return _field("user", text, "an email address such as ada@example.com")


def slack_id(text: str) -> str:
    """Parse the id of a person in Slack."""
    with suppress(ValueError):
        return parsers.person_id(text)
    raise argparse.ArgumentTypeError(f"expects a person's id in Slack such as U0123456789, not {text!r}")


def identifier(text: str) -> str:
    """Parse the identifier of an alert by the rule for those in requests."""
    return _field("identifier", text, "an identifier of 1 to 255 characters")


def label(text: str) -> str:
    """Parse the label of an alert by the rule for those in requests."""
    return _field("alert", text, "a label of 1 to 255 characters")


def _field(name: str, text: str, expected: str) -> str:
    from bot.sqs.wire import is_valid

    if not is_valid(name, text):
        raise argparse.ArgumentTypeError(f"expects {expected}, not {text!r}")
    return text


def port(text: str) -> int:
    """Parse a port, 0 to 65535."""
    return _whole_number(text, 0, 65535, "a port from 0 to 65535")


def count(text: str) -> int:
    """Parse a count, 1 or more."""
    return _whole_number(text, 1, 10**18, "a whole number of 1 or more")


def _whole_number(text: str, least: int, most: int, expected: str) -> int:
    if not re.fullmatch("[0-9]{1,19}", text) or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"expects {expected}, not {text!r}")
    return int(text)
