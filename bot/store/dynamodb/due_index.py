"""What the index `due` shows: rows whose lease has expired, and rows that were never leased."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from bot.store.dynamodb import schema
from bot.store.dynamodb.leased_rows import IndexEntry
from bot.store.dynamodb.values import value_to_wire
from bot.store.records.rows import EPOCH, microseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from random import Random

    from bot.store.dynamodb.leased_rows import Key
    from bot.store.dynamodb.schema import Index
    from bot.store.dynamodb.table import Table
    from bot.store.dynamodb.values import Item

#: How often a worker reads the index for what others left. Reading all of it when empty takes 8 read units.
LOOK_INTERVAL = timedelta(seconds=5)

#: How old the last read may be before a query for due rows repeats it. Usually it is fresh.
STALE_AFTER = 2 * LOOK_INTERVAL

#: The most rows of one partition in one read.
PAGE = 100


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
        hints = [_read_entry(item) for page in pages for item in page if _is_free(item, now)]
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
    """Whether the last read is too old. The clock may have been set back since, hence `abs`."""
    return looked_at is None or abs(now - looked_at) > STALE_AFTER


def query_until(index: Index, partition: str, last: datetime) -> dict[str, Any]:
    """Return the arguments of a query for a partition of an index up to `last`, earliest first."""
    return {
        "IndexName": index.name,
        "KeyConditionExpression": "#p = :p AND #s <= :s",
        "ExpressionAttributeNames": {"#p": index.partition, "#s": index.sort},
        "ExpressionAttributeValues": {
            ":p": value_to_wire(partition),
            ":s": value_to_wire(microseconds(last) or 0),
        },
    }


def query_all(index: Index, partition: str) -> dict[str, Any]:
    """Return the arguments of a query for a whole partition of an index, earliest first."""
    return {
        "IndexName": index.name,
        "KeyConditionExpression": "#p = :p",
        "ExpressionAttributeNames": {"#p": index.partition},
        "ExpressionAttributeValues": {":p": value_to_wire(partition)},
    }


def read_key(item: Item) -> Key:
    """Return the partition key and sort key of an item."""
    return str(item[schema.PARTITION]), str(item[schema.SORT])


def read_moment(item: Item, attribute: str) -> datetime:
    """Return the moment that an attribute holds, in UTC. `KeyError` if the item lacks it."""
    return EPOCH + timedelta(microseconds=int(item[attribute]))


def _is_free(item: Item, now: datetime) -> bool:
    """Whether a row is not leased. A leased row's moment in the index is later than its due time."""
    moment = read_moment(item, schema.MOMENT)
    return moment <= now or item.get(schema.DUE_AT) == item[schema.MOMENT]


def _read_entry(item: Item) -> IndexEntry:
    return IndexEntry(
        key=read_key(item), partition=str(item[schema.WORK]), moment=read_moment(item, schema.MOMENT)
    )
