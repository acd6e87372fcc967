"""Parsers for the arguments of commands, for argparse's `type=`.

Each takes the text of one argument and returns its value. If that is wrong it raises
`argparse.ArgumentTypeError`, which says what was expected, or a `ValueError`, which argparse words itself.
"""

from __future__ import annotations

import argparse
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from bot.settings import parsers

#: The longest time that a command looks back: ten years.
LONGEST = timedelta(days=3650)


def file_url(text: str) -> str:
    """Parse the URL of a SQLite store; a relative path starts in the current directory."""
    return _store_url(text, "sqlite:///")


def table_url(text: str) -> str:
    """Parse the URL of a DynamoDB store."""
    return _store_url(text, "dynamodb://")


def _store_url(text: str, scheme: str) -> str:
    try:
        url = parsers.store_url(text, Path.cwd())
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"the value {error}") from error
    if not url.startswith(scheme):
        raise argparse.ArgumentTypeError(
            f"{text!r} cannot be used here; only SQLite to DynamoDB is supported:"
            " --from sqlite:///FILE --to dynamodb://TABLE"
        )
    return url


def duration(text: str) -> timedelta:
    """Parse how far to look back: a duration such as 90s, 15m, 4h or 2d, of at most 3650 days."""
    found = None
    with suppress(ValueError):
        found = parsers.duration(text)
    if found is None or found > LONGEST:
        raise argparse.ArgumentTypeError(
            f"{text!r} cannot be used; expected a duration such as 90s, 15m or 4h, at most {LONGEST.days}d"
        )
    return found


def svg_path(text: str) -> Path:
    """Parse the path of an SVG file, which need not exist."""
    path = Path(text)
    if path.suffix.lower() != ".svg":
        raise argparse.ArgumentTypeError(f"{text} does not end in .svg; expected FILE.svg")
    return path


def fact(text: str) -> dict[str, str]:
    """Parse `NAME=VALUE` as a fact of a request."""
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"{text!r} is no fact; expected NAME=VALUE, such as Host=db1")
    return {"name": name, "value": value}


def port(text: str) -> int:
    """Parse a port, 0 to 65535."""
    number = int(text)
    if not 0 <= number <= 65535:  # noqa: PLR2004 - the range of ports
        raise argparse.ArgumentTypeError(f"{text} is not a port; expected 0 to 65535")
    return number


def count(text: str) -> int:
    """Parse a count, 1 or more."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is too few; expected 1 or more")
    return number
