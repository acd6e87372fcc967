"""How the text of a command's argument is read. What is wrong becomes `argparse.ArgumentTypeError`."""

from __future__ import annotations

import argparse
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from bot.settings import parsers

#: The longest time that a command looks back.
LONGEST = timedelta(days=3650)


def file_url(text: str) -> str:
    """Read the URL of a store that is a file."""
    return _store_url(text, "sqlite:///")


def table_url(text: str) -> str:
    """Read the URL of a store that is a table."""
    return _store_url(text, "dynamodb://")


def _store_url(text: str, scheme: str) -> str:
    try:
        url = parsers.store_url(text, Path.cwd())
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if not url.startswith(scheme):
        raise argparse.ArgumentTypeError(
            f"is {text!r}; the way goes --from sqlite:///FILE --to dynamodb://TABLE"
        )
    return url


def duration(text: str) -> timedelta:
    """Read how far to look back."""
    found = None
    with suppress(ValueError):
        found = parsers.duration(text)
    if found is None or found > LONGEST:
        raise argparse.ArgumentTypeError(f"is {text!r}; expected a duration such as 90s, 15m, 4h or 2d")
    return found


def svg_path(text: str) -> Path:
    """Read the name of a file for a plot."""
    path = Path(text)
    if path.suffix.lower() != ".svg":
        raise argparse.ArgumentTypeError(f"{text} is not named as an SVG file; expected FILE.svg")
    return path


def port(text: str) -> int:
    """Read a port."""
    number = int(text)
    if not 0 <= number <= 65535:  # noqa: PLR2004 - the range of ports
        raise argparse.ArgumentTypeError(f"{text} is no port; expected 0 to 65535")
    return number


def count(text: str) -> int:
    """Read how many there may be."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} shows nothing; expected 1 or more")
    return number
