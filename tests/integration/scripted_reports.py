"""What stands around a publisher in its tests, and does as it is told."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from scripted_queue import Impatient

from bot.clock import Clock
from bot.sqs.publisher import Publisher
from bot.sqs.queues import FailedEntry
from bot.triage.model import OutboxRow, utc_now

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from bot.sqs.queues import SendQueue


PERMANENT = FailedEntry(code="InvalidMessageContents", permanent=True, unfit=True)
PASSING = FailedEntry(code="InternalError", permanent=False, unfit=False)


class MemoryOutbox:
    """Rows in their order; fails as the test says, then works."""

    def __init__(self, *rows: OutboxRow) -> None:
        self.waiting = list(rows)
        self.sent: list[OutboxRow] = []
        self.parked: list[OutboxRow] = []
        self.fails: list[Exception] = []
        self.looked = 0

    async def sendable(self, now: datetime, *, limit: int) -> Sequence[OutboxRow]:
        self.looked += 1
        firsts = {row.identifier: row for row in reversed(self.waiting)}.values()
        return [row for row in self.waiting if row in firsts and row.due_at <= now][:limit]

    async def next_sendable(self, now: datetime) -> datetime | None:
        return min((row.due_at for row in self.waiting if row.due_at > now), default=None)

    async def mark_sent(self, rows: Sequence[OutboxRow], at: datetime) -> None:
        assert at.tzinfo
        if self.fails:
            raise self.fails.pop(0)
        self.sent += rows
        self.waiting = [row for row in self.waiting if row not in rows]

    async def mark_parked(self, rows: Sequence[OutboxRow], at: datetime) -> None:
        assert at.tzinfo
        self.parked += rows
        self.waiting = [row for row in self.waiting if row not in rows]


def row_of(identifier: str, sequence: int = 0, *, body: str = "", in_seconds: float = 0) -> OutboxRow:
    return OutboxRow(
        identifier=identifier,
        sequence=sequence,
        event_id=f"event-{identifier}-{sequence}",
        body=body or f"{identifier} {sequence}",
        due_at=utc_now() + timedelta(seconds=in_seconds),
    )


def publisher_of(outbox: MemoryOutbox, queue: SendQueue) -> Publisher:
    return Publisher(outbox, queue, Clock(), random=Impatient())


@asynccontextmanager
async def publishing(publisher: Publisher) -> AsyncIterator[None]:
    stop = asyncio.Event()
    running = asyncio.create_task(publisher.run(stop))
    yield
    assert not running.done()
    stop.set()
    async with asyncio.timeout(20):
        await running
