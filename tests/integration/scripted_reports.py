"""What stands around a publisher in its tests, and does as it is told."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING

from bot.sqs.publisher import Publisher, ResponseQueue
from bot.sqs.queues import Outgoing, Refusal
from bot.triage.model import OutboxRow, utc_now

if TYPE_CHECKING:
    import logging
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    import pytest


PERMANENT = Refusal(code="InvalidMessageContents", permanent=True, unfit=True)
PASSING = Refusal(code="InternalError", permanent=False, unfit=False)


class Impatient(Random):
    """Draws no waits, so that a test need not wait either."""

    def uniform(self, a: float, b: float) -> float:  # noqa: ARG002 - the shape of Random
        return 0.0


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


class ScriptedQueue:
    """Refuses the bodies that it is told to; fails as the test says, then works."""

    def __init__(self, refusals: Mapping[str, Refusal] | None = None) -> None:
        self.batches: list[list[str]] = []
        self.refusals = dict(refusals or {})
        self.fails: list[Exception] = []
        self.tries: list[str] = []

    async def send_batch(self, messages: Sequence[Outgoing]) -> Sequence[Refusal | None]:
        await asyncio.sleep(0)  # as a real one, it lets others run
        if self.fails:
            raise self.fails.pop(0)
        self.tries += [one.body for one in messages]
        self.batches.append([one.body for one in messages if one.body not in self.refusals])
        return [self.refusals.get(one.body) for one in messages]

    @property
    def bodies(self) -> list[str]:
        return [body for batch in self.batches for body in batch]


def row_of(identifier: str, sequence: int = 0, *, body: str = "", in_seconds: float = 0) -> OutboxRow:
    return OutboxRow(
        identifier=identifier,
        sequence=sequence,
        event_id=f"event-{identifier}-{sequence}",
        body=body or f"{identifier} {sequence}",
        due_at=utc_now() + timedelta(seconds=in_seconds),
    )


def publisher_of(outbox: MemoryOutbox, queue: ResponseQueue) -> Publisher:
    return Publisher(outbox, queue, utc_now, random=Impatient())


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def publishing(publisher: Publisher) -> AsyncIterator[None]:
    stop = asyncio.Event()
    running = asyncio.create_task(publisher.run(stop))
    yield
    assert not running.done()
    stop.set()
    async with asyncio.timeout(20):
        await running


def events(caplog: pytest.LogCaptureFixture, event: str) -> list[logging.LogRecord]:
    return [record for record in caplog.records if getattr(record, "event", "") == event]
