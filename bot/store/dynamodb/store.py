"""The store in one DynamoDB table: the ports `Store`, `Outbox`, `Archive` and `Backlog` of `triage.ports`."""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bot.errors import StoreError
from bot.store.dynamodb import layout
from bot.store.dynamodb.archive import DynamoArchive
from bot.store.dynamodb.due import DueQuestions
from bot.store.dynamodb.expiry import LATENESS, Keeper, Lifetime
from bot.store.dynamodb.lookout import LOOK_INTERVAL
from bot.store.dynamodb.outbox import DynamoOutbox
from bot.store.dynamodb.questions import DynamoQuestions
from bot.store.dynamodb.unsent import UnsentReports
from bot.store.dynamodb.values import to_wire
from bot.store.records.restoring import restored
from bot.store.records.rows import microseconds
from bot.triage.model import Change, utc_now

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime, timedelta

    from bot.store.dynamodb.table import Table
    from bot.store.dynamodb.values import Item
    from bot.triage.model import Question, Work
    from bot.triage.ports import Clock

log = logging.getLogger(__name__)

#: The item that is written to find out whether the table takes writes; nobody reads it.
_PROBE = "probe"


@dataclass(frozen=True, kw_only=True, slots=True)
class Upkeep:
    """What is done for the table beside the work."""

    keep: timedelta | None = None  #: how long what has ended is kept; None: for the workers to say
    lateness: timedelta = LATENESS  #: how long DynamoDB may take to remove it, before the worker does
    look_interval: timedelta = LOOK_INTERVAL  #: how often to look for what other workers have left


class DynamoStore(DynamoQuestions, DynamoOutbox, DynamoArchive):
    """Questions and their reports in a table that other workers use at the same time.

    `on_found` is called when there is work that other workers have left.
    """

    def __init__(
        self,
        table: Table,
        *,
        clock: Clock = utc_now,
        upkeep: Upkeep | None = None,
        spread: random.Random | None = None,
    ) -> None:
        spread, upkeep = spread or random.Random(), upkeep or Upkeep()
        self._table = table
        self._clock = clock
        self._due = DueQuestions(table, random=spread)
        self._unsent = UnsentReports(table, random=spread)
        self._lifetime = Lifetime(keep=upkeep.keep)
        self._keeper = Keeper(table, self._lifetime, lateness=upkeep.lateness)
        self._look_interval = upkeep.look_interval.total_seconds()
        self._watching: asyncio.Task[None] | None = None
        self.on_found: Callable[[], None] = lambda: None

    async def close(self) -> None:
        """Look no more, and give back the connections. What is under lease is others' when that ends."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        self._table.close()

    async def due(
        self, work: Work, now: datetime, *, limit: int, but: frozenset[str] = frozenset()
    ) -> Sequence[Question]:
        """See `triage.ports.Store`."""
        self._watch()
        return await self._due.due(work, now, limit=limit, but=but)

    async def overdue(self, now: datetime, *, limit: int) -> Sequence[Question]:
        """See `triage.ports.Store`."""
        self._watch()
        return await self._due.overdue(now, limit=limit)

    async def next_due(self, after: datetime) -> datetime | None:
        """See `triage.ports.Store`; of others' rows it is told by `on_found`."""
        return self._due.next_due(after)

    async def probe(self) -> None:
        """See `triage.ports.Store`."""
        now = microseconds(self._clock()) or 0
        item: Item = {layout.PARTITION: _PROBE, layout.SORT: _PROBE, "t": now}
        await self._table.call("put_item", Item=to_wire(item))

    async def remove_ended(self, before: datetime, *, limit: int) -> int:
        """See `triage.ports.Store`. As a rule there is none left: DynamoDB has removed what has expired."""
        return await self._keeper.remove_ended(before, limit=limit)

    async def treat_as_restored(self, now: datetime, *, longest: timedelta | None = None) -> None:
        """See `store.OpenStore`. `StoreError` if a row changes meanwhile."""
        async for row in self.all_questions():
            changed = restored(row, now, longest=longest)
            if changed != row and not await self.save(
                Change(question=replace(changed, version=row.version + 1))
            ):
                raise StoreError("another worker uses the table that was restored: stop it, and begin again")

    def _watch(self) -> None:
        """Look from now on what others leave: whoever asks what is due wants to know."""
        if self._watching is None:
            self._watching = asyncio.create_task(self._keep_looking(), name="look for what others leave")

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(self._look_interval)
            try:
                await self._look()
            except StoreError:
                continue  # whoever asks next what is due is told of it
            except Exception:
                # Nobody waits for this task: were it to end, nobody would notice what others leave.
                log.exception(
                    "cannot look for what others leave", extra={"event": "sweep.failed", "fields": {}}
                )

    async def _look(self) -> None:
        now = self._clock()
        found = await asyncio.gather(self._due.look(now), self._unsent.look(now))
        if any(found):
            self.on_found()
