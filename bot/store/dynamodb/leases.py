"""Leases: who works on a row that is due, without anybody who hands rows out.

A row that is written and falls due soon is shown to other workers only `LEASE` later: the writer has it until
then. Whoever takes a row from the index moves it there by the same time, on the condition that it still
stands where it was seen, so that one worker has it as a rule.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Generic, TypeVar

from bot.store.dynamodb import schema
from bot.store.dynamodb.agenda import Held, Hint, Holdings
from bot.store.dynamodb.lookout import Lookout
from bot.store.dynamodb.table import Condition
from bot.store.records.rows import microseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from random import Random

    from bot.store.dynamodb.agenda import Key
    from bot.store.dynamodb.table import Table
    from bot.store.dynamodb.values import Item

Row = TypeVar("Row")

#: How long whoever has a row may take over it: as long as one call to Slack may.
LEASE = timedelta(seconds=15)

#: What its writer holds in memory; whatever falls due later is for whoever finds it then.
SOON = timedelta(seconds=120)

_MOVE = f"SET {schema.MOMENT} = :until"
_STANDS = f"{schema.WORK} = :partition AND {schema.MOMENT} = :seen"


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a row stands in the index of what is due, and whether its writer has the lease till then."""

    hint: Hint
    is_leased: bool

    def attributes(self) -> Item:
        """Return what the index sorts by."""
        return {schema.WORK: self.hint.partition, schema.MOMENT: microseconds(self.hint.moment) or 0}


class Leases(Generic[Row]):
    """The rows that this worker has, and the way to get more. `words`: the kinds of work there are."""

    def __init__(
        self, table: Table, words: Sequence[str], read: Callable[[Item], Row], *, random: Random
    ) -> None:
        self.held = Holdings[Row]()
        self._table = table
        self._read = read
        self._lookouts = {word: Lookout(table, word, is_held=self._is_held, random=random) for word in words}

    def place(self, word: str, key: Key, due_at: datetime, now: datetime) -> Place:
        """Return where a row that is due then is to stand in the index."""
        is_leased = due_at <= now + SOON and (self.held.room > 0 or self._is_held(key))
        moment = max(due_at, now) + LEASE if is_leased else due_at
        hint = Hint(key=key, partition=schema.in_shard(word, key[0]), moment=moment)
        return Place(hint=hint, is_leased=is_leased)

    def release_lapsed(self, now: datetime) -> Sequence[Key]:
        """Let go of the rows whose lease has run out; return them. They may be taken again."""
        lapsed = self.held.lapsed(now)
        for hint in lapsed:
            self.held.drop(hint.key)
            self._lookouts[hint.partition.partition("#")[0]].add(hint)
        return [hint.key for hint in lapsed]

    async def take(self, word: str, now: datetime, count: int) -> Sequence[Held[Row]]:
        """Take up to so many rows whose moment has come and that nobody holds."""
        count = min(count, self.held.room)
        hints = await self._lookouts[word].take(now, count)
        taken = await asyncio.gather(*(self._take(hint, now) for hint in hints))
        return [held for held in taken if held is not None]

    async def look(self, now: datetime) -> bool:
        """Look what others have left; tell whether there is anything."""
        return any(await asyncio.gather(*(each.look(now) for each in self._lookouts.values())))

    async def _take(self, hint: Hint, now: datetime) -> Held[Row] | None:
        until = now + LEASE
        values = {
            ":until": microseconds(until),
            ":seen": microseconds(hint.moment),
            ":partition": hint.partition,
        }
        stands = Condition(
            expression=_STANDS, values={name[1:]: value or 0 for name, value in values.items()}
        )
        key: Item = {schema.PARTITION: hint.key[0], schema.SORT: hint.key[1]}
        item = await self._table.update(key, _MOVE, stands)
        if item is None:
            return None
        lease = Hint(key=hint.key, partition=hint.partition, moment=until)
        held = Held(row=self._read(item), hint=lease)
        self.held.put(held)
        return held

    def _is_held(self, key: Key) -> bool:
        return self.held.get(key) is not None
