"""Rows that cannot be read: one flipped bit in a time or a state, which SQLite's own check does not see."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any, TypeVar

from bot.errors import DamagedRow
from bot.triage.log_events import log_event

T = TypeVar("T")

log = logging.getLogger(__name__)


def reading(read: Callable[[Mapping[str, Any]], T]) -> Callable[[Mapping[str, Any]], T]:
    """Make a function that reads a row raise `DamagedRow`, whatever is wrong with the row."""

    @wraps(read)
    def read_row(row: Mapping[str, Any]) -> T:
        try:
            return read(row)
        except (ValueError, TypeError, LookupError, OverflowError) as error:
            kind = read.__name__.strip("_").removesuffix("_of")
            names = [name for name in ("identifier", "person", "key") if name in row.keys()]  # noqa: SIM118 - sqlite3.Row
            what = f"{kind} of {row[names[0]]!r}" if names else kind
            raise DamagedRow(f"the {what} cannot be read: its row is damaged ({error})") from error

    return read_row


def skip_damaged(read: Callable[[Any], T], rows: Iterable[Any]) -> list[T]:
    """Return what the rows hold, and log those that are damaged: the others must not wait for them."""
    found = []
    for row in rows:
        try:
            found.append(read(row))
        except DamagedRow as error:
            log_event(log.error, "store.damaged", "%s; restore a backup", error)
    return found
