"""Reports that wait for the response queue: which of them may be sent, and when.

The reports of one identifier are sent in order, a while apart. Another worker may have sent the previous one,
so the table is read for that; but most alerts have one report, which needs no read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from random import Random

from bot.clock import Clock
from bot.errors import DamagedRow
from bot.store.dynamodb.items import UNSENT, report_from, report_key, reports_of
from bot.store.dynamodb.leases import IndexPlace, Key, LeasedRow, Leases, Schedule
from bot.store.dynamodb.schema import PARTITION, SORT
from bot.store.dynamodb.table import Item, Table
from bot.store.records.damage import log_damaged
from bot.triage.asking_rules import row_key
from bot.triage.model import OutboxRow
from bot.triage.reporting import REPORTS_APART

#: Attempts to get more rows when other workers were faster, or when the rows found must wait.
_ROUNDS = 3

#: The most reports of one identifier that may wait for another: changes of mind and notes are bounded, too.
_LATER_MAX = 64


class UnsentReports:
    """The reports that this worker is to send. `StoreError` if DynamoDB fails."""

    def __init__(self, table: Table, *, clock: Clock, random: Random) -> None:
        self._table = table
        self._leases: Leases[OutboxRow] = Leases(table, [UNSENT], _read_report, clock=clock, random=random)
        self._moments = Schedule[datetime]()  #: when each may be sent, as far as is known

    def place(self, row: OutboxRow, now: datetime) -> IndexPlace:
        """Return the place in the index of a report that waits."""
        return self._leases.place(UNSENT, _key_of(row), row.due_at, now)

    def note_written(self, row: OutboxRow, place: IndexPlace) -> None:
        """Record that this worker has written a report at this place."""
        if place.is_leased:
            self._keep(LeasedRow(row=row, hint=place.hint, ends=place.ends))

    def note_gone(self, row: OutboxRow, sent_at: datetime | None) -> None:
        """Record that a report was sent at `sent_at`, or parked if that is None."""
        self._forget(_key_of(row))
        for sibling in self._list_later(row):
            # Checked again at that moment: another report may stand between them.
            moment = (
                sibling.row.due_at if sent_at is None else max(sibling.row.due_at, sent_at + REPORTS_APART)
            )
            self._moments.put(sibling.hint.key, moment)

    async def sendable(self, now: datetime, *, limit: int) -> Sequence[OutboxRow]:
        """See `triage.ports.Outbox`."""
        for key in self._leases.release_lapsed(now):
            self._moments.put(key, None)
        for _ in range(_ROUNDS):
            ready = await self._find_ready(now, limit)
            taken = await self._leases.take(UNSENT, now, limit - len(ready)) if len(ready) < limit else ()
            for held in taken:
                self._keep(held)
            if not taken:
                break
        return sorted(await self._find_ready(now, limit) if taken else ready, key=lambda row: row.due_at)

    def next_sendable(self, now: datetime) -> datetime | None:
        """Return the earliest moment after this one at which a known report may be sent, or None."""
        return self._moments.after(now)

    async def look(self, now: datetime) -> bool:
        """Read the index for reports that others left; return whether any are due."""
        return await self._leases.look(now)

    async def _find_ready(self, now: datetime, limit: int) -> list[OutboxRow]:
        """Return the first report of each identifier that may be sent now."""
        first: dict[str, Key] = {}
        for key in self._moments.until(now):
            first[key[0]] = min(key, first.get(key[0], key))
        judged = await asyncio.gather(*(self._judge(key, now) for key in list(first.values())[: 2 * limit]))
        return [row for row in judged if row is not None][:limit]

    async def _judge(self, key: Key, now: datetime) -> OutboxRow | None:
        """Return a report if it may be sent; otherwise schedule the next check of it."""
        held = self._leases.held.get(key)
        if held is None or held.row.sequence == 0:
            return held.row if held else None
        try:
            rows = await reports_of(self._table, key[0])
        except DamagedRow as error:
            log_damaged(error)
            self._forget(key)  # until its lease has expired
            return None
        waiting = next((row for row in rows if row.sent_at is None and row.parked_at is None), None)
        if waiting is None or waiting.sequence > held.row.sequence:
            self._forget(key)  # another worker has sent it
            return None
        may_go_at = max([held.row.due_at, *(row.sent_at + REPORTS_APART for row in rows if row.sent_at)])
        if waiting.sequence == held.row.sequence:
            if may_go_at <= now:
                return held.row
            self._moments.put(key, may_go_at)
        else:  # if this worker sends the one before, that triggers the next check
            is_ours = self._leases.held.get(_key_of(waiting)) is not None
            self._moments.put(key, None if is_ours else held.hint.moment)
        return None

    def _list_later(self, row: OutboxRow) -> list[LeasedRow[OutboxRow]]:
        """Return the later reports of the same identifier that this worker holds."""
        numbers = range(row.sequence + 1, row.sequence + 1 + _LATER_MAX)
        found = (self._leases.held.get(_key(row.identifier, number)) for number in numbers)
        return [held for held in found if held is not None]

    def _keep(self, held: LeasedRow[OutboxRow]) -> None:
        self._leases.held.put(held)
        self._moments.put(held.hint.key, held.row.due_at)

    def _forget(self, key: Key) -> None:
        self._leases.held.drop(key)
        self._moments.put(key, None)


async def _read_report(item: Item) -> OutboxRow:
    return report_from(item)


def _key_of(row: OutboxRow) -> Key:
    return _key(row.identifier, row.sequence)


def _key(identifier: str, sequence: int) -> Key:
    key = report_key(row_key(identifier), sequence)
    return str(key[PARTITION]), str(key[SORT])
