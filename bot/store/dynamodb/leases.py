"""Leases: how workers share out due rows without a coordinator.

A row that is written and falls due soon is shown to other workers only `LEASE` later: until then its writer
has it. A worker that takes a row from the index postpones it there by the same time, on condition that it
has not moved since it was read. So normally one worker has it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Generic, TypeVar

from bot.store.dynamodb import schema
from bot.store.dynamodb.due_index import DueIndex
from bot.store.dynamodb.leased_rows import IndexEntry, LeasedRow, LeasedRows
from bot.store.dynamodb.table import Condition
from bot.store.records.rows import microseconds

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime
    from random import Random

    from bot.store.dynamodb.leased_rows import Key
    from bot.store.dynamodb.table import Table
    from bot.store.dynamodb.values import Item

Row = TypeVar("Row")

#: How long a worker may take over a row: as long as one call to Slack may take.
LEASE = timedelta(seconds=15)

#: The writer holds rows that fall due within this time. Later ones go to the first worker that finds them.
SOON = timedelta(seconds=120)

_MOVE = f"SET {schema.MOMENT} = :until"
_UNCHANGED = f"{schema.WORK} = :partition AND {schema.MOMENT} = :seen"


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A row's place in the index `due`, and whether its writer has the lease until that moment."""

    hint: IndexEntry
    is_leased: bool

    def attributes(self) -> Item:
        """Return the index's key attributes; the moment is in microseconds since 1970."""
        return {schema.WORK: self.hint.partition, schema.MOMENT: microseconds(self.hint.moment) or 0}


class Leases(Generic[Row]):
    """The rows leased by this worker, and how it gets more. `words` are the kinds of work.

    `StoreError` if DynamoDB fails.
    """

    def __init__(
        self, table: Table, words: Sequence[str], read: Callable[[Item], Awaitable[Row]], *, random: Random
    ) -> None:
        self.held = LeasedRows[Row]()
        self._table = table
        self._read = read
        self._indexes = {
            word: DueIndex(table, word, is_leased=self._is_leased, random=random) for word in words
        }

    def place(self, word: str, key: Key, due_at: datetime, now: datetime) -> Place:
        """Return the place in the index of a row due at `due_at`."""
        is_leased = due_at <= now + SOON and (self.held.room > 0 or self._is_leased(key))
        moment = max(due_at, now) + LEASE if is_leased else due_at
        hint = IndexEntry(key=key, partition=schema.in_shard(word, key[0]), moment=moment)
        return Place(hint=hint, is_leased=is_leased)

    def release_lapsed(self, now: datetime) -> Sequence[Key]:
        """Drop the rows whose lease has expired and return their keys. They may be taken again."""
        lapsed = self.held.list_lapsed(now)
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
        until = now + LEASE
        values = {
            ":until": microseconds(until),
            ":seen": microseconds(hint.moment),
            ":partition": hint.partition,
        }
        stands = Condition(
            expression=_UNCHANGED, values={name[1:]: value or 0 for name, value in values.items()}
        )
        key: Item = {schema.PARTITION: hint.key[0], schema.SORT: hint.key[1]}
        item = await self._table.update(key, _MOVE, stands)
        if item is None:
            return None
        lease = IndexEntry(key=hint.key, partition=hint.partition, moment=until)
        held = LeasedRow(row=await self._read(item), hint=lease)
        self.held.put(held)
        return held

    def _is_leased(self, key: Key) -> bool:
        return self.held.get(key) is not None
