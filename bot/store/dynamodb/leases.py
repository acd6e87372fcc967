"""Leases: how workers share out due rows without a coordinator.

A row that is written and falls due soon is shown to other workers only `LEASE` later: until then its writer
has it, in memory, so that finding what is due needs no query. A worker that takes a row from the index `due`
postpones it there by the same time, on condition that it has not moved since it was read. So normally one
worker has it.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right, insort
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any, Generic, TypeVar

from bot.clock import Clock
from bot.errors import DamagedRow
from bot.store.dynamodb import schema
from bot.store.dynamodb.schema import Index
from bot.store.dynamodb.table import Condition, Item, Table, Value, value_to_wire
from bot.store.records.damage import log_damaged, reading, skip_damaged
from bot.store.records.rows import EPOCH, microseconds

Row = TypeVar("Row")
Moment = TypeVar("Moment", datetime, timedelta)

#: A row's key in the table: partition key and sort key.
Key = tuple[str, str]

#: The most rows kept. Rows written beyond that go to the index without a lease.
ROWS_MAX = 2000

#: How long a worker may take over a row: as long as one call to Slack may take.
LEASE = timedelta(seconds=15)

#: The writer holds rows that fall due within this time. Later ones go to the first worker that finds them.
SOON = timedelta(seconds=120)

_MOVE = f"SET {schema.MOMENT} = :until"
_UNCHANGED = f"{schema.WORK} = :partition AND {schema.MOMENT} = :seen"

#: How often a worker reads the index for what others left. Reading all of it when empty takes 8 read units.
LOOK_INTERVAL = timedelta(seconds=5)

#: How old the last read may be before a query for due rows repeats it. Usually it is fresh.
STALE_AFTER = 2 * LOOK_INTERVAL

#: The most rows of one partition in one read.
PAGE = 100


class Schedule(Generic[Moment]):
    """Keys of rows, ordered by a moment that each of them has."""

    def __init__(self) -> None:
        self._moments: dict[Key, Moment] = {}
        self._order: list[tuple[Moment, Key]] = []

    def __len__(self) -> int:
        return len(self._order)

    def put(self, key: Key, moment: Moment | None) -> None:
        """Set a row's moment; None removes the row."""
        if key in self._moments:
            del self._order[bisect_left(self._order, (self._moments.pop(key), key))]
        if moment is not None:
            self._moments[key] = moment
            insort(self._order, (moment, key))

    def until(self, moment: Moment) -> Iterator[Key]:
        """Yield the rows due by `moment`, earliest first; changes during the iteration do not affect it."""
        for _, key in self._order[: self._end(moment)]:
            yield key

    def after(self, moment: Moment) -> Moment | None:
        """Return the earliest moment after this one; None if there is none."""
        end = self._end(moment)
        return self._order[end][0] if end < len(self._order) else None

    def _end(self, moment: Moment) -> int:
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
    ends: timedelta  #: by `Clock.boottime`; it ends sooner if the time says so


class LeasedRows(Generic[Row]):
    """The rows under lease, by their keys."""

    def __init__(self) -> None:
        self._held: dict[Key, LeasedRow[Row]] = {}
        self._leases = Schedule[datetime]()
        self._ends = Schedule[timedelta]()

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
        self._ends.put(held.hint.key, held.ends)

    def drop(self, key: Key) -> None:
        """Stop holding a row; does nothing if it is not held."""
        self._held.pop(key, None)
        self._leases.put(key, None)
        self._ends.put(key, None)

    def list_lapsed(self, now: datetime, boottime: timedelta) -> list[IndexEntry]:
        """Return the rows whose lease has expired: any worker may take them now, or soon."""
        lapsed = dict.fromkeys([*self._leases.until(now), *self._ends.until(boottime)])
        return [self._held[key].hint for key in lapsed]


class DueIndex:
    """Reads one kind of work from the index; `word` is its name there. `StoreError` if DynamoDB fails."""

    def __init__(self, table: Table, word: str, *, is_leased: Callable[[Key], bool], random: Random) -> None:
        self._table = table
        self._partitions = schema.shards(word)
        self._is_leased = is_leased
        self._random = random
        self._entries: dict[Key, IndexEntry] = {}
        self._looked_at: datetime | None = None
        self._may_be_more = False

    def add(self, hint: IndexEntry) -> None:
        """Add a row that the index shows as due, now or soon."""
        self._entries[hint.key] = hint

    async def look(self, now: datetime) -> bool:
        """Read what is due now or before the read goes stale; return whether anything is due now."""
        pages = await asyncio.gather(*(self._look_at(partition, now) for partition in self._partitions))
        free = [item for page in pages for item in page if _is_free(item, now)]
        hints = skip_damaged(_read_entry, free)
        # The index lags: for rows that this worker has just written it may show an older state.
        self._entries = {hint.key: hint for hint in hints if not self._is_leased(hint.key)}
        self._may_be_more = any(len(page) == PAGE for page in pages)
        self._looked_at = now
        return any(hint.moment <= now for hint in self._entries.values())

    async def take(self, now: datetime, count: int) -> Sequence[IndexEntry]:
        """Return up to `count` rows to lease, from those that have been due the longest."""
        if is_stale(self._looked_at, now) or (self._may_be_more and len(self._entries) < count):
            await self.look(now)
        # Choose at random: other workers choose now, too, and would all want the very oldest rows.
        due = [hint for hint in self._entries.values() if hint.moment <= now]
        oldest = sorted(due, key=lambda hint: hint.moment)[: 2 * count]
        chosen = self._random.sample(oldest, min(count, len(oldest)))
        for hint in chosen:
            del self._entries[hint.key]
        return chosen

    async def _look_at(self, partition: str, now: datetime) -> list[Item]:
        return await self._table.first(PAGE, **query_until(schema.DUE, partition, now + STALE_AFTER))


def is_stale(looked_at: datetime | None, now: datetime) -> bool:
    """Whether the last read is too old. The time may have been corrected since, hence `abs`."""
    return looked_at is None or abs(now - looked_at) > STALE_AFTER


def query_index(index: Index, partition: str, sort: str = "", **values: Value) -> dict[str, Any]:
    """Return the arguments of a query for a partition of an index, in the order of its sort key.

    `sort` is a condition that `#s`, the sort key, must meet, with `:name` for each of the `values`.
    """
    attributes = {"#p": index.partition, "#s": index.sort} if sort else {"#p": index.partition}
    wired = {f":{name}": value_to_wire(value) for name, value in {"p": partition, **values}.items()}
    return {
        "IndexName": index.name,
        "KeyConditionExpression": f"#p = :p AND {sort}" if sort else "#p = :p",
        "ExpressionAttributeNames": attributes,
        "ExpressionAttributeValues": wired,
    }


def query_until(index: Index, partition: str, last: datetime) -> dict[str, Any]:
    """Return the arguments of a query for a partition of an index up to `last`, earliest first."""
    return query_index(index, partition, "#s <= :last", last=microseconds(last))


def read_key(item: Item) -> Key:
    """Return the partition key and sort key of an item."""
    return str(item[schema.PARTITION]), str(item[schema.SORT])


@reading
def read_moment(item: Mapping[str, Any], attribute: str) -> datetime:
    """Return the moment that an attribute holds, in UTC. `DamagedRow` if it holds none."""
    return EPOCH + timedelta(microseconds=int(item[attribute]))


def read_moments(items: Iterable[Item], attribute: str) -> list[datetime]:
    """Return the moments that an attribute of these items holds; what is damaged is logged and left out."""
    return skip_damaged(lambda item: read_moment(item, attribute), items)


def _is_free(item: Item, now: datetime) -> bool:
    """Whether a row is not leased. A leased row's moment in the index is later than its due time."""
    moment = item[schema.MOMENT]
    return item.get(schema.DUE_AT) == moment or (isinstance(moment, int) and moment <= microseconds(now))


def _read_entry(item: Item) -> IndexEntry:
    return IndexEntry(
        key=read_key(item), partition=str(item[schema.WORK]), moment=read_moment(item, schema.MOMENT)
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexPlace:
    """A row's place in the index `due`, and whether its writer has the lease until that moment."""

    hint: IndexEntry
    is_leased: bool
    ends: timedelta  #: the lease, by `Clock.boottime`

    def attributes(self) -> Item:
        """Return the index's key attributes; the moment is in microseconds since 1970."""
        return {schema.WORK: self.hint.partition, schema.MOMENT: microseconds(self.hint.moment)}


class Leases(Generic[Row]):
    """The rows leased by this worker, and how it gets more. `words` are the kinds of work.

    `StoreError` if DynamoDB fails.
    """

    def __init__(
        self,
        table: Table,
        words: Sequence[str],
        read: Callable[[Item], Awaitable[Row]],
        *,
        clock: Clock,
        random: Random,
    ) -> None:
        self.held = LeasedRows[Row]()
        self._clock = clock
        self._table = table
        self._read = read
        self._indexes = {
            word: DueIndex(table, word, is_leased=self._is_leased, random=random) for word in words
        }

    def place(self, word: str, key: Key, due_at: datetime, now: datetime) -> IndexPlace:
        """Return the place in the index of a row due at `due_at`."""
        is_leased = due_at <= now + SOON and (self.held.room > 0 or self._is_leased(key))
        moment = max(due_at, now) + LEASE if is_leased else due_at
        hint = IndexEntry(key=key, partition=schema.in_shard(word, key[0]), moment=moment)
        return IndexPlace(hint=hint, is_leased=is_leased, ends=self._clock.boottime() + (moment - now))

    def release_lapsed(self, now: datetime) -> Sequence[Key]:
        """Drop the rows whose lease has expired and return their keys. They may be taken again."""
        lapsed = self.held.list_lapsed(now, self._clock.boottime())
        for hint in lapsed:
            self.held.drop(hint.key)
            self._indexes[hint.partition.partition("#")[0]].add(hint)
        return [hint.key for hint in lapsed]

    async def take(self, word: str, now: datetime, count: int) -> Sequence[LeasedRow[Row]]:
        """Lease up to `count` rows that are due and that no worker holds."""
        count = min(count, self.held.room)
        hints = await self._indexes[word].take(now, count)
        taken = await asyncio.gather(*(self._take(hint, now) for hint in hints))
        return [held for held in taken if held is not None]

    async def look(self, now: datetime) -> bool:
        """Read the index for rows that others left; return whether any are due."""
        return any(await asyncio.gather(*(each.look(now) for each in self._indexes.values())))

    async def _take(self, hint: IndexEntry, now: datetime) -> LeasedRow[Row] | None:
        until, ends = now + LEASE, self._clock.boottime() + LEASE
        values: dict[str, Value] = {
            "until": microseconds(until),
            "seen": microseconds(hint.moment),
            "partition": hint.partition,
        }
        key: Item = {schema.PARTITION: hint.key[0], schema.SORT: hint.key[1]}
        item = await self._table.update(key, _MOVE, Condition(expression=_UNCHANGED, values=values))
        if item is None:
            return None
        lease = IndexEntry(key=hint.key, partition=hint.partition, moment=until)
        try:
            held = LeasedRow(row=await self._read(item), hint=lease, ends=ends)
        except DamagedRow as error:
            log_damaged(error)  # again with each lease
            return None
        self.held.put(held)
        return held

    def _is_leased(self, key: Key) -> bool:
        return self.held.get(key) is not None
