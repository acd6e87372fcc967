from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from hashlib import sha256
from random import Random
from typing import TYPE_CHECKING

import pytest

from bot.errors import StartRefused, StoreError, TransientError
from bot.sqs.publisher import Publisher, ResponseQueue
from bot.sqs.queues import BATCH_BYTES, Outgoing, Refusal
from bot.triage.model import OutboxRow, utc_now

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from bot.sqs.clients import Connector

CreateQueue = Callable[..., str]

PERMANENT = Refusal(code="InvalidMessageContents", permanent=True, unfit=True)
PASSING = Refusal(code="InternalError", permanent=False, unfit=False)


class Impatient(Random):
    """Draws no waits, so that a test need not wait either."""

    def uniform(self, a: float, b: float) -> float:  # noqa: ARG002 - the shape of Random
        return 0.0


class MemoryOutbox:
    """Rows in their order; fails as the test says, then works."""

    def __init__(self, *rows: OutboxRow) -> None:
        self.waiting = list(rows)
        self.sent: list[OutboxRow] = []
        self.parked: list[OutboxRow] = []
        self.fails: list[Exception] = []
        self.looked = 0

    async def sendable(self, now: datetime, *, limit: int) -> Sequence[OutboxRow]:
        self.looked += 1
        firsts = {row.identifier: row for row in reversed(self.waiting)}.values()
        return [row for row in self.waiting if row in firsts and row.due_at <= now][:limit]

    async def next_sendable(self, now: datetime) -> datetime | None:
        return min((row.due_at for row in self.waiting if row.due_at > now), default=None)

    async def mark_sent(self, rows: Sequence[OutboxRow], at: datetime) -> None:
        assert at.tzinfo
        if self.fails:
            raise self.fails.pop(0)
        self.sent += rows
        self.waiting = [row for row in self.waiting if row not in rows]

    async def mark_parked(self, rows: Sequence[OutboxRow], at: datetime) -> None:
        assert at.tzinfo
        self.parked += rows
        self.waiting = [row for row in self.waiting if row not in rows]


class ScriptedQueue:
    """Refuses the bodies that it is told to; fails as the test says, then works."""

    def __init__(self, refusals: Mapping[str, Refusal] | None = None) -> None:
        self.batches: list[list[str]] = []
        self.refusals = dict(refusals or {})
        self.fails: list[Exception] = []
        self.tries: list[str] = []

    async def send_batch(self, messages: Sequence[Outgoing]) -> Sequence[Refusal | None]:
        await asyncio.sleep(0)  # as a real one, it lets others run
        if self.fails:
            raise self.fails.pop(0)
        self.tries += [one.body for one in messages]
        self.batches.append([one.body for one in messages if one.body not in self.refusals])
        return [self.refusals.get(one.body) for one in messages]

    @property
    def bodies(self) -> list[str]:
        return [body for batch in self.batches for body in batch]


def row_of(identifier: str, sequence: int = 0, *, body: str = "", in_seconds: float = 0) -> OutboxRow:
    return OutboxRow(
        identifier=identifier,
        sequence=sequence,
        event_id=f"event-{identifier}-{sequence}",
        body=body or f"{identifier} {sequence}",
        due_at=utc_now() + timedelta(seconds=in_seconds),
    )


def publisher_of(outbox: MemoryOutbox, queue: ResponseQueue) -> Publisher:
    return Publisher(outbox, queue, utc_now, random=Impatient())


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def publishing(publisher: Publisher) -> AsyncIterator[None]:
    stop = asyncio.Event()
    running = asyncio.create_task(publisher.run(stop))
    yield
    assert not running.done()
    stop.set()
    async with asyncio.timeout(20):
        await running


def events(caplog: pytest.LogCaptureFixture, event: str) -> list[logging.LogRecord]:
    return [record for record in caplog.records if getattr(record, "event", "") == event]


# With a real queue


async def test_every_report_arrives_with_the_body_that_was_stored(
    connector: Connector, create_queue: CreateQueue, sqs: SQSClient
) -> None:
    url = create_queue()
    rows = [row_of(f"alert {number}", body=json.dumps({"number": number})) for number in range(23)]
    outbox = MemoryOutbox(*rows)
    queue = connector.open(url)

    async with publishing(publisher_of(outbox, queue)):
        await until(lambda: not outbox.waiting)

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
        await until(lambda: not outbox.waiting)

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
        await until(lambda: not outbox.waiting)

    assert [row.identifier for row in outbox.parked] == ["large"]
    assert [message["Body"] for message in sqs.receive_message(QueueUrl=url)["Messages"]] == ["small 0"]


# When it sends


async def test_a_report_is_sent_when_it_is_due_and_not_before() -> None:
    outbox, queue = MemoryOutbox(row_of("later", in_seconds=0.5), row_of("now")), ScriptedQueue()

    async with publishing(publisher_of(outbox, queue)):
        await until(lambda: not outbox.waiting)

    assert queue.batches == [["now 0"], ["later 0"]]


async def test_a_new_report_wakes_the_publisher() -> None:
    outbox, queue = MemoryOutbox(), ScriptedQueue()
    publisher = publisher_of(outbox, queue)

    async with publishing(publisher):
        await until(lambda: outbox.looked)
        outbox.waiting.append(row_of("new"))
        publisher.wake()
        await until(lambda: outbox.sent)

    assert queue.bodies == ["new 0"]


async def test_a_flush_sends_all_that_is_due_now_and_nothing_else() -> None:
    rows = [row_of(str(number)) for number in range(25)]
    outbox, queue = MemoryOutbox(*rows, row_of("held", in_seconds=3600)), ScriptedQueue()

    await publisher_of(outbox, queue).flush()

    assert [len(batch) for batch in queue.batches] == [10, 10, 5]
    assert [row.identifier for row in outbox.waiting] == ["held"]


async def test_a_flush_ends_at_the_first_trouble() -> None:
    outbox, queue = MemoryOutbox(row_of("one")), ScriptedQueue()
    queue.fails = [TransientError("SQS is away")]

    await publisher_of(outbox, queue).flush()

    assert [row.identifier for row in outbox.waiting] == ["one"]


# Refusals and trouble


async def test_a_report_refused_for_good_is_parked_and_told_of(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    outbox, queue = MemoryOutbox(row_of("bad"), row_of("good")), ScriptedQueue({"bad 0": PERMANENT})

    async with publishing(publisher_of(outbox, queue)):
        await until(lambda: not outbox.waiting)

    assert [row.identifier for row in outbox.parked] == ["bad"]
    assert [row.identifier for row in outbox.sent] == ["good"]
    [parked] = events(caplog, "report.parked")
    assert parked.levelno == logging.ERROR
    fields = {"identifier": "bad", "sequence": 0, "event_id": "event-bad-0", "code": "InvalidMessageContents"}
    assert parked.__dict__["fields"] == fields
    [sent] = events(caplog, "report.sent")
    assert sent.__dict__["fields"]["identifier"] == "good"


async def test_reports_refused_for_now_rest_while_others_go_on() -> None:
    class Patient(Random):
        def uniform(self, a: float, b: float) -> float:  # noqa: ARG002 - the shape of Random
            return 3600.0

    resting = [row_of(f"rests {number}") for number in range(9)]
    others = [row_of(f"goes {number}") for number in range(40)]
    outbox = MemoryOutbox(*resting, *others)
    queue = ScriptedQueue({row.body: PASSING for row in resting})

    async with publishing(Publisher(outbox, queue, utc_now, random=Patient())):
        await until(lambda: len(outbox.sent) == 40)

    assert outbox.waiting == resting
    assert [queue.tries.count(row.body) for row in resting] == [1] * 9


async def test_a_report_refused_for_now_is_tried_again_until_it_is_taken() -> None:
    outbox, queue = MemoryOutbox(row_of("one")), ScriptedQueue({"one 0": PASSING})

    async with publishing(publisher_of(outbox, queue)):
        await until(lambda: queue.tries.count("one 0") >= 3)
        queue.refusals.clear()
        await until(lambda: outbox.sent)

    assert queue.bodies == ["one 0"]


async def test_a_queue_that_takes_none_of_a_whole_batch_is_given_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows = [row_of(str(number)) for number in range(30)]
    outbox, queue = MemoryOutbox(*rows), ScriptedQueue({row.body: PASSING for row in rows})

    async with publishing(publisher_of(outbox, queue)):
        await until(lambda: events(caplog, "publishing.failed"))
        queue.refusals.clear()
        await until(lambda: not outbox.waiting)

    assert sorted(queue.bodies) == sorted(row.body for row in rows)


@pytest.mark.parametrize(
    "trouble",
    [TransientError("SQS is away"), StartRefused("the queue is gone"), RuntimeError("a fault of ours")],
)
async def test_publishing_goes_on_after_any_trouble(trouble: Exception) -> None:
    outbox, queue = MemoryOutbox(row_of("one")), ScriptedQueue()
    queue.fails = [trouble, trouble]

    async with publishing(publisher_of(outbox, queue)):
        await until(lambda: outbox.sent)

    assert queue.bodies == ["one 0"]


async def test_a_report_that_was_sent_but_could_not_be_marked_is_not_sent_again() -> None:
    outbox, queue = MemoryOutbox(row_of("one"), row_of("two")), ScriptedQueue()
    outbox.fails = [StoreError("disk full"), StoreError("disk full")]

    async with publishing(publisher_of(outbox, queue)):
        await until(lambda: outbox.sent)

    assert queue.bodies == ["one 0", "two 0"]


async def test_a_stop_ends_the_wait_after_trouble() -> None:
    class Endless(Random):
        def uniform(self, a: float, b: float) -> float:  # noqa: ARG002 - the shape of Random
            return 3600.0

    outbox, queue, stop = MemoryOutbox(row_of("one")), ScriptedQueue(), asyncio.Event()
    queue.fails = [TransientError("SQS is away")]
    running = asyncio.create_task(Publisher(outbox, queue, utc_now, random=Endless()).run(stop))
    await until(lambda: not queue.fails)

    stop.set()
    await asyncio.wait_for(running, timeout=20)

    assert outbox.waiting
