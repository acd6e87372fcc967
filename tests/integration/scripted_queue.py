"""Scripted queues, outbox and triage around a poller and a publisher."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from fakes import running_clock

from bot.clock import utc_now
from bot.sqs.poller import Poller, Receive
from bot.sqs.publisher import Publisher
from bot.sqs.queues import FailedEntry, Outgoing, Queue, Received, SendQueue
from bot.triage.model import Conflict, InvalidBody, OutboxRow, TriageRequest


class Unwavering(Random):
    """Draws the same wait every time: by default none, so that a test need not wait either."""

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__()
        self._seconds = seconds

    def uniform(self, a: float, b: float) -> float:  # noqa: ARG002 - the shape of Random
        return self._seconds


class ScriptedQueue:
    """Returns what the test puts in, one poll after another; accepts all but what it must refuse."""

    def __init__(self, refusals: Mapping[str, FailedEntry] | None = None) -> None:
        self.polls: asyncio.Queue[Sequence[Received] | Exception] = asyncio.Queue()
        self.polled = 0
        self.waits: list[int] = []  #: of the polls, in seconds
        self.deleted: list[str] = []
        self.handed_back: list[str] = []
        self.undeletable: set[str] = set()
        self.batches: list[list[str]] = []
        self.refusals = dict(refusals or {})  #: of bodies that are sent
        self.fails: list[Exception] = []  #: with which the next batches are not sent
        self.tries: list[str] = []

    async def receive(self, *, wait_seconds: int = 20) -> Sequence[Received]:
        self.polled += 1
        self.waits.append(wait_seconds)
        brought = await self.polls.get()
        if isinstance(brought, Exception):
            raise brought
        return brought

    async def delete_batch(self, messages: Sequence[Received]) -> Sequence[FailedEntry | None]:
        refusal = FailedEntry(code="ReceiptHandleIsInvalid", permanent=True, unfit=False)
        refusals = [refusal if one.message_id in self.undeletable else None for one in messages]
        self.deleted += [
            one.message_id for one, refused in zip(messages, refusals, strict=True) if not refused
        ]
        return refusals

    async def hand_back(self, messages: Sequence[Received]) -> Sequence[FailedEntry | None]:
        self.handed_back += [one.message_id for one in messages]
        return [None for _ in messages]

    async def send_batch(self, messages: Sequence[Outgoing]) -> Sequence[FailedEntry | None]:
        await asyncio.sleep(0)  # as a real one, it lets others run
        if self.fails:
            raise self.fails.pop(0)
        self.tries += [one.body for one in messages]
        self.batches.append([one.body for one in messages if one.body not in self.refusals])
        return [self.refusals.get(one.body) for one in messages]

    @property
    def bodies(self) -> list[str]:
        return [body for batch in self.batches for body in batch]


def events(caplog: pytest.LogCaptureFixture, event: str) -> list[logging.LogRecord]:
    return [record for record in caplog.records if getattr(record, "event", "") == event]


Decoded = TriageRequest | InvalidBody

FIELDS = {
    "alert": "duo_bypass_codes_used",
    "identityConfidence": "low",
    "summary": "a private summary",
    "user": "ada@example.com",
}


class ScriptedDeadLetters:
    """Refuses what the test lists; keeps the rest."""

    def __init__(self, *, longest: int = 1024 * 1024, trouble: Exception | None = None) -> None:
        self.copies: list[Outgoing] = []
        self.longest = longest
        self.trouble = trouble

    async def send_batch(self, messages: Sequence[Outgoing]) -> Sequence[FailedEntry | None]:
        if self.trouble:
            raise self.trouble
        if any(one.size > self.longest for one in messages):
            return [FailedEntry(code="InvalidParameterValue", permanent=True, unfit=True)]
        self.copies += messages
        return [None for _ in messages]


class ScriptedTriage:
    """Stores requests; fails as the test says, then works."""

    def __init__(self, *, fails: Sequence[Exception] = ()) -> None:
        self.stored: list[Decoded] = []
        self.fails = list(fails)
        self.unwanted: set[str] = set()
        self.conflicting: set[str] = set()

    async def receive(self, batch: Sequence[Decoded]) -> Sequence[bool | Conflict]:
        if self.fails:
            raise self.fails.pop(0)
        stored = await self._store(batch)
        return [
            Conflict(fields=("user",))
            if isinstance(one, TriageRequest) and one.identifier in self.conflicting
            else is_stored
            for one, is_stored in zip(batch, stored, strict=True)
        ]

    async def _store(self, batch: Sequence[Decoded]) -> Sequence[bool]:
        verdicts = [not (isinstance(one, TriageRequest) and one.identifier in self.unwanted) for one in batch]
        self.stored += [one for one, wanted in zip(batch, verdicts, strict=True) if wanted]
        return verdicts

    @property
    def identifiers(self) -> list[str]:
        return [one.identifier for one in self.stored if isinstance(one, TriageRequest)]


class ShortPolls:
    """A real queue whose long polls end soon, so that a test ends soon."""

    def __init__(self, queue: Queue) -> None:
        self.delete_batch = queue.delete_batch
        self.hand_back = queue.hand_back
        self._queue = queue

    async def receive(self, *, wait_seconds: int = 20) -> Sequence[Received]:
        return await self._queue.receive(wait_seconds=min(wait_seconds, 1))


def body_of(identifier: str, **changes: Any) -> str:
    return json.dumps({"identifier": identifier} | FIELDS | changes)


def received(identifier: str, body: str | None = None) -> Received:
    body = body_of(identifier) if body is None else body
    return Received(message_id=identifier, receipt_handle=f"handle-{identifier}", body=body)


@asynccontextmanager
async def polling(poller: Poller, queue: ScriptedQueue | None = None) -> AsyncIterator[None]:
    stop = asyncio.Event()
    running = asyncio.create_task(poller.run(stop))
    try:
        yield
        assert not running.done()
    finally:
        stop.set()
        if queue:
            queue.polls.put_nowait([])
        async with asyncio.timeout(20):
            await running


def poller_of(
    queue: ScriptedQueue | ShortPolls,
    receive: Receive,
    dead_letters: ScriptedDeadLetters | Queue | None = None,
    **more: Any,
) -> Poller:
    poller = Poller(queue, dead_letters, receive, random=Unwavering(), **more)
    poller.clock = running_clock()
    return poller


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
    return Publisher(outbox, queue, running_clock(), random=Unwavering())


@asynccontextmanager
async def publishing(publisher: Publisher) -> AsyncIterator[None]:
    stop = asyncio.Event()
    running = asyncio.create_task(publisher.run(stop))
    try:
        yield
        assert not running.done()
    finally:
        stop.set()
        async with asyncio.timeout(20):
            await running
