"""Deadlines that have come or soon will. Nobody has a lease on one: the first save wins."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING

from bot.store.dynamodb import layout
from bot.store.dynamodb.agenda import Schedule
from bot.store.dynamodb.items import QUESTION, key_of
from bot.store.dynamodb.lookout import PAGE, is_stale, key_in, moment_in, until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from bot.store.dynamodb.agenda import Key
    from bot.store.dynamodb.table import Table
    from bot.store.dynamodb.values import Item
    from bot.triage.model import Question

#: How far ahead a look goes, so that each deadline is known before it comes.
AHEAD = timedelta(seconds=30)

#: Deadlines that are kept in memory at the most.
_KEPT_MAX = 10_000


class Deadlines:
    """The deadlines of all workers' questions, as far as they are near."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._moments = Schedule()
        self._looked_at: datetime | None = None
        self._may_be_more = False

    def note(self, question: Question, now: datetime) -> None:
        """Take note of a row that was just written."""
        self._set((key_of(question), QUESTION), question.deadline, now)

    async def look(self, now: datetime) -> bool:
        """Look which deadlines are near; tell whether there are any."""
        pages = await asyncio.gather(*(self._look_at(number, now) for number in range(layout.SHARDS)))
        for item in (item for page in pages for item in page):
            self._set(key_in(item), moment_in(item, layout.DEADLINE), now)
        self._may_be_more = any(len(page) == PAGE for page in pages)
        self._looked_at = now
        return any(pages)

    async def passed(self, now: datetime, limit: int) -> Sequence[Key]:
        """Return up to so many rows whose deadline seems to have come, the oldest first."""
        found = list(islice(self._moments.until(now), limit))
        if is_stale(self._looked_at, now) or (self._may_be_more and len(found) < limit):
            await self.look(now)
            found = list(islice(self._moments.until(now), limit))
        return found

    def correct(self, keys: Sequence[Key], rows: Sequence[Question]) -> None:
        """Note what has become of these, of which `rows` are left."""
        deadlines = {key_of(row): row.deadline for row in rows}
        for key in keys:
            self._moments.put(key, deadlines.get(key[0]))

    def after(self, moment: datetime) -> datetime | None:
        """Return the next deadline that is known of."""
        return self._moments.after(moment)

    def _set(self, key: Key, deadline: datetime | None, now: datetime) -> None:
        is_near = deadline is not None and deadline <= now + AHEAD and len(self._moments) < _KEPT_MAX
        self._moments.put(key, deadline if is_near else None)

    async def _look_at(self, shard: int, now: datetime) -> list[Item]:
        return await self._table.first(PAGE, **until(layout.DEADLINES, str(shard), now + AHEAD))
