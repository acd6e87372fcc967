"""A queue that does as it is told, for whoever receives from it and whoever sends to it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from random import Random

import pytest

from bot.sqs.queues import FailedEntry, Outgoing, Received


class Unwavering(Random):
    """Draws the same wait every time: by default none, so that a test need not wait either."""

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__()
        self._seconds = seconds

    def uniform(self, a: float, b: float) -> float:  # noqa: ARG002 - the shape of Random
        return self._seconds


class ScriptedQueue:
    """Gives what the test puts in, one poll after another; takes all but what it is told to refuse."""

    def __init__(self, refusals: Mapping[str, FailedEntry] | None = None) -> None:
        self.polls: asyncio.Queue[Sequence[Received] | Exception] = asyncio.Queue()
        self.polled = 0
        self.deleted: list[str] = []
        self.handed_back: list[str] = []
        self.undeletable: set[str] = set()
        self.batches: list[list[str]] = []
        self.refusals = dict(refusals or {})  #: of bodies that are sent
        self.fails: list[Exception] = []  #: with which the next batches are not sent
        self.tries: list[str] = []

    async def receive(self) -> Sequence[Received]:
        self.polled += 1
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
