"""What no line of the worker's log may say, in any of its lives."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from .alerts import HOST, SUMMARY_WORDS
from .asking_back import INQUIRY_WORDS, REPLY_WORDS
from .note_writing import NOTE_WORDS
from .orders import ACCESS_KEY, APP_TOKEN, BOT_TOKEN, FACTOR_SECRET, SECRET_KEY

#: At any level: tokens, keys, and the one-time tickets of links.
_SECRETS: Final = (
    *(re.escape(secret) for secret in (BOT_TOKEN, APP_TOKEN, ACCESS_KEY, SECRET_KEY, FACTOR_SECRET)),
    r"xox[a-z]-\w|xapp-\w|AKIA[A-Z0-9]{12}|ticket=\w",
)

#: At INFO, also: addresses, and what alerts and people say.
_PERSONAL: Final = (
    r"[\w.+-]+@[\w-]+\.\w+",
    *map(re.escape, (SUMMARY_WORDS, HOST, NOTE_WORDS, INQUIRY_WORDS, REPLY_WORDS)),
)


#: How an error begins that no part of the worker was written for.
_TRACEBACK: Final = "Traceback (most recent call last)"

#: A question or a card whose post the worker gave up waiting for.
_TIMED_OUT: Final = re.compile(
    r" (?:question\.unconfirmed|card\.delayed) .*answer was lost \(TimeoutError.* identifier=(\S+)"
)


def unexpected(lines: Iterable[str]) -> list[str]:
    """Return the line of each event that has a traceback."""
    found: list[str] = []
    event = ""
    for line in lines:
        if not line.startswith(" "):
            event = line.rstrip()
        if _TRACEBACK in line and event not in found[-1:]:
            found.append(event)
    return found


def timed_out(lines: Iterable[str]) -> set[str]:
    """Return the identifiers of alerts about which a post was not answered in time."""
    return {match[1] for line in lines if (match := _TIMED_OUT.search(line))}


def leaks(lines: Iterable[str], *, level: str) -> list[str]:
    """Return the lines of a log with something in it that must not be there at this level."""
    forbidden = _SECRETS if level == "DEBUG" else (*_SECRETS, *_PERSONAL)
    pattern = re.compile("|".join(forbidden))
    return [line.rstrip() for line in lines if pattern.search(line)]
