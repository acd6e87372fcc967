from __future__ import annotations

import asyncio
import logging
from random import Random

import pytest
from scripted_queue import ScriptedQueue, events
from scripted_reports import PASSING, PERMANENT, MemoryOutbox, publisher_of, publishing, row_of
from world import eventually

from bot.clock import Clock
from bot.errors import StartRefused, StoreError, TransientError
from bot.sqs.publisher import Publisher


async def test_a_report_refused_for_good_is_parked_and_told_of(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    outbox, queue = MemoryOutbox(row_of("bad"), row_of("good")), ScriptedQueue({"bad 0": PERMANENT})

    async with publishing(publisher_of(outbox, queue)):
        await eventually(lambda: not outbox.waiting)

    assert [row.identifier for row in outbox.parked] == ["bad"]
    assert [row.identifier for row in outbox.sent] == ["good"]
    [parked] = events(caplog, "report.parked")
    assert parked.levelno == logging.ERROR
    fields = {"identifier": "bad", "sequence": 0, "event_id": "event-bad-0", "code": "InvalidMessageContents"}
    assert parked.__dict__["fields"] == fields
    assert not events(caplog, "report.refused")
    [sent] = events(caplog, "report.sent")
    assert sent.__dict__["fields"]["identifier"] == "good"


async def test_reports_refused_for_now_rest_while_others_go_on() -> None:
    class Patient(Random):
        def uniform(self, a: float, b: float) -> float:  # noqa: ARG002 - the shape of Random
            return 3600.0

    resting = [row_of(f"rests {number}") for number in range(12)]
    others = [row_of(f"goes {number}") for number in range(40)]
    outbox = MemoryOutbox(*resting[:5], *others[:5], *resting[5:], *others[5:])
    queue = ScriptedQueue({row.body: PASSING for row in resting})

    async with publishing(Publisher(outbox, queue, Clock(), random=Patient())):
        await eventually(lambda: len(outbox.sent) == 40)

    assert outbox.waiting == resting
    assert [queue.tries.count(row.body) for row in resting] == [1] * 12


async def test_a_report_refused_for_now_is_tried_again_until_it_is_taken() -> None:
    outbox, queue = MemoryOutbox(row_of("one")), ScriptedQueue({"one 0": PASSING})

    async with publishing(publisher_of(outbox, queue)):
        await eventually(lambda: queue.tries.count("one 0") >= 3)
        queue.refusals.clear()
        await eventually(lambda: outbox.sent)

    assert queue.bodies == ["one 0"]


async def test_a_queue_that_takes_none_of_a_whole_batch_is_given_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows = [row_of(str(number)) for number in range(30)]
    outbox, queue = MemoryOutbox(*rows), ScriptedQueue({row.body: PASSING for row in rows})

    async with publishing(publisher_of(outbox, queue)):
        await eventually(lambda: events(caplog, "publishing.failed"))
        queue.refusals.clear()
        await eventually(lambda: not outbox.waiting)

    assert sorted(queue.bodies) == sorted(row.body for row in rows)


@pytest.mark.parametrize(
    "trouble",
    [TransientError("SQS is away"), StartRefused("the queue is gone"), RuntimeError("a fault of ours")],
)
async def test_publishing_goes_on_after_any_trouble_and_says_when(
    trouble: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    outbox, queue = MemoryOutbox(row_of("one")), ScriptedQueue()
    queue.fails = [trouble, trouble]

    async with publishing(publisher_of(outbox, queue)):
        await eventually(lambda: events(caplog, "publishing.recovered"))

    assert queue.bodies == ["one 0"]
    assert len(events(caplog, "publishing.failed")) == 2
    assert len(events(caplog, "publishing.recovered")) == 1


async def test_a_report_that_was_sent_but_could_not_be_marked_is_not_sent_again() -> None:
    outbox, queue = MemoryOutbox(row_of("one"), row_of("two")), ScriptedQueue()
    outbox.fails = [StoreError("disk full"), StoreError("disk full")]

    async with publishing(publisher_of(outbox, queue)):
        await eventually(lambda: outbox.sent)

    assert queue.bodies == ["one 0", "two 0"]


async def test_a_stop_ends_the_wait_after_trouble() -> None:
    class Endless(Random):
        def uniform(self, a: float, b: float) -> float:  # noqa: ARG002 - the shape of Random
            return 3600.0

    outbox, queue, stop = MemoryOutbox(row_of("one")), ScriptedQueue(), asyncio.Event()
    queue.fails = [TransientError("SQS is away")]
    running = asyncio.create_task(Publisher(outbox, queue, Clock(), random=Endless()).run(stop))
    await eventually(lambda: not queue.fails)

    stop.set()
    await asyncio.wait_for(running, timeout=20)

    assert outbox.waiting
