"""Rows that cannot be read: one flipped bit in a time or a state, which SQLite's own check does not see.

Somebody who edits an item of the table by hand leaves one, too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from bot.errors import DamagedRow
from bot.triage.log_events import log_event

T = TypeVar("T")
P = ParamSpec("P")

Row = Mapping[str, Any]  #: of a file, or an item of the table

#: What tells one row from another, the plainest first.
_NAMES = ("identifier", "person", "key", "pk")

log = logging.getLogger(__name__)


def reading(read: Callable[Concatenate[Row, P], T], name: str = "") -> Callable[Concatenate[Row, P], T]:
    """Make a function that reads a row raise `DamagedRow`, whatever is wrong with the row.

    The row is named by its column `name`, or else by the first of `_NAMES` that it has.
    """

    @wraps(read)
    def read_row(row: Row, /, *others: P.args, **named: P.kwargs) -> T:
        try:
            return read(row, *others, **named)
        except (ValueError, TypeError, LookupError, OverflowError) as error:
            kind = read.__name__.removeprefix("_").removeprefix("read_")
            kind = kind.removesuffix("_of").removesuffix("_from").replace("_", " ")
            names = [each for each in (name, *_NAMES) if each in row.keys()]  # noqa: SIM118 - sqlite3.Row
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
            log_damaged(error)
    return found


def log_damaged(error: DamagedRow) -> None:
    """Log a row that is left out."""
    log_event(log.error, "store.damaged", "%s; restore a backup", error)
