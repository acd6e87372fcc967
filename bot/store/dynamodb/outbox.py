"""The outbox in the table: the port `Outbox` of `triage.ports`, and what `replay` asks of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bot.store.dynamodb import layout
from bot.store.dynamodb.items import (
    PARKED,
    PARKED_AT,
    REPLAYS,
    SENT_AT,
    question_key,
    report_item,
    report_key,
)
from bot.store.dynamodb.reading import reports_of
from bot.store.dynamodb.table import Condition
from bot.store.dynamodb.values import to_wire
from bot.store.records.rows import microseconds
from bot.triage.asking_rules import row_key

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from bot.store.dynamodb.expiry import Keeper, Lifetime
    from bot.store.dynamodb.table import Table
    from bot.store.dynamodb.unsent import UnsentReports
    from bot.store.dynamodb.values import Value
    from bot.triage.model import OutboxRow

_SENT = f"SET {SENT_AT} = :at{{expires}} REMOVE {layout.WORK}, {layout.MOMENT}"
_PARKED = f"SET {PARKED_AT} = :at, {layout.WORK} = :parked, {layout.MOMENT} = :at"

#: A replay since then makes it another report: this one was not sent.
_SAME_REPLAY = f"{REPLAYS} = :replays"


class DynamoOutbox:
    """The part of `DynamoStore` that keeps reports."""

    _table: Table
    _unsent: UnsentReports
    _lifetime: Lifetime
    _keeper: Keeper

    async def sendable(self, now: datetime, *, limit: int) -> Sequence[OutboxRow]:
        """See `triage.ports.Outbox`."""
        return await self._unsent.sendable(now, limit=limit)

    async def next_sendable(self, now: datetime) -> datetime | None:
        """See `triage.ports.Outbox`; of others' reports it is told by `on_found`."""
        return self._unsent.next_sendable(now)

    async def mark_sent(self, rows: Sequence[OutboxRow], at: datetime) -> None:
        """See `triage.ports.Outbox`."""
        await asyncio.gather(*(self._mark_sent(row, at) for row in rows))

    async def mark_parked(self, rows: Sequence[OutboxRow], at: datetime) -> None:
        """See `triage.ports.Outbox`."""
        await asyncio.gather(*(self._mark_parked(row, at) for row in rows))

    async def reports_of(self, identifier: str) -> Sequence[OutboxRow]:
        """See `triage.ports.Archive`."""
        return await reports_of(self._table, row_key(identifier))

    async def replay(self, identifiers: Sequence[str], now: datetime) -> None:
        """See `triage.ports.Archive`."""
        for identifier in identifiers:
            await self._replay(identifier, now)

    async def _mark_sent(self, row: OutboxRow, at: datetime) -> None:
        expires = self._lifetime.since(at)
        values: dict[str, Value] = {f"{name}_expires": value for name, value in expires.items()}
        setting = "".join(f", {name} = :{name}_expires" for name in expires)
        await self._mark(row, _SENT.format(expires=setting), {"at": microseconds(at) or 0, **values})
        await self._keeper.let_go(row, at)
        self._unsent.note_gone(row, at)

    async def _mark_parked(self, row: OutboxRow, at: datetime) -> None:
        parked = layout.in_shard(PARKED, row_key(row.identifier))
        await self._mark(row, _PARKED, {"at": microseconds(at) or 0, "parked": parked})
        await self._keeper.hold(row.identifier)
        self._unsent.note_gone(row, None)

    async def _mark(self, row: OutboxRow, change: str, values: dict[str, Value]) -> None:
        condition = Condition(expression=_SAME_REPLAY, values={"replays": row.replays, **values})
        await self._table.update(report_key(row_key(row.identifier), row.sequence), change, condition)

    async def _replay(self, identifier: str, now: datetime) -> None:
        """Put all reports of an identifier back in one step; again, where one of them changed meanwhile."""
        while rows := await self.reports_of(identifier):
            again = [
                replace(
                    row, sent_at=None, parked_at=None, due_at=max(row.due_at, now), replays=row.replays + 1
                )
                for row in rows
            ]
            if await self._put_back(rows, again, now):
                return

    async def _put_back(self, rows: Sequence[OutboxRow], again: Sequence[OutboxRow], now: datetime) -> bool:
        places = [self._unsent.place(row, now) for row in again]
        pairs = zip(rows, again, places, strict=True)
        puts = [self._put(report_item(new) | place.attributes(), old) for old, new, place in pairs]
        key = row_key(rows[0].identifier)
        hold = {"Key": to_wire(question_key(key)), "UpdateExpression": f"REMOVE {layout.EXPIRES}"}
        there = {"ConditionExpression": f"attribute_exists({layout.PARTITION})"}
        held = {"Update": {"TableName": self._table.name, **hold, **there}}
        if not await self._table.try_transact([held, *puts]):
            return False
        for row, place in zip(again, places, strict=True):
            self._unsent.note_written(row, place)
        return True

    def _put(self, item: Any, old: OutboxRow) -> dict[str, Any]:
        condition = Condition(expression=_SAME_REPLAY, values={"replays": old.replays})
        return {"Put": {"TableName": self._table.name, "Item": to_wire(item), **condition.arguments()}}
