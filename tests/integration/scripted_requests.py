"""What stands around a poller in its tests, and does as it is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from scripted_queue import ScriptedQueue, Unwavering

from bot.sqs.poller import Poller, Receive
from bot.sqs.queues import FailedEntry, Outgoing, Queue, Received
from bot.triage.model import Conflict, InvalidBody, TriageRequest

Decoded = TriageRequest | InvalidBody

FIELDS = {
    "alert": "duo_bypass_codes_used",
    "identityConfidence": "low",
    "summary": "a private summary",
    "user": "ada@example.com",
}


class ScriptedDeadLetters:
    """Refuses what it is told to; keeps the rest."""

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

    async def receive(self) -> Sequence[Received]:
        return await self._queue.receive(wait_seconds=1)


def body_of(identifier: str, **changes: Any) -> str:
    return json.dumps({"identifier": identifier} | FIELDS | changes)


def received(identifier: str, body: str | None = None) -> Received:
    body = body_of(identifier) if body is None else body
    return Received(message_id=identifier, receipt_handle=f"handle-{identifier}", body=body)


@asynccontextmanager
async def polling(poller: Poller, queue: ScriptedQueue | None = None) -> AsyncIterator[None]:
    stop = asyncio.Event()
    running = asyncio.create_task(poller.run(stop))
    yield
    assert not running.done()
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
    return Poller(queue, dead_letters, receive, random=Unwavering(), **more)
