from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from fakes import NOON, SteppedClock, a_request
from memory_store import MemoryStore

from bot.errors import CannotGoOn, StoreError
from bot.triage import rules
from bot.triage.model import Change, Question, State, Work
from bot.triage.pacing import Gate
from bot.triage.policy import Policy
from bot.triage.sweeper import IN_PROGRESS_MAX, Sweeper

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from datetime import datetime

    Doing = Callable[[Question], Awaitable[None]]


class Desk:
    """A Sweeper and its store; what was worked on is at rest afterwards."""

    def __init__(self) -> None:
        self.clock = SteppedClock()
        self.store = MemoryStore()
        self.gate = Gate(spread=lambda: 1.0)
        self.doing: Doing | None = None
        self.done: Counter[str] = Counter()
        self.works: list[Work] = []
        self.expired: list[tuple[str, datetime]] = []

    async def add(self, *identifiers: str, due_at: datetime = NOON) -> None:
        await self.put(*(replace(accepted(name), due_at=due_at) for name in identifiers))

    async def put(self, *questions: Question) -> None:
        assert all(await self.store.add([Change(question=each) for each in questions]))

    async def work_on(self, question: Question, work: Work) -> None:
        self.works.append(work)
        await (self.doing or self.put_to_rest)(question)

    async def expire(self, question: Question) -> None:
        self.expired.append((question.request.identifier, self.clock()))
        await self.put_to_rest(question)

    async def put_to_rest(self, question: Question) -> None:
        self.done[question.request.identifier] += 1
        rested = replace(question, version=question.version + 1, due_at=None, deadline=None)
        assert await self.store.save(Change(question=rested))

    async def until_done(self, *identifiers: str) -> None:
        await until(lambda: set(identifiers) <= self.done.keys())

    @asynccontextmanager
    async def sweeping(self, doing: Doing | None = None) -> AsyncIterator[Sweeper]:
        self.doing = doing
        sweeper = Sweeper(self.store, self, self.gate, clock=self.clock)
        stop = asyncio.Event()
        running = asyncio.create_task(sweeper.run(stop))
        try:
            yield sweeper
        finally:
            stop.set()
            async with asyncio.timeout(30):
                await running


def accepted(identifier: str) -> Question:
    return rules.accept(a_request(identifier), rules.new_ref(identifier, "s"), NOON, Policy()).question


def redrawable(identifier: str) -> Question:
    return replace(accepted(identifier), state=State.ASKED, channel="D0ADA", ts="1.0", reports=1)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


async def test_what_is_due_is_worked_on_once() -> None:
    desk = Desk()
    await desk.add("one", "two")

    async with desk.sweeping():
        await desk.until_done("one", "two")

    assert desk.done == {"one": 1, "two": 1}


async def test_what_is_not_due_yet_is_left_alone() -> None:
    desk = Desk()
    await desk.add("later", due_at=NOON + timedelta(hours=1))
    await desk.add("now")

    async with desk.sweeping():
        await desk.until_done("now")

    assert desk.done == {"now": 1}


async def test_whoever_falls_due_is_worked_on_without_being_called() -> None:
    desk = Desk()
    await desk.add("soon", due_at=NOON + timedelta(milliseconds=20))

    async with desk.sweeping() as sweeper:
        sweeper.wake()
        desk.clock.advance(seconds=1)
        await desk.until_done("soon")


async def test_a_sleeping_sweeper_is_woken() -> None:
    desk = Desk()
    await desk.add("now")

    async with desk.sweeping() as sweeper:
        await desk.until_done("now")
        await desk.add("new")
        sweeper.wake()
        await desk.until_done("new")


async def test_no_question_is_worked_on_twice_at_a_time() -> None:
    desk = Desk()
    await desk.add("slow", "quick")
    go_on, begun = asyncio.Event(), Counter[str]()

    async def work(question: Question) -> None:
        begun[question.request.identifier] += 1
        if question.request.identifier == "slow":
            await go_on.wait()
        await desk.put_to_rest(question)

    async with desk.sweeping(work) as sweeper:
        await desk.until_done("quick")
        await desk.add("another")
        sweeper.wake()
        await desk.until_done("another")
        go_on.set()

    assert begun == {"slow": 1, "quick": 1, "another": 1}
    assert desk.done["slow"] == 1


async def test_only_so_many_are_worked_on_at_a_time_and_the_rest_follows() -> None:
    desk = Desk()
    names = [f"question-{number}" for number in range(IN_PROGRESS_MAX * 2)]
    await desk.add(*names)
    go_on, at_once, most_at_once = asyncio.Event(), 0, 0

    async def work(question: Question) -> None:
        nonlocal at_once, most_at_once
        at_once += 1
        most_at_once = max(most_at_once, at_once)
        await go_on.wait()
        at_once -= 1
        await desk.put_to_rest(question)

    async with desk.sweeping(work):
        await until(lambda: at_once == IN_PROGRESS_MAX)
        go_on.set()
        await desk.until_done(*names)

    assert most_at_once == IN_PROGRESS_MAX


async def test_stuck_questions_leave_room_for_others() -> None:
    desk = Desk()
    stuck = [f"stuck-{number}" for number in range(IN_PROGRESS_MAX - 1)]
    await desk.add(*stuck)
    await desk.add("one", "two", "three", due_at=NOON + timedelta(milliseconds=1))
    desk.clock.advance(seconds=1)
    go_on = asyncio.Event()

    async def work(question: Question) -> None:
        if question.request.identifier in stuck:
            await go_on.wait()
        await desk.put_to_rest(question)

    async with desk.sweeping(work):
        await desk.until_done("one", "two", "three")
        go_on.set()


async def test_a_bug_in_one_question_does_not_end_the_others() -> None:
    desk = Desk()
    await desk.add("broken", "sound")
    failed = 0

    async def work(question: Question) -> None:
        nonlocal failed
        if question.request.identifier == "broken" and not failed:
            failed += 1
            raise RuntimeError("a bug")
        await desk.put_to_rest(question)

    async with desk.sweeping(work):
        await desk.until_done("sound", "broken")

    assert failed == 1


async def test_a_store_that_fails_is_asked_again() -> None:
    asked = 0

    class FailingStore(MemoryStore):
        async def due(self, work: Work, now: datetime, *, limit: int) -> Sequence[Question]:
            nonlocal asked
            asked += 1
            if asked == 1:
                raise StoreError("disk full")
            return await super().due(work, now, limit=limit)

    desk = Desk()
    desk.store = FailingStore()
    await desk.add("one")

    async with desk.sweeping() as sweeper:
        await until(lambda: asked == 1)
        sweeper.wake()
        await desk.until_done("one")


async def test_stopping_finishes_what_is_under_way_and_begins_nothing() -> None:
    desk = Desk()
    await desk.add("under way")
    begun, go_on, stop = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work(question: Question) -> None:
        begun.set()
        await go_on.wait()
        await desk.put_to_rest(question)

    desk.doing = work
    sweeper = Sweeper(desk.store, desk, desk.gate, clock=desk.clock)
    running = asyncio.create_task(sweeper.run(stop))
    await begun.wait()

    stop.set()
    await desk.add("too late")
    sweeper.wake()
    finished, _ = await asyncio.wait([running], timeout=0.1)
    assert not finished
    go_on.set()
    async with asyncio.timeout(30):
        await running

    assert desk.done == {"under way": 1}


# Deadlines


async def test_a_deadline_is_met_when_it_comes_and_not_before() -> None:
    desk = Desk()
    await desk.put(replace(accepted("early"), due_at=None), replace(accepted("late"), due_at=None))
    [early] = [each for each in desk.store.questions.values() if each.request.identifier == "early"]
    sooner = replace(early, version=1, deadline=NOON + timedelta(milliseconds=20))
    assert await desk.store.save(Change(question=sooner))

    async with desk.sweeping() as sweeper:
        sweeper.wake()
        desk.clock.advance(seconds=1)
        await desk.until_done("early")

    assert desk.expired == [("early", NOON + timedelta(seconds=1))]


async def test_more_deadlines_than_one_look_brings_are_all_met() -> None:
    desk = Desk()
    names = [f"question-{number}" for number in range(IN_PROGRESS_MAX * 2 + 1)]
    await desk.put(*(replace(accepted(name), due_at=None, deadline=NOON) for name in names))

    async with desk.sweeping():
        await desk.until_done(*names)

    assert Counter(name for name, _ in desk.expired) == dict.fromkeys(names, 1)


# Answers before questions, and a gate


async def test_redraws_go_before_questions_that_are_due_longer() -> None:
    desk = Desk()
    questions = [f"question-{number}" for number in range(IN_PROGRESS_MAX)]
    await desk.add(*questions)
    await desk.put(redrawable("answered"))
    begun: list[str] = []

    async def work(question: Question) -> None:
        begun.append(question.request.identifier)
        await desk.put_to_rest(question)

    async with desk.sweeping(work):
        await desk.until_done(*questions, "answered")

    assert begun[0] == "answered"


async def test_a_shut_gate_holds_questions_up_and_no_redraw_nor_deadline() -> None:
    desk = Desk()
    desk.gate.pause(NOON + timedelta(hours=1))
    await desk.add("question")
    await desk.put(redrawable("answered"), replace(accepted("overdue"), due_at=None, deadline=NOON))

    async with desk.sweeping() as sweeper:
        await desk.until_done("answered", "overdue")
        assert "question" not in desk.done
        desk.clock.advance(seconds=3600)
        sweeper.wake()
        await desk.until_done("question")


async def test_a_refused_worker_tries_with_one_question_at_a_time() -> None:
    desk = Desk()
    await desk.add("one", "two", "three")
    desk.gate.halt(CannotGoOn("token_revoked", remedy="Renew it."), NOON)
    desk.clock.advance(seconds=30)
    at_once = most_at_once = 0

    async def work(question: Question) -> None:
        nonlocal at_once, most_at_once
        at_once += 1
        most_at_once = max(most_at_once, at_once)
        await asyncio.sleep(0)
        at_once -= 1
        await desk.put_to_rest(question)

    async with desk.sweeping(work):
        await desk.until_done("one", "two", "three")

    assert most_at_once == 1
