"""What the index of what is due shows: rows whose lease has run out, and rows that nobody has a lease on."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from bot.store.dynamodb import schema
from bot.store.dynamodb.agenda import Hint
from bot.store.dynamodb.values import value_to_wire
from bot.store.records.rows import EPOCH, microseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from random import Random

    from bot.store.dynamodb.agenda import Key
    from bot.store.dynamodb.schema import Index
    from bot.store.dynamodb.table import Table
    from bot.store.dynamodb.values import Item

#: How often a worker looks for what others have left. An empty look at all there is takes 8 read units.
LOOK_INTERVAL = timedelta(seconds=5)

#: How old a look may be before whoever asks what is due looks again. Mostly somebody has looked meanwhile.
STALE_AFTER = 2 * LOOK_INTERVAL

#: Rows of one partition in one look.
PAGE = 100


class Lookout:
    """One kind of work in the index; `word` is its name there."""

    def __init__(self, table: Table, word: str, *, is_held: Callable[[Key], bool], random: Random) -> None:
        self._table = table
        self._partitions = schema.shards(word)
        self._is_held = is_held
        self._random = random
        self._hints: dict[Key, Hint] = {}
        self._looked_at: datetime | None = None
        self._may_be_more = False

    def add(self, hint: Hint) -> None:
        """Note a row of which the index shows that it is due, or soon will."""
        self._hints[hint.key] = hint

    async def look(self, now: datetime) -> bool:
        """Look what is due, or will be until the look is stale; tell whether there is anything due."""
        pages = await asyncio.gather(*(self._look_at(partition, now) for partition in self._partitions))
        hints = [_hint(item) for page in pages for item in page if _is_free(item, now)]
        # The index lags: of what this worker has just written it may show what was there before.
        self._hints = {hint.key: hint for hint in hints if not self._is_held(hint.key)}
        self._may_be_more = any(len(page) == PAGE for page in pages)
        self._looked_at = now
        return any(hint.moment <= now for hint in self._hints.values())

    async def take(self, now: datetime, count: int) -> Sequence[Hint]:
        """Return up to so many rows to lease, of those that have been due the longest."""
        if is_stale(self._looked_at, now) or (self._may_be_more and len(self._hints) < count):
            await self.look(now)
        # Other workers choose at this moment, too: were it the very oldest, all would want the same rows.
        due = [hint for hint in self._hints.values() if hint.moment <= now]
        oldest = sorted(due, key=lambda hint: hint.moment)[: 2 * count]
        chosen = self._random.sample(oldest, min(count, len(oldest)))
        for hint in chosen:
            del self._hints[hint.key]
        return chosen

    async def _look_at(self, partition: str, now: datetime) -> list[Item]:
        return await self._table.first(PAGE, **until(schema.DUE, partition, now + STALE_AFTER))


def is_stale(looked_at: datetime | None, now: datetime) -> bool:
    """Whether a look was so long ago that another one is due; clocks may have been set meanwhile."""
    return looked_at is None or abs(now - looked_at) > STALE_AFTER


def until(index: Index, partition: str, last: datetime) -> dict[str, Any]:
    """Return a query of what a partition of an index holds up to this moment, the earliest first."""
    return {
        "IndexName": index.name,
        "KeyConditionExpression": "#p = :p AND #s <= :s",
        "ExpressionAttributeNames": {"#p": index.partition, "#s": index.sort},
        "ExpressionAttributeValues": {
            ":p": value_to_wire(partition),
            ":s": value_to_wire(microseconds(last) or 0),
        },
    }


def whole(index: Index, partition: str) -> dict[str, Any]:
    """Return a query of all that a partition of an index holds, the earliest first."""
    return {
        "IndexName": index.name,
        "KeyConditionExpression": "#p = :p",
        "ExpressionAttributeNames": {"#p": index.partition},
        "ExpressionAttributeValues": {":p": value_to_wire(partition)},
    }


def key_in(item: Item) -> Key:
    """Return the key of an item."""
    return str(item[schema.PARTITION]), str(item[schema.SORT])


def moment_in(item: Item, attribute: str) -> datetime:
    """Return the moment that an attribute holds, which must be there."""
    return EPOCH + timedelta(microseconds=int(item[attribute]))


def _is_free(item: Item, now: datetime) -> bool:
    """Whether nobody has a lease on a row. Under lease, it stands later than it is due."""
    moment = moment_in(item, schema.MOMENT)
    return moment <= now or item.get(schema.DUE_AT) == item[schema.MOMENT]


def _hint(item: Item) -> Hint:
    return Hint(key=key_in(item), partition=str(item[schema.WORK]), moment=moment_in(item, schema.MOMENT))
