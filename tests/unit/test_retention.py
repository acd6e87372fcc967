"""What has ended long ago is removed, a little at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from fakes import NOON, SteppedClock, a_request
from memory_store import MemoryStore

from bot.errors import StoreError
from bot.sqs.wire import write_report
from bot.triage import asking_rules
from bot.triage.model import Step
from bot.triage.policy import Policy
from bot.triage.recorder import Recorder
from bot.triage.retention import STEP, Retention

KEEP = timedelta(days=30)


class CountingStore(MemoryStore):
    """Remembers each step; fails as the test says, then works."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[tuple[datetime, int]] = []
        self.removal_fails: list[StoreError] = []

    async def remove_ended(self, before: datetime, *, limit: int) -> int:
        if self.removal_fails:
            raise self.removal_fails.pop(0)
        removed = await super().remove_ended(before, limit=limit)
        self.steps.append((before, removed))
        return removed


async def fill(store: MemoryStore, count: int, *, ended_at: datetime) -> None:
    """Put in requests that were invalid, and of which MozDef knows."""
    recorder = Recorder(store, write_report, policy=Policy(), clock=SteppedClock(now=ended_at))
    requests = [a_request(f"alert-{ended_at}-{number}") for number in range(count)]
    steps = [
        asking_rules.reject(each, asking_rules.new_ref(each.identifier, "s"), ended_at, Policy())
        for each in requests
    ]
    await store.add([recorder.change(step) for step in steps])
    for each in requests:
        await store.mark_sent(await store.reports_of(each.identifier), ended_at)


@asynccontextmanager
async def retaining(store: MemoryStore, clock: SteppedClock) -> AsyncIterator[None]:
    stop = asyncio.Event()
    running = asyncio.create_task(Retention(store, keep=KEEP, clock=clock).run(stop))
    yield
    assert not running.done()
    stop.set()
    async with asyncio.timeout(20):
        await running


async def until_steps(store: CountingStore, count: int) -> None:
    async with asyncio.timeout(20):
        while len(store.steps) < count:
            await asyncio.sleep(0.01)


async def test_what_ended_before_the_time_to_keep_is_removed_in_small_steps() -> None:
    store, clock = CountingStore(), SteppedClock()
    await fill(store, STEP * 2 + 7, ended_at=NOON - KEEP - timedelta(seconds=1))
    await fill(store, 3, ended_at=NOON - KEEP + timedelta(seconds=1))

    async with retaining(store, clock):
        await until_steps(store, 3)

    assert store.steps == [(NOON - KEEP, STEP), (NOON - KEEP, STEP), (NOON - KEEP, 7)]
    assert len(store.questions) == 3


async def test_a_store_that_fails_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    store, clock = CountingStore(), SteppedClock()
    store.removal_fails = [StoreError("disk full")]

    async with retaining(store, clock), asyncio.timeout(20):
        while not caplog.records:
            await asyncio.sleep(0.01)

    assert "disk full" in caplog.text


async def test_an_alert_that_comes_again_after_its_removal_is_new() -> None:
    store = CountingStore()
    await fill(store, 1, ended_at=NOON - 2 * KEEP)
    [question] = store.questions.values()
    assert await store.remove_ended(NOON - KEEP, limit=STEP) == 1

    recorder = Recorder(store, write_report, policy=Policy(), clock=SteppedClock())
    again = replace(question, ref=asking_rules.new_ref(question.request.identifier, "other"))

    assert list(await store.add([recorder.change(Step(question=again))])) == [True]
