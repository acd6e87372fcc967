from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random

import pytest
from fakes import SteppedClock
from scripted_queue import ScriptedQueue, events
from scripted_requests import ScriptedTriage, poller_of, polling, received
from world import eventually

from bot.errors import StartRefused, StoreError, TransientError
from bot.sqs.poller import Poller
from bot.sqs.queues import Received


@pytest.mark.parametrize(
    "trouble",
    [TransientError("SQS is away"), StartRefused("the queue is gone"), RuntimeError("a fault of ours")],
)
async def test_polling_goes_on_after_any_trouble(
    trouble: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    queue, triage = ScriptedQueue(), ScriptedTriage(fails=[trouble])
    poller = poller_of(queue, triage.receive)
    caplog.set_level("INFO")

    async with polling(poller, queue):
        queue.polls.put_nowait(trouble)
        queue.polls.put_nowait([received("handed back")])
        queue.polls.put_nowait([received("stored")])
        await eventually(lambda: events(caplog, "poll.recovered"))

    assert queue.handed_back == ["handed back"]
    assert queue.deleted == ["stored"]
    assert [record.__dict__["fields"]["error"] for record in events(caplog, "poll.failed")] == [
        type(trouble).__name__
    ] * 2
    assert len(events(caplog, "poll.recovered")) == 1


async def test_nothing_is_polled_while_the_store_refuses_writes() -> None:
    queue, triage = ScriptedQueue(), ScriptedTriage(fails=[StoreError("disk full")])
    polled_at_probe: list[int] = []

    async def probe() -> None:
        polled_at_probe.append(queue.polled)
        if len(polled_at_probe) < 3:
            raise StoreError("disk full")

    poller = poller_of(queue, triage.receive, probe=probe)
    async with polling(poller, queue):
        queue.polls.put_nowait([received("one")])
        queue.polls.put_nowait([received("two")])
        await eventually(lambda: queue.deleted)

    assert polled_at_probe == [1, 1, 1]
    assert queue.handed_back == ["one"]
    assert queue.deleted == ["two"]


async def test_polling_goes_on_if_the_probe_itself_is_broken() -> None:
    queue, triage = ScriptedQueue(), ScriptedTriage(fails=[StoreError("disk full")])

    async def probe() -> None:
        raise RuntimeError("a fault of ours")

    poller = poller_of(queue, triage.receive, probe=probe)
    async with polling(poller, queue):
        queue.polls.put_nowait([received("one")])
        queue.polls.put_nowait([received("two")])
        await eventually(lambda: queue.deleted)

    assert queue.deleted == ["two"]


async def test_a_batch_of_which_nothing_was_stored_counts_as_trouble() -> None:
    queue, triage = ScriptedQueue(), ScriptedTriage()
    triage.unwanted = {"one"}
    poller = poller_of(queue, triage.receive)

    async with polling(poller, queue):
        queue.polls.put_nowait([received("one")])
        await eventually(lambda: poller.counts["failures"])

    assert queue.deleted == queue.handed_back == []


# Polls that bring nothing


class Sleepless(Random):
    """Draws an hour for every wait, so that one that waits does so for ever."""

    def uniform(self, a: float, b: float) -> float:  # noqa: ARG002 - the shape of Random
        return 3600.0


class EmptyQueue(ScriptedQueue):
    """Answers every poll with nothing, after as long as it says."""

    def __init__(self, clock: SteppedClock, *, seconds: float) -> None:
        super().__init__()
        self._clock = clock
        self._seconds = seconds

    async def receive(self) -> Sequence[Received]:
        self.polled += 1
        self._clock.advance(seconds=self._seconds)
        await asyncio.sleep(0)
        return []


@pytest.mark.parametrize(("seconds", "polls"), [(0.001, 1), (0.9, 1), (1.0, 10), (20.0, 10)])
async def test_after_a_poll_that_brings_nothing_at_once_the_next_one_waits(
    seconds: float, polls: int
) -> None:
    clock = SteppedClock()
    queue, stop = EmptyQueue(clock, seconds=seconds), asyncio.Event()
    poller = Poller(queue, None, ScriptedTriage().receive, random=Sleepless())
    poller.clock = clock
    running = asyncio.create_task(poller.run(stop))

    for _ in range(100):
        await asyncio.sleep(0)

    assert (queue.polled == 1) if polls == 1 else (queue.polled >= polls)
    stop.set()
    await asyncio.wait_for(running, timeout=20)


async def test_after_a_poll_that_brings_something_the_next_one_does_not_wait() -> None:
    clock = SteppedClock()
    queue = ScriptedQueue()
    poller = Poller(queue, None, ScriptedTriage().receive, random=Sleepless())
    poller.clock = clock

    async with polling(poller, queue):
        for name in ("one", "two", "three"):
            queue.polls.put_nowait([received(name)])
        await eventually(lambda: queue.polled == 4)


# Stop


async def test_what_the_poll_in_flight_brings_at_stop_is_handed_back() -> None:
    queue, triage, stop = ScriptedQueue(), ScriptedTriage(), asyncio.Event()
    running = asyncio.create_task(poller_of(queue, triage.receive).run(stop))
    await eventually(lambda: queue.polled)

    stop.set()
    await asyncio.sleep(0)
    queue.polls.put_nowait([received("late")])
    await asyncio.wait_for(running, timeout=20)

    assert queue.handed_back == ["late"]
    assert queue.deleted == []
    assert triage.stored == []


async def test_a_poll_that_brings_nothing_does_not_hold_the_stop() -> None:
    queue, stop = ScriptedQueue(), asyncio.Event()
    running = asyncio.create_task(poller_of(queue, ScriptedTriage().receive).run(stop))
    await eventually(lambda: queue.polled)

    stop.set()
    await asyncio.wait_for(running, timeout=15)  # a long poll would take 20 s

    assert queue.polled == 1


async def test_a_stop_ends_the_wait_after_trouble() -> None:
    queue, stop = ScriptedQueue(), asyncio.Event()
    queue.polls.put_nowait(TransientError("SQS is away"))

    poller = Poller(queue, None, ScriptedTriage().receive, random=Sleepless())
    running = asyncio.create_task(poller.run(stop))
    await eventually(lambda: poller.counts["failures"])

    stop.set()
    await asyncio.wait_for(running, timeout=20)

    assert queue.polled == 1
