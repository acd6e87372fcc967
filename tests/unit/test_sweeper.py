from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from fakes import NOON, ToldClock
from memory_store import MemoryStore
from simulated_time import run_simulated
from sweeper_harness import SweeperHarness
from world import eventually

from bot.errors import StoreError
from bot.triage.sweeper import IN_PROGRESS_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from bot.clock import Clock
    from bot.triage.model import Question, Work


async def test_what_is_due_is_worked_on_once() -> None:
    harness = SweeperHarness()
    await harness.add("one", "two")

    async with harness.sweeping():
        await harness.until_done("one", "two")

    assert harness.done == {"one": 1, "two": 1}


async def test_what_is_not_due_yet_is_left_alone() -> None:
    harness = SweeperHarness()
    await harness.add("later", due_at=NOON + timedelta(hours=1))
    await harness.add("now")

    async with harness.sweeping():
        await harness.until_done("now")

    assert harness.done == {"now": 1}


async def test_whoever_falls_due_is_worked_on_without_being_called() -> None:
    harness = SweeperHarness()
    await harness.add("soon", due_at=NOON + timedelta(milliseconds=20))

    async with harness.sweeping() as sweeper:
        sweeper.wake()
        harness.clock.advance(seconds=1)
        await harness.until_done("soon")


async def test_a_sleeping_sweeper_is_woken() -> None:
    harness = SweeperHarness()
    await harness.add("now")

    async with harness.sweeping() as sweeper:
        await harness.until_done("now")
        await harness.add("new")
        sweeper.wake()
        await harness.until_done("new")


async def test_no_question_is_worked_on_twice_at_a_time() -> None:
    harness = SweeperHarness()
    await harness.add("slow", "quick")
    go_on, begun = asyncio.Event(), Counter[str]()

    async def work(question: Question) -> None:
        begun[question.request.identifier] += 1
        if question.request.identifier == "slow":
            await go_on.wait()
        await harness.put_to_rest(question)

    async with harness.sweeping(work) as sweeper:
        await harness.until_done("quick")
        await harness.add("another")
        sweeper.wake()
        await harness.until_done("another")
        go_on.set()

    assert begun == {"slow": 1, "quick": 1, "another": 1}
    assert harness.done["slow"] == 1


async def test_only_so_many_are_worked_on_at_a_time_and_the_rest_follows() -> None:
    harness = SweeperHarness()
    names = [f"question-{number}" for number in range(IN_PROGRESS_MAX * 2)]
    await harness.add(*names)
    go_on, at_once, most_at_once = asyncio.Event(), 0, 0

    async def work(question: Question) -> None:
        nonlocal at_once, most_at_once
        at_once += 1
        most_at_once = max(most_at_once, at_once)
        await go_on.wait()
        at_once -= 1
        await harness.put_to_rest(question)

    async with harness.sweeping(work):
        await eventually(lambda: at_once == IN_PROGRESS_MAX)
        go_on.set()
        await harness.until_done(*names)

    assert most_at_once == IN_PROGRESS_MAX


async def test_stuck_questions_leave_room_for_others() -> None:
    harness = SweeperHarness()
    stuck = [f"stuck-{number}" for number in range(IN_PROGRESS_MAX - 1)]
    await harness.add(*stuck)
    await harness.add("one", "two", "three", due_at=NOON + timedelta(milliseconds=1))
    harness.clock.advance(seconds=1)
    go_on = asyncio.Event()

    async def work(question: Question) -> None:
        if question.request.identifier in stuck:
            await go_on.wait()
        await harness.put_to_rest(question)

    async with harness.sweeping(work):
        await harness.until_done("one", "two", "three")
        go_on.set()


def test_a_bug_in_one_question_does_not_end_the_others() -> None:
    harness = SweeperHarness()
    failed = 0

    async def work(question: Question) -> None:
        nonlocal failed
        if question.request.identifier == "broken" and not failed:
            failed += 1
            raise RuntimeError("a bug")
        await harness.put_to_rest(question)

    async def sweep(_: Clock) -> None:
        await harness.add("broken", "sound")
        async with harness.sweeping(work):
            await harness.until_done("sound", "broken")

    run_simulated(sweep)  # what failed is let rest for a second

    assert failed == 1


async def test_a_store_that_fails_is_asked_again_until_it_is_said_to_work(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    asked = 0

    class FailingStore(MemoryStore):
        async def due(
            self, work: Work, now: datetime, *, limit: int, exclude: frozenset[str] = frozenset()
        ) -> Sequence[Question]:
            nonlocal asked
            asked += 1
            if asked == 1:
                raise StoreError("disk full")
            return await super().due(work, now, limit=limit, exclude=exclude)

    harness = SweeperHarness()
    harness.store = FailingStore()
    await harness.add("one")

    async with harness.sweeping() as sweeper:
        await eventually(lambda: asked >= 1)
        sweeper.wake()
        await harness.until_done("one")

    logged = [record.__dict__.get("event") for record in caplog.records]
    assert [event for event in logged if event in {"sweep.failed", "sweep.recovered"}] == [
        "sweep.failed",
        "sweep.recovered",
    ]


async def test_stopping_finishes_what_is_under_way_and_begins_nothing() -> None:
    harness = SweeperHarness()
    await harness.add("under way")
    begun, go_on, stop = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work(question: Question) -> None:
        begun.set()
        await go_on.wait()
        await harness.put_to_rest(question)

    harness.doing = work
    sweeper = harness.sweeper(harness.clock)
    running = asyncio.create_task(sweeper.run(stop))
    await begun.wait()

    stop.set()
    await harness.add("too late")
    sweeper.wake()
    finished, _ = await asyncio.wait([running], timeout=0.1)
    assert not finished
    go_on.set()
    async with asyncio.timeout(30):
        await running

    assert harness.done == {"under way": 1}


async def test_all_are_worked_on_however_slow_the_machine_is() -> None:
    class SluggishHarness(SweeperHarness):
        """By its clock, whatever is found is old before it can be begun."""

        def now(self) -> datetime:
            self.clock.advance(seconds=1)
            return self.clock()

    harness = SluggishHarness()
    names = [f"question-{number}" for number in range(2 * IN_PROGRESS_MAX)]
    await harness.add(*names)

    async with harness.sweeping(clock=ToldClock(harness.now)):
        await harness.until_done(*names)

    assert harness.done == dict.fromkeys(names, 1)
