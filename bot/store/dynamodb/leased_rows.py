"""The rows that this worker has leased, in memory, so that finding what is due needs no query."""

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

#: The most rows kept. Rows written beyond that go to the index without a lease.
ROWS_MAX = 2000


class Schedule:
    """Keys of rows, ordered by a moment that each of them has."""

    def __init__(self) -> None:
        self._moments: dict[Key, datetime] = {}
        self._order: list[tuple[datetime, Key]] = []

    def __len__(self) -> int:
        return len(self._order)

    def put(self, key: Key, moment: datetime | None) -> None:
        """Set a row's moment; None removes the row."""
        if key in self._moments:
            del self._order[bisect_left(self._order, (self._moments.pop(key), key))]
        if moment is not None:
            self._moments[key] = moment
            insort(self._order, (moment, key))

    def until(self, moment: datetime) -> Iterator[Key]:
        """Yield the rows due by `moment`, earliest first; changes during the iteration do not affect it."""
        for _, key in self._order[: self._end(moment)]:
            yield key

    def after(self, moment: datetime) -> datetime | None:
        """Return the earliest moment after this one; None if there is none."""
        end = self._end(moment)
        return self._order[end][0] if end < len(self._order) else None

    def _end(self, moment: datetime) -> int:
        return bisect_right(self._order, moment, key=lambda pair: pair[0])


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexEntry:
    """A row as an index shows it: its partition and its moment there. The row may have changed since."""

    key: Key
    partition: str
    moment: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class LeasedRow(Generic[Row]):
    """A leased row, and where the index will show it to other workers once the lease has expired."""

    row: Row
    hint: IndexEntry


class LeasedRows(Generic[Row]):
    """The rows under lease, by their keys."""

    def __init__(self) -> None:
        self._held: dict[Key, LeasedRow[Row]] = {}
        self._leases = Schedule()

    @property
    def room(self) -> int:
        """How many more rows may be held, up to `ROWS_MAX` in all."""
        return max(0, ROWS_MAX - len(self._held))

    def get(self, key: Key) -> LeasedRow[Row] | None:
        """Return the leased row; None if it is not held."""
        return self._held.get(key)

    def put(self, held: LeasedRow[Row]) -> None:
        """Hold a row, replacing an older version of it."""
        self._held[held.hint.key] = held
        self._leases.put(held.hint.key, held.hint.moment)

    def drop(self, key: Key) -> None:
        """Stop holding a row; does nothing if it is not held."""
        self._held.pop(key, None)
        self._leases.put(key, None)

    def list_lapsed(self, now: datetime) -> list[IndexEntry]:
        """Return the rows whose lease has expired: any worker may take them now."""
        return [self._held[key].hint for key in self._leases.until(now)]
