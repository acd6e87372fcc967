"""The poller: the fates of messages, trouble, polls that bring nothing, and its stop."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Callable, Sequence
from functools import partial

import pytest
from fakes import ScriptedMessenger, SteppedClock
from machine import FakeMachine
from memory_store import MemoryStore
from mypy_boto3_sqs import SQSClient
from scripted_queue import (
    Decoded,
    ScriptedDeadLetters,
    ScriptedQueue,
    ScriptedTriage,
    ShortPolls,
    Unwavering,
    body_of,
    events,
    poller_of,
    polling,
    received,
)
from wiring import instead, wired
from world import eventually

from bot.clock import Service
from bot.errors import StartRefused, StoreError, TransientError
from bot.sqs.clients import Connector
from bot.sqs.poller import UNDATED_MAX, Poller
from bot.sqs.queues import FailedEntry, Outgoing, Received
from bot.triage.model import Conflict, InvalidBody
from bot.triage.ports import Meter

CreateQueue = Callable[..., str]


class Counted(Meter):
    """Counts conflicts."""

    conflicts = 0

    def count_conflicted(self) -> None:
        self.conflicts += 1


# With a real queue


async def test_requests_are_taken_from_the_queue_and_invalid_ones_copied(
    connector: Connector, create_queue: CreateQueue, sqs: SQSClient
) -> None:
    requests, dead_letters = create_queue(), create_queue()
    bodies = [
        body_of("one"),
        base64.b64encode(body_of("two").encode()).decode(),
        "not JSON",
        body_of("three", user="N/A"),
    ]
    for body in bodies:
        sqs.send_message(QueueUrl=requests, MessageBody=body)
    triage = ScriptedTriage()
    queue = connector.open(requests)
    poller = poller_of(ShortPolls(queue), triage.receive, connector.open(dead_letters))

    async with polling(poller):
        await eventually(lambda: poller.counts["deleted"] == 4)

    assert sorted(triage.identifiers) == ["one", "two"]
    salvaged = [one.salvaged for one in triage.stored if isinstance(one, InvalidBody)]
    assert {one and one.identifier for one in salvaged} == {None, "three"}
    facts = await queue.describe()
    assert (facts.visible, facts.in_flight) == (0, 0)
    copies = sqs.receive_message(
        QueueUrl=dead_letters, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
    )["Messages"]
    assert {copy["Body"]: copy["MessageAttributes"]["reason"]["StringValue"] for copy in copies} == {
        "not JSON": "the body is not JSON",
        body_of("three", user="N/A"): "user must be an ASCII e-mail address of at most 254 characters",
    }


async def test_a_fifo_dead_letter_queue_takes_copies_too(
    connector: Connector, create_queue: CreateQueue, sqs: SQSClient
) -> None:
    queue, dead_letters = ScriptedQueue(), create_queue(fifo=True)
    poller = poller_of(queue, ScriptedTriage().receive, connector.open(dead_letters))

    async with polling(poller, queue):
        queue.polls.put_nowait([received("one", "{"), received("two", "{")])
        await eventually(lambda: len(queue.deleted) == 2)

    assert len(sqs.receive_message(QueueUrl=dead_letters, MaxNumberOfMessages=10)["Messages"]) == 2


# The fates of a message


async def test_a_request_is_deleted_only_after_it_is_stored() -> None:
    queue, stored = ScriptedQueue(), asyncio.Event()

    async def receive(batch: Sequence[Decoded]) -> Sequence[bool]:
        await stored.wait()
        return [True for _ in batch]

    poller = poller_of(queue, receive)
    async with polling(poller, queue):
        queue.polls.put_nowait([received("one")])
        await eventually(lambda: poller.counts["received"] == 1)
        await asyncio.sleep(0)
        before = list(queue.deleted)
        stored.set()
        await eventually(lambda: queue.deleted)

    assert before == []
    assert queue.deleted == ["one"]


async def test_a_request_that_was_not_stored_is_left_and_one_that_could_not_be_deleted_told_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    queue, triage = ScriptedQueue(), ScriptedTriage()
    triage.unwanted, queue.undeletable = {"two"}, {"four"}
    poller = poller_of(queue, triage.receive)

    async with polling(poller, queue):
        queue.polls.put_nowait([received(name) for name in ("one", "two", "three", "four")])
        await eventually(lambda: poller.counts["deleted"] == 2)

    assert queue.deleted == ["one", "three"]
    assert queue.handed_back == []
    [record] = events(caplog, "request.left")
    fields = {"identifier": "four", "message_id": "four", "code": "ReceiptHandleIsInvalid"}
    assert vars(record)["fields"] == fields


async def test_an_invalid_request_is_left_if_its_copy_fails_and_others_go_on() -> None:
    queue, triage = ScriptedQueue(), ScriptedTriage()
    dead_letters = ScriptedDeadLetters(trouble=TransientError("SQS is away"))
    poller = poller_of(queue, triage.receive, dead_letters)

    async with polling(poller, queue):
        queue.polls.put_nowait([received("one", "{"), received("two")])
        await eventually(lambda: queue.deleted)

    assert queue.deleted == ["two"]
    assert queue.handed_back == []
    assert triage.identifiers == ["two"]


async def test_a_request_in_conflict_is_copied_with_the_reason_and_deleted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    queue, triage, dead_letters, meter = ScriptedQueue(), ScriptedTriage(), ScriptedDeadLetters(), Counted()
    triage.conflicting = {"two"}
    poller = poller_of(queue, triage.receive, dead_letters)
    poller.meter = meter

    async with polling(poller, queue):
        queue.polls.put_nowait([received("one"), received("two")])
        await eventually(lambda: len(queue.deleted) == 2)

    [copy] = dead_letters.copies
    assert copy.body == body_of("two")
    assert copy.attributes == {"reason": "another request with this identifier came first, with another user"}
    assert (poller.counts["conflicting"], meter.conflicts) == (1, 1)
    [record] = events(caplog, "request.conflict")
    assert vars(record)["fields"] == {"identifier": "two", "message_id": "two", "fields": "user"}
    assert "ada@example.com" not in caplog.text


async def test_a_request_in_conflict_is_copied_only_after_it_is_stored_and_deleted_only_after_that() -> None:
    queue, triage, dead_letters = ScriptedQueue(), ScriptedTriage(), ScriptedDeadLetters()
    triage.conflicting = {"one"}
    happened: list[str] = []

    async def receive(batch: Sequence[Decoded]) -> Sequence[bool | Conflict]:
        happened.append(f"store, {len(dead_letters.copies)} copied, {len(queue.deleted)} deleted")
        return await triage.receive(batch)

    class Noting(ScriptedDeadLetters):
        async def send_batch(self, messages: Sequence[Outgoing]) -> Sequence[FailedEntry | None]:
            happened.append(f"copy, {len(queue.deleted)} deleted")
            return await super().send_batch(messages)

    async with polling(poller_of(queue, receive, Noting()), queue):
        queue.polls.put_nowait([received("one")])
        await eventually(lambda: queue.deleted)

    assert happened == ["store, 0 copied, 0 deleted", "copy, 0 deleted"]


async def test_a_request_in_conflict_is_left_if_its_copy_fails_and_nothing_is_counted() -> None:
    queue, triage, meter = ScriptedQueue(), ScriptedTriage(), Counted()
    triage.conflicting = {"one"}
    dead_letters = ScriptedDeadLetters(trouble=TransientError("SQS is away"))
    poller = poller_of(queue, triage.receive, dead_letters)
    poller.meter = meter

    async with polling(poller, queue):
        queue.polls.put_nowait([received("one"), received("two")])
        await eventually(lambda: queue.deleted)

    assert queue.deleted == ["two"]
    assert (poller.counts["left"], meter.conflicts) == (1, 0)


async def test_a_copy_that_is_too_large_is_cut_and_says_so() -> None:
    queue, dead_letters = ScriptedQueue(), ScriptedDeadLetters(longest=1024)
    poller = poller_of(queue, ScriptedTriage().receive, dead_letters)
    body = "é" * 500_000

    async with polling(poller, queue):
        queue.polls.put_nowait([received("one", body)])
        await eventually(lambda: queue.deleted)

    [copy] = dead_letters.copies
    assert copy.body == "é" * 250
    assert copy.attributes == {"reason": "the body is not JSON; the body is truncated to 500 bytes"}


async def test_without_a_dead_letter_queue_the_bot_warns_once_and_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    queue, triage = ScriptedQueue(), ScriptedTriage()
    triage.conflicting = {"in conflict"}
    poller = poller_of(queue, triage.receive)

    async with polling(poller, queue):
        for number in range(3):
            queue.polls.put_nowait([received(str(number), "{")])
        queue.polls.put_nowait([received("in conflict")])
        await eventually(lambda: len(queue.deleted) == 4)

    assert len(events(caplog, "dead_letter_queue.missing")) == 1
    assert len(events(caplog, "request.conflict")) == 1
    assert poller.counts["rejected"] == 3


async def test_no_body_and_no_address_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    queue = ScriptedQueue()
    poller = poller_of(queue, ScriptedTriage(fails=[RuntimeError()]).receive, ScriptedDeadLetters())

    async with polling(poller, queue):
        batch = [received("one", body_of("one", identityConfidence="sure")), received("two", "secret {")]
        queue.polls.put_nowait(batch)
        queue.polls.put_nowait(batch)
        await eventually(lambda: queue.deleted)

    assert len(events(caplog, "request.rejected")) == 4
    told = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    for private in ("ada@example.com", "a private summary", "secret {", "sure"):
        assert private not in told


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
    assert [vars(record)["fields"]["error"] for record in events(caplog, "poll.failed")] == [
        type(trouble).__name__
    ] * 2
    assert len(events(caplog, "poll.recovered")) == 1


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


class EmptyQueue(ScriptedQueue):
    """Answers every poll with nothing, after as long as it says."""

    def __init__(self, clock: SteppedClock, *, seconds: float) -> None:
        super().__init__()
        self._clock = clock
        self._seconds = seconds

    async def receive(self, *, wait_seconds: int = 20) -> Sequence[Received]:
        self.polled += 1
        self._clock.advance(seconds=min(self._seconds, wait_seconds))
        await asyncio.sleep(0)
        return []


async def test_polls_are_short_until_one_has_told_the_time() -> None:
    machine, queue = FakeMachine(), ScriptedQueue()
    poller = Poller(queue, None, ScriptedTriage().receive, random=Unwavering())
    poller.clock = machine.clock

    async with polling(poller, queue):
        queue.polls.put_nowait([])
        await eventually(lambda: queue.polled == 2)
        machine.hear(Service.AWS)
        queue.polls.put_nowait([])
        await eventually(lambda: queue.polled == 3)

    assert queue.waits == [2, 2, 20]


@pytest.mark.parametrize("dated", [True, False])
async def test_a_request_that_comes_before_the_time_is_known_is_handed_back_a_few_times(
    *, dated: bool
) -> None:
    machine, queue, triage = FakeMachine(), ScriptedQueue(), ScriptedTriage()
    poller = poller_of(queue, triage.receive)
    poller.clock = machine.clock

    names = [f"{number}" for number in range(UNDATED_MAX + 1)]

    def is_done(name: str) -> bool:
        return name in queue.handed_back + queue.deleted

    async with polling(poller, queue):
        for name in names:
            queue.polls.put_nowait([received(name)])
            await eventually(partial(is_done, name))
            if dated:
                machine.hear(Service.AWS)

    handed_back = 1 if dated else UNDATED_MAX
    assert (queue.handed_back, queue.deleted) == (names[:handed_back], names[handed_back:])


@pytest.mark.parametrize(("seconds", "polls"), [(0.001, 1), (0.9, 1), (1.0, 10), (20.0, 10)])
async def test_after_a_poll_that_brings_nothing_at_once_the_next_one_waits(
    seconds: float, polls: int
) -> None:
    clock = SteppedClock()
    queue, stop = EmptyQueue(clock, seconds=seconds), asyncio.Event()
    poller = Poller(queue, None, ScriptedTriage().receive, random=Unwavering(3600.0))
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
    poller = Poller(queue, None, ScriptedTriage().receive, random=Unwavering(3600.0))
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

    poller = Poller(queue, None, ScriptedTriage().receive, random=Unwavering(3600.0))
    running = asyncio.create_task(poller.run(stop))
    await eventually(lambda: poller.counts["failures"])

    stop.set()
    await asyncio.wait_for(running, timeout=20)

    assert queue.polled == 1


async def test_a_batch_is_handed_back_once_and_nothing_is_polled_until_the_store_takes_writes() -> None:
    store, queue = MemoryStore(), ScriptedQueue()
    clock = SteppedClock()
    service = wired(store, clock=clock, messenger=instead(ScriptedMessenger(clock=clock))).service
    store.fails = [StoreError("disk full")] * 4  # the batch's own write, then three probes
    polled_at_probe: list[int] = []

    async def probe() -> None:
        polled_at_probe.append(queue.polled)
        await store.probe()

    poller = poller_of(queue, service.receive, probe=probe)
    async with polling(poller, queue):
        queue.polls.put_nowait([received("one"), received("two")])
        queue.polls.put_nowait([received("one"), received("two")])  # as SQS brings them again
        await eventually(lambda: queue.deleted)

    assert polled_at_probe == [1, 1, 1, 1]
    assert queue.handed_back == ["one", "two"]
    assert queue.deleted == ["one", "two"]
    assert {each.request.identifier for each in store.questions.values()} == {"one", "two"}
