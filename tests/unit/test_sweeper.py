"""What a sweeper works on, in which order, and how much at a time; and what ended long ago is removed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from fakes import ADDRESS, NOON, UPTIME, SteppedClock, ToldClock, a_request
from memory_store import MemoryStore
from simulated_time import run_simulated
from sweeper_harness import SweeperHarness, accepted, redrawable
from world import eventually

from bot.clock import Clock
from bot.errors import AppRejected, StoreError
from bot.sqs.wire import write_report
from bot.triage import asking_rules
from bot.triage.model import Change, Question, State, Work
from bot.triage.outcomes import Outcome
from bot.triage.people_finder import LOOK_UPS_MAX
from bot.triage.policy import Policy
from bot.triage.recorder import Recorder
from bot.triage.retention import STEP, Retention
from bot.triage.sweeper import IN_PROGRESS_MAX

HOUR = timedelta(hours=1)
NAMES = [f"question-{number}" for number in range(IN_PROGRESS_MAX * 2 + 1)]


@pytest.fixture
def harness() -> SweeperHarness:
    return SweeperHarness()


def remindable(identifier: str) -> Question:
    return replace(accepted(identifier), state=State.ASKED, channel="D0ADA", ts="1.0")


def carded(identifier: str) -> Question:
    ended = replace(accepted(identifier), state=State.CLOSED, standing=Outcome.UNDELIVERABLE)
    return replace(ended, due_at=None, card_due_at=NOON)


class SlowWork:
    """Counts what is worked on at a time; none of it ends before it may."""

    def __init__(self, harness: SweeperHarness) -> None:
        self._harness = harness
        self.go_on = asyncio.Event()
        self.at_once = self.most_at_once = 0

    async def __call__(self, question: Question) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await self.go_on.wait()
        await asyncio.sleep(0)
        self.at_once -= 1
        await self._harness.put_to_rest(question)


async def test_what_is_due_is_worked_on_once_and_the_rest_left_alone(harness: SweeperHarness) -> None:
    await harness.add("later", due_at=NOON + HOUR)
    await harness.add("one", "two")

    async with harness.sweeping():
        await harness.until_done("one", "two")

    assert harness.done == {"one": 1, "two": 1}


async def test_whoever_falls_due_is_worked_on_without_being_called(harness: SweeperHarness) -> None:
    await harness.add("soon", due_at=NOON + timedelta(milliseconds=20))

    async with harness.sweeping() as sweeper:
        sweeper.wake()
        harness.clock.advance(seconds=1)
        await harness.until_done("soon")


async def test_a_sleeping_sweeper_is_woken(harness: SweeperHarness) -> None:
    await harness.add("now")

    async with harness.sweeping() as sweeper:
        await harness.until_done("now")
        await harness.add("new")
        sweeper.wake()
        await harness.until_done("new")


async def test_no_question_is_worked_on_twice_at_a_time(harness: SweeperHarness) -> None:
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


async def test_only_so_many_are_worked_on_at_a_time_and_the_rest_follows(harness: SweeperHarness) -> None:
    await harness.add(*NAMES)
    work = SlowWork(harness)

    async with harness.sweeping(work):
        await eventually(lambda: work.at_once == IN_PROGRESS_MAX)
        work.go_on.set()
        await harness.until_done(*NAMES)

    assert work.most_at_once == IN_PROGRESS_MAX


async def test_stuck_questions_leave_room_for_others(harness: SweeperHarness) -> None:
    stuck = NAMES[: IN_PROGRESS_MAX - 1]
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


def test_a_bug_in_one_question_does_not_end_the_others(harness: SweeperHarness) -> None:
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
    harness: SweeperHarness, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    asked = 0

    class FailingStore(MemoryStore):
        async def due(self, *arguments: Any, **named: Any) -> Sequence[Question]:
            nonlocal asked
            asked += 1
            if asked == 1:
                raise StoreError("disk full")
            return await super().due(*arguments, **named)

    harness.store = FailingStore()
    await harness.add("one")

    async with harness.sweeping() as sweeper:
        await eventually(lambda: asked >= 1)
        sweeper.wake()
        await harness.until_done("one")

    logged = [vars(record).get("event", "") for record in caplog.records]
    assert [event for event in logged if event.startswith("sweep.")] == ["sweep.failed", "sweep.recovered"]


async def test_stopping_finishes_what_is_under_way_and_begins_nothing(harness: SweeperHarness) -> None:
    await harness.add("under way")
    stop, work = asyncio.Event(), SlowWork(harness)
    harness.doing = work
    sweeper = harness.sweeper(harness.clock)
    running = asyncio.create_task(sweeper.run(stop))
    await eventually(lambda: work.at_once == 1)

    stop.set()
    await harness.add("too late")
    sweeper.wake()
    finished, _ = await asyncio.wait([running], timeout=0.1)
    assert not finished
    work.go_on.set()
    async with asyncio.timeout(30):
        await running

    assert harness.done == {"under way": 1}


async def test_all_are_worked_on_however_slow_the_machine_is(harness: SweeperHarness) -> None:
    def now() -> datetime:
        """By this clock, whatever is found is old before it can be begun."""
        harness.clock.advance(seconds=1)
        return harness.clock()

    await harness.add(*NAMES)

    async with harness.sweeping(clock=ToldClock(now)):
        await harness.until_done(*NAMES)

    assert harness.done == dict.fromkeys(NAMES, 1)


# Deadlines


async def test_a_deadline_is_met_when_it_comes_and_not_before(harness: SweeperHarness) -> None:
    soon = NOON + timedelta(milliseconds=20)
    await harness.put(replace(accepted("late"), due_at=None))
    await harness.put(replace(accepted("early"), due_at=None, deadline=soon))

    async with harness.sweeping() as sweeper:
        sweeper.wake()
        harness.clock.advance(seconds=1)
        await harness.until_done("early")

    assert harness.expired == [("early", NOON + timedelta(seconds=1))]


async def test_more_deadlines_than_one_look_brings_are_all_met(harness: SweeperHarness) -> None:
    await harness.put(*(replace(accepted(name), due_at=None, deadline=NOON) for name in NAMES))

    async with harness.sweeping():
        await harness.until_done(*NAMES)

    assert Counter(name for name, _ in harness.expired) == dict.fromkeys(NAMES, 1)


# Answers before questions, and a limiter


async def test_each_kind_of_work_is_begun_in_the_order_of_who_waits_for_it(harness: SweeperHarness) -> None:
    questions = NAMES[:IN_PROGRESS_MAX]
    await harness.add(*questions)
    await harness.put(remindable("reminder"), carded("card"), redrawable("answered"))

    async with harness.sweeping():
        await harness.until_done("reminder", *questions, "card", "answered")

    assert harness.works[:2] == [("answered", Work.REDRAW), ("card", Work.CARD)]
    assert sorted(harness.works[2:-1]) == sorted((name, Work.ASK) for name in questions)
    assert harness.works[-1] == ("reminder", Work.REMIND)


async def test_a_card_that_is_due_beside_a_redraw_follows_it(harness: SweeperHarness) -> None:
    await harness.put(replace(redrawable("answered"), standing=Outcome.NO, card_due_at=NOON))

    async def show(question: Question) -> None:
        done = {"shown": question.reports} if question.outdated else {"card_due_at": None}
        changed = replace(question, version=question.version + 1, **done)
        assert await harness.store.save(Change(question=changed))
        harness.done["answered"] += 1

    async with harness.sweeping(show):
        await eventually(lambda: harness.done["answered"] == 2)

    assert harness.works == [("answered", Work.REDRAW), ("answered", Work.CARD)]


async def test_a_shut_gate_holds_up_questions_and_reminders_and_nothing_else(harness: SweeperHarness) -> None:
    harness.limiter.pause(UPTIME + HOUR)
    await harness.put(accepted("question"), remindable("reminder"), redrawable("answered"), carded("card"))
    await harness.put(replace(accepted("overdue"), due_at=None, deadline=NOON))

    async with harness.sweeping() as sweeper:
        await harness.until_done("answered", "card", "overdue")
        assert not {"question", "reminder"} & harness.done.keys()
        harness.clock.advance(seconds=3600)
        sweeper.wake()
        await harness.until_done("question", "reminder")


async def test_a_backlog_behind_a_shut_gate_is_not_looked_at_over_and_over(harness: SweeperHarness) -> None:
    looks = 0

    class CountingStore(MemoryStore):
        async def overdue(self, now: datetime, *, limit: int) -> Sequence[Question]:
            nonlocal looks
            looks += 1
            return await super().overdue(now, limit=limit)

    harness.store = CountingStore()
    await harness.add(*NAMES)
    harness.limiter.pause(UPTIME + HOUR)

    async with harness.sweeping():
        await eventually(lambda: looks > 0)
        for _ in range(100):  # turns of the event loop, in which it could look many times
            await asyncio.sleep(0)

        assert looks == 1


async def test_a_refused_worker_tries_with_one_question_at_a_time(harness: SweeperHarness) -> None:
    await harness.add("one", "two", "three")
    harness.limiter.trip(AppRejected("token_revoked", remedy="Renew it."), UPTIME)
    harness.clock.advance(seconds=30)
    work = SlowWork(harness)
    work.go_on.set()

    async with harness.sweeping(work):
        await harness.until_done("one", "two", "three")

    assert work.most_at_once == 1


async def fail_in_the_store(_: SweeperHarness, __: Question) -> None:
    raise StoreError("the store is down")


async def lose_to_another_writer(harness: SweeperHarness, question: Question) -> None:
    assert await harness.store.save(Change(question=replace(question, version=question.version + 1)))


@pytest.mark.parametrize("hindrance", [fail_in_the_store, lose_to_another_writer])
def test_a_question_that_waited_in_line_is_not_forgotten(
    harness: SweeperHarness, hindrance: Callable[[SweeperHarness, Question], Awaitable[None]]
) -> None:
    names, hindered, done_at = ["one", "two"], list[str](), list[datetime]()

    async def work(question: Question) -> None:
        if question.identifier in names and question.identifier not in hindered:
            hindered.append(question.identifier)
            await hindrance(harness, question)
        else:
            await harness.put_to_rest(question)

    async def sweep(clock: Clock) -> None:
        users = {f"other-{each}": f"{each}@example.com" for each in range(LOOK_UPS_MAX)}
        users |= dict.fromkeys(names, "grace@example.com")
        harness.finding_fails = set(users)
        harness.messenger.people |= dict.fromkeys(users.values(), harness.messenger.people[ADDRESS])
        await harness.put(
            *(replace(accepted(name), request=a_request(name, user=user)) for name, user in users.items())
        )
        async with harness.sweeping(work, clock=clock):
            await harness.until_done(*users)
            done_at.append(clock())

    run_simulated(sweep)

    assert sorted(hindered) == names
    assert done_at[0] < NOON + asking_rules.LINE_WAIT_MIN


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


async def retain(store: MemoryStore, until: Callable[[], object]) -> None:
    """Let it run until then."""
    stop = asyncio.Event()
    running = asyncio.create_task(Retention(store, keep=KEEP, clock=SteppedClock()).run(stop))
    await eventually(until)
    assert not running.done()
    stop.set()
    await running


async def test_what_ended_before_the_time_to_keep_is_removed_in_small_steps() -> None:
    store = CountingStore()
    await fill(store, STEP * 2 + 7, ended_at=NOON - KEEP - timedelta(seconds=1))
    await fill(store, 3, ended_at=NOON - KEEP + timedelta(seconds=1))

    await retain(store, until=lambda: len(store.steps) == 3)

    assert store.steps == [(NOON - KEEP, STEP), (NOON - KEEP, STEP), (NOON - KEEP, 7)]
    assert len(store.questions) == 3


async def test_a_store_that_fails_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    store = CountingStore()
    store.removal_fails = [StoreError("disk full")]

    await retain(store, until=lambda: "disk full" in caplog.text)
