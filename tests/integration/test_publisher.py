"""The publisher: when it sends, in which order, and what it does in trouble."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

import pytest
from fakes import running_clock
from machine import FakeMachine
from mypy_boto3_sqs import SQSClient
from scripted_queue import (
    PASSING,
    PERMANENT,
    MemoryOutbox,
    ScriptedQueue,
    Unwavering,
    events,
    publisher_of,
    publishing,
    row_of,
)
from simulated_time import run_simulated
from world import eventually

from bot.clock import Clock, Service
from bot.errors import StartRefused, StoreError, TransientError
from bot.sqs.clients import Connector
from bot.sqs.publisher import FLUSH_BATCHES, Publisher
from bot.sqs.queues import BATCH_BYTES
from bot.triage.model import OutboxRow
from bot.triage.ports import SendDecision

CreateQueue = Callable[..., str]

# With a real queue


async def test_every_report_arrives_with_the_body_that_was_stored(
    connector: Connector, create_queue: CreateQueue, sqs: SQSClient
) -> None:
    url = create_queue()
    rows = [row_of(f"alert {number}", body=json.dumps({"number": number})) for number in range(23)]
    outbox = MemoryOutbox(*rows)
    queue = connector.open(url)

    async with publishing(publisher_of(outbox, queue)):
        await eventually(lambda: not outbox.waiting)

    arrived: list[str] = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        arrived += [message["Body"] for message in messages]
    assert sorted(arrived) == sorted(row.body for row in rows)


async def test_a_fifo_queue_keeps_each_identifier_s_order(
    connector: Connector, create_queue: CreateQueue, sqs: SQSClient
) -> None:
    url = create_queue(fifo=True)
    outbox = MemoryOutbox(row_of("a", 0), row_of("a", 1), row_of("b", 0), row_of("a", 2))

    async with publishing(publisher_of(outbox, connector.open(url))):
        await eventually(lambda: not outbox.waiting)

    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"])["Messages"]
    groups = [
        (message["Attributes"]["MessageGroupId"], message["Attributes"]["MessageDeduplicationId"])
        for message in messages
    ]
    a, b = (sha256(name.encode()).hexdigest() for name in "ab")
    assert [group for group in groups if group[0] == a] == [(a, f"event-a-{number}") for number in range(3)]
    assert [group for group in groups if group[0] == b] == [(b, "event-b-0")]


async def test_a_report_that_the_queue_can_never_take_is_parked_and_others_arrive(
    connector: Connector, create_queue: CreateQueue, sqs: SQSClient
) -> None:
    url = create_queue()
    outbox = MemoryOutbox(row_of("large", body="x" * (BATCH_BYTES + 1)), row_of("small"))

    async with publishing(publisher_of(outbox, connector.open(url))):
        await eventually(lambda: not outbox.waiting)

    assert [row.identifier for row in outbox.parked] == ["large"]
    assert [message["Body"] for message in sqs.receive_message(QueueUrl=url)["Messages"]] == ["small 0"]


# When it sends


async def test_a_report_is_sent_when_it_is_due_and_not_before() -> None:
    outbox, queue = MemoryOutbox(row_of("later", in_seconds=0.5), row_of("now")), ScriptedQueue()

    async with publishing(publisher_of(outbox, queue)):
        await eventually(lambda: not outbox.waiting)

    assert queue.batches == [["now 0"], ["later 0"]]


async def test_before_it_is_known_what_time_it_is_nothing_is_sent() -> None:
    machine = FakeMachine(ahead=60.0)
    outbox, queue = MemoryOutbox(replace(row_of("early"), due_at=machine.clock())), ScriptedQueue()
    publisher = Publisher(outbox, queue, machine.clock, random=Unwavering())

    await publisher.flush()
    assert queue.batches == []

    machine.hear(Service.SLACK)
    await publisher.flush()
    assert queue.batches == []
    machine.passed += 62.0
    await publisher.flush()
    assert queue.batches == [["early 0"]]


async def test_a_new_report_wakes_the_publisher() -> None:
    outbox, queue = MemoryOutbox(), ScriptedQueue()
    publisher = publisher_of(outbox, queue)

    async with publishing(publisher):
        await eventually(lambda: outbox.looked)
        outbox.waiting.append(row_of("new"))
        publisher.wake()
        await eventually(lambda: outbox.sent)

    assert queue.bodies == ["new 0"]


def test_reports_that_come_one_after_the_other_leave_together() -> None:
    async def scenario(clock: Clock) -> list[int]:
        outbox, queue = MemoryOutbox(), ScriptedQueue()
        publisher = Publisher(outbox, queue, clock, random=Unwavering())
        async with publishing(publisher):
            for number in range(20):
                outbox.waiting.append(replace(row_of(str(number)), due_at=clock()))
                publisher.wake()
                await asyncio.sleep(0.0041)
        await publisher.flush()
        return [len(batch) for batch in queue.batches]

    assert run_simulated(scenario) == [1, 1, 4, 5, 5, 4]


async def test_a_flush_sends_all_that_is_due_now_and_nothing_else() -> None:
    rows = [row_of(str(number)) for number in range(25)]
    outbox, queue = MemoryOutbox(*rows, row_of("held", in_seconds=3600)), ScriptedQueue()

    await publisher_of(outbox, queue).flush()

    assert [len(batch) for batch in queue.batches] == [10, 10, 5]
    assert [row.identifier for row in outbox.waiting] == ["held"]


async def test_a_flush_leaves_most_of_a_backlog_for_later() -> None:
    rows = [row_of(str(number)) for number in range(10 * FLUSH_BATCHES + 1)]
    outbox, queue = MemoryOutbox(*rows), ScriptedQueue()

    await publisher_of(outbox, queue).flush()

    assert len(queue.batches) == FLUSH_BATCHES
    assert len(outbox.waiting) == 1


async def test_a_flush_ends_at_the_first_trouble() -> None:
    outbox, queue = MemoryOutbox(row_of("one")), ScriptedQueue()
    queue.fails = [TransientError("SQS is away")]

    await publisher_of(outbox, queue).flush()

    assert [row.identifier for row in outbox.waiting] == ["one"]


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
    assert vars(parked)["fields"] == fields
    assert not events(caplog, "report.refused")
    [sent] = events(caplog, "report.sent")
    assert vars(sent)["fields"]["identifier"] == "good"


async def test_reports_refused_for_now_rest_while_others_go_on() -> None:
    resting = [row_of(f"rests {number}") for number in range(12)]
    others = [row_of(f"goes {number}") for number in range(40)]
    outbox = MemoryOutbox(*resting[:5], *others[:5], *resting[5:], *others[5:])
    queue = ScriptedQueue({row.body: PASSING for row in resting})

    async with publishing(Publisher(outbox, queue, running_clock(), random=Unwavering(3600.0))):
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
    outbox, queue, stop = MemoryOutbox(row_of("one")), ScriptedQueue(), asyncio.Event()
    queue.fails = [TransientError("SQS is away")]
    running = asyncio.create_task(
        Publisher(outbox, queue, running_clock(), random=Unwavering(3600.0)).run(stop)
    )
    await eventually(lambda: not queue.fails)

    stop.set()
    await asyncio.wait_for(running, timeout=20)

    assert outbox.waiting


async def test_what_was_overtaken_is_not_sent_and_what_cannot_be_judged_yet_waits() -> None:
    outbox, queue = (
        MemoryOutbox(*(row_of(fate.name, body=fate.name) for fate in SendDecision)),
        ScriptedQueue(),
    )
    publisher = publisher_of(outbox, queue)

    async def judge(row: OutboxRow) -> SendDecision:
        return SendDecision[row.identifier]

    publisher.judge = judge

    async with publishing(publisher):
        await eventually(lambda: len(outbox.sent) == 2)

    assert queue.batches == [[SendDecision.SEND.name]]
    assert [row.identifier for row in outbox.waiting] == [SendDecision.WAIT.name]
