"""What this worker has leases on, in memory: when it falls due costs the table no question."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

Row = TypeVar("Row")

#: A row's key in the table: partition key and sort key.
Key = tuple[str, str]

#: Rows that are kept at the most. What is written beyond that goes to the index without a lease.
ROWS_MAX = 2000


class Schedule:
    """Moments of rows, in order."""

    def __init__(self) -> None:
        self._moments: dict[Key, datetime] = {}
        self._order: list[tuple[datetime, Key]] = []

    def __len__(self) -> int:
        return len(self._order)

    def put(self, key: Key, moment: datetime | None) -> None:
        """Set a row's moment; None: it has none any more."""
        if key in self._moments:
            del self._order[bisect_left(self._order, (self._moments.pop(key), key))]
        if moment is not None:
            self._moments[key] = moment
            insort(self._order, (moment, key))

    def until(self, moment: datetime) -> Iterator[Key]:
        """Yield the rows whose moment has come by then, the earliest first, whatever changes meanwhile."""
        for _, key in self._order[: self._end(moment)]:
            yield key

    def after(self, moment: datetime) -> datetime | None:
        """Return the earliest moment after this one."""
        end = self._end(moment)
        return self._order[end][0] if end < len(self._order) else None

    def _end(self, moment: datetime) -> int:
        return bisect_right(self._order, moment, key=lambda pair: pair[0])


@dataclass(frozen=True, kw_only=True, slots=True)
class Hint:
    """A row that an index shows: in which partition, and since when. It may have changed since."""

    key: Key
    partition: str
    moment: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Held(Generic[Row]):
    """A row under lease, and where the index will show it to the others once the lease has run out."""

    row: Row
    hint: Hint


class Holdings(Generic[Row]):
    """Rows under lease."""

    def __init__(self) -> None:
        self._held: dict[Key, Held[Row]] = {}
        self._leases = Schedule()

    @property
    def room(self) -> int:
        """How many more rows may be held."""
        return max(0, ROWS_MAX - len(self._held))

    def get(self, key: Key) -> Held[Row] | None:
        """Return a row that is held."""
        return self._held.get(key)

    def put(self, held: Held[Row]) -> None:
        """Hold a row, in place of what was held of it."""
        self._held[held.hint.key] = held
        self._leases.put(held.hint.key, held.hint.moment)

    def drop(self, key: Key) -> None:
        """Let go of a row."""
        self._held.pop(key, None)
        self._leases.put(key, None)

    def lapsed(self, now: datetime) -> list[Hint]:
        """Return those whose lease has run out: they belong to whoever takes them first."""
        return [self._held[key].hint for key in self._leases.until(now)]
