"""A machine whose clock is wrong, or is set, while the worker works: in simulated time, with its loops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from asking_harness import SlowStore
from fakes import NOON, a_request
from machine import FakeMachine
from mortal_store import KilledError
from simulated_time import run_simulated
from truthful_slack import TruthfulSlack
from wiring import instead, wired

from bot.clock import Clock, Service
from bot.triage.model import Question, State
from bot.triage.outcomes import Outcome
from bot.triage.policy import Policy
from bot.worker.assembly import Parts
from bot.worker.clock_watch import ClockWatch

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
POLICY = Policy(remind_times=0, expire_after=timedelta(days=1))


class World:
    """A worker on a machine whose clock is wrong, and a Slack that dates its answers."""

    def __init__(self, *, ahead: float = 0.0, is_known: bool = True) -> None:
        self.machine = FakeMachine(ahead=ahead, elapsed=asyncio.get_running_loop().time)
        self.slack = TruthfulSlack(lambda: self.machine.now)
        self.store = SlowStore()
        if is_known:
            self.machine.hear(Service.SLACK)

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[Parts]:
        stop, machine = asyncio.Event(), self.machine
        parts = wired(self.store, POLICY, clock=machine.clock, messenger=instead(self.slack))
        watch = ClockWatch(machine.clock, on_jump=parts.sweeper.wake, look_interval=timedelta(seconds=1))
        async with asyncio.TaskGroup() as group:
            for loop in (parts.sweeper.run, parts.retention.run, watch.run):
                group.create_task(loop(stop))
            yield parts
            stop.set()

    async def question(self) -> Question:
        found = await self.store.find(a_request().identifier)
        assert found is not None
        return found

    async def die_in_doubt(self) -> None:
        """Claim and post the question, and die before the reply."""
        parts = wired(self.store, POLICY, clock=self.machine.clock, messenger=instead(self.slack))
        await parts.service.receive([a_request()])
        self.slack.post_ends = ["done, then killed"]
        with pytest.raises(KilledError):
            await parts.actors.asker.ask(await self.question())


Scenario = Callable[[], Awaitable[None]]


def simulated(scenario: Scenario) -> Callable[[], None]:
    async def run(_: Clock) -> None:
        await scenario()

    def test() -> None:
        run_simulated(run)

    test.__name__ = test.__qualname__ = scenario.__name__
    return test


@simulated
async def test_two_hours_ahead_at_the_claim_nobody_is_asked_twice() -> None:
    world = World(ahead=2 * HOUR)
    await world.die_in_doubt()

    world.machine.ahead = 0
    async with world.worker():
        await asyncio.sleep(2 * HOUR + 5 * MINUTE)

    assert len(world.slack.messages) == 1
    assert (await world.question()).state is State.ASKED


@simulated
async def test_a_minute_ahead_while_in_doubt_nobody_is_asked_twice() -> None:
    world = World()
    world.slack.lag, world.slack.post_ends = timedelta(seconds=12), ["done, answer lost"]
    async with world.worker() as parts:
        await parts.service.receive([a_request()])
        parts.sweeper.wake()
        await asyncio.sleep(1)

        world.machine.ahead = MINUTE
        parts.sweeper.wake()
        await asyncio.sleep(5 * MINUTE)

    assert len(world.slack.messages) == 1
    assert (await world.question()).state is State.ASKED


@simulated
async def test_a_day_ahead_when_slack_asks_to_wait_the_wait_lasts_its_span() -> None:
    world = World(ahead=DAY)
    world.slack.post_ends = ["long rate limit"]
    async with world.worker() as parts:
        await parts.service.receive([a_request()])
        parts.sweeper.wake()
        await asyncio.sleep(1)

        world.machine.ahead = 0
        await asyncio.sleep(MINUTE)

    [message] = world.slack.messages
    assert timedelta(seconds=40) <= message.at - NOON < timedelta(seconds=46)


@simulated
async def test_a_day_behind_while_asking_a_deadline_is_neither_early_nor_late() -> None:
    world = World(ahead=-26 * HOUR)
    async with world.worker() as parts:
        await parts.service.receive([a_request()])
        parts.sweeper.wake()
        await asyncio.sleep(1)
        [message] = world.slack.messages

        world.machine.ahead = 0
        world.machine.passed += DAY - 10
        parts.sweeper.wake()
        await asyncio.sleep(8)
        assert (await world.question()).standing is None
        await asyncio.sleep(7)

    question = await world.question()
    assert question.standing is Outcome.TIMED_OUT
    assert question.settled_at is not None
    assert timedelta(0) <= question.settled_at - message.at - timedelta(days=1) <= timedelta(seconds=5)


@simulated
async def test_a_deadline_is_not_early_by_slacks_own_stamp_when_a_better_answer_comes() -> None:
    world = World(is_known=False)
    world.machine.passed += 0.9
    world.machine.hear(Service.SLACK, took=3)
    async with world.worker() as parts:
        await parts.service.receive([a_request()])
        parts.sweeper.wake()
        await asyncio.sleep(1)
        [message] = world.slack.messages

        world.machine.hear(Service.SLACK)
        world.machine.passed += DAY - 10
        parts.sweeper.wake()
        for _ in range(200):
            if (await world.question()).standing is None:
                await asyncio.sleep(0.1)

    late = world.machine.now - message.at - timedelta(days=1)
    assert timedelta(0) <= late <= timedelta(seconds=5)


@simulated
async def test_forty_days_ahead_nothing_is_removed_before_its_time() -> None:
    world = World()
    world.slack.post_ends = ["refused"]
    async with world.worker() as parts:
        await parts.service.receive([a_request()])
        parts.sweeper.wake()
        await asyncio.sleep(1)
        reports = await world.store.reports_of(a_request().identifier)
        await world.store.mark_sent(reports, world.machine.clock())

        world.machine.ahead = 40 * DAY
        await asyncio.sleep(2 * HOUR)
        assert (await world.question()).state is State.CLOSED
        world.machine.passed += 31 * DAY
        await asyncio.sleep(2 * HOUR)

    assert await world.store.find(a_request().identifier) is None


@simulated
async def test_a_deadline_that_passed_while_the_machine_was_suspended_is_kept_when_it_wakes() -> None:
    world = World()
    async with world.worker() as parts:
        await parts.service.receive([a_request()])
        parts.sweeper.wake()
        await asyncio.sleep(5 * MINUTE)

        world.machine.suspended = 2 * DAY
        await asyncio.sleep(5)

    assert (await world.question()).standing is Outcome.TIMED_OUT


@simulated
async def test_a_claim_ends_while_the_machine_is_suspended_whatever_the_time_says() -> None:
    world = World()

    async def suspend() -> None:
        world.machine.suspended = MINUTE
        for _ in range(3):
            world.machine.hear(Service.SLACK, off=-MINUTE)

    world.store.after_claim = suspend
    parts = wired(world.store, POLICY, clock=world.machine.clock, messenger=instead(world.slack))
    await parts.service.receive([a_request()])

    await parts.actors.asker.ask(await world.question())

    assert world.slack.messages == []
    assert (await world.question()).in_doubt_since is None


@simulated
async def test_before_the_time_is_known_nothing_final_happens() -> None:
    world = World()
    await world.die_in_doubt()
    world.slack.messages.clear()
    world.machine = FakeMachine(ahead=40 * DAY, elapsed=asyncio.get_running_loop().time)

    async with world.worker():
        await asyncio.sleep(HOUR)
        question = await world.question()
        assert (question.state, question.standing) == (State.POSTING, None)

        world.machine.passed += 2 * DAY
        world.machine.hear(Service.AWS)
        await asyncio.sleep(MINUTE)

    question = await world.question()
    assert (question.state, question.standing) == (State.ASKED, Outcome.UNDELIVERABLE)
    assert len(world.slack.messages) == 1
