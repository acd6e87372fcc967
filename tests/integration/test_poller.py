from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from bot.errors import StartRefused, StoreError, TransientError
from bot.sqs.poller import Poller, Receive
from bot.sqs.queues import Outgoing, Queue, Received, Refusal
from bot.triage.model import InvalidBody, TriageRequest

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from bot.sqs.clients import Connector

CreateQueue = Callable[..., str]
Decoded = TriageRequest | InvalidBody

FIELDS = {
    "alert": "duo_bypass_codes_used",
    "identityConfidence": "low",
    "summary": "a private summary",
    "user": "ada@example.com",
}


class Impatient(Random):
    """Draws no waits, so that a test need not wait either."""

    def uniform(self, a: float, b: float) -> float:  # noqa: ARG002 - the shape of Random
        return 0.0


class ScriptedQueue:
    """Gives what the test puts in, one poll after another; remembers what became of each message."""

    def __init__(self) -> None:
        self.polls: asyncio.Queue[Sequence[Received] | Exception] = asyncio.Queue()
        self.polled = 0
        self.deleted: list[str] = []
        self.handed_back: list[str] = []
        self.undeletable: set[str] = set()

    async def receive(self) -> Sequence[Received]:
        self.polled += 1
        brought = await self.polls.get()
        if isinstance(brought, Exception):
            raise brought
        return brought

    async def delete_batch(self, messages: Sequence[Received]) -> Sequence[Refusal | None]:
        refusal = Refusal(code="ReceiptHandleIsInvalid", permanent=True, unfit=False)
        refusals = [refusal if one.message_id in self.undeletable else None for one in messages]
        self.deleted += [
            one.message_id for one, refused in zip(messages, refusals, strict=True) if not refused
        ]
        return refusals

    async def hand_back(self, messages: Sequence[Received]) -> Sequence[Refusal | None]:
        self.handed_back += [one.message_id for one in messages]
        return [None for _ in messages]


class ScriptedDeadLetters:
    """Refuses what it is told to; keeps the rest."""

    def __init__(self, *, longest: int = 1024 * 1024, trouble: Exception | None = None) -> None:
        self.copies: list[Outgoing] = []
        self.longest = longest
        self.trouble = trouble

    async def send_batch(self, messages: Sequence[Outgoing]) -> Sequence[Refusal | None]:
        if self.trouble:
            raise self.trouble
        if any(one.size > self.longest for one in messages):
            return [Refusal(code="InvalidParameterValue", permanent=True, unfit=True)]
        self.copies += messages
        return [None for _ in messages]


class Triage:
    """Stores requests; fails as the test says, then works."""

    def __init__(self, *, fails: Sequence[Exception] = ()) -> None:
        self.stored: list[Decoded] = []
        self.fails = list(fails)
        self.unwanted: set[str] = set()

    async def receive(self, batch: Sequence[Decoded]) -> Sequence[bool]:
        if self.fails:
            raise self.fails.pop(0)
        verdicts = [not (isinstance(one, TriageRequest) and one.identifier in self.unwanted) for one in batch]
        self.stored += [one for one, wanted in zip(batch, verdicts, strict=True) if wanted]
        return verdicts

    @property
    def identifiers(self) -> list[str]:
        return [one.identifier for one in self.stored if isinstance(one, TriageRequest)]


class ShortPolls:
    """A real queue whose long polls end soon, so that a test ends soon."""

    def __init__(self, queue: Queue) -> None:
        self.delete_batch = queue.delete_batch
        self.hand_back = queue.hand_back
        self._queue = queue

    async def receive(self) -> Sequence[Received]:
        return await self._queue.receive(wait_seconds=1)


def body_of(identifier: str, **changes: Any) -> str:
    return json.dumps({"identifier": identifier} | FIELDS | changes)


def received(identifier: str, body: str | None = None) -> Received:
    body = body_of(identifier) if body is None else body
    return Received(message_id=identifier, receipt_handle=f"handle-{identifier}", body=body)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def polling(poller: Poller, queue: ScriptedQueue | None = None) -> AsyncIterator[None]:
    stop = asyncio.Event()
    running = asyncio.create_task(poller.run(stop))
    yield
    assert not running.done()
    stop.set()
    if queue:
        queue.polls.put_nowait([])
    async with asyncio.timeout(20):
        await running


def poller_of(
    queue: ScriptedQueue | ShortPolls,
    receive: Receive,
    dead_letters: ScriptedDeadLetters | Queue | None = None,
    **more: Any,
) -> Poller:
    return Poller(queue, dead_letters, receive, random=Impatient(), **more)


def events(caplog: pytest.LogCaptureFixture, event: str) -> list[logging.LogRecord]:
    return [record for record in caplog.records if getattr(record, "event", "") == event]


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
    triage = Triage()
    queue = connector.open(requests)
    poller = poller_of(ShortPolls(queue), triage.receive, connector.open(dead_letters))

    async with polling(poller):
        await until(lambda: poller.counts["deleted"] == 4)

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
    poller = poller_of(queue, Triage().receive, connector.open(dead_letters))

    async with polling(poller, queue):
        queue.polls.put_nowait([received("one", "{"), received("two", "{")])
        await until(lambda: len(queue.deleted) == 2)

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
        await until(lambda: poller.counts["received"] == 1)
        await asyncio.sleep(0)
        before = list(queue.deleted)
        stored.set()
        await until(lambda: queue.deleted)

    assert before == []
    assert queue.deleted == ["one"]


async def test_a_request_that_was_not_stored_is_left() -> None:
    queue, triage = ScriptedQueue(), Triage()
    triage.unwanted = {"two"}
    poller = poller_of(queue, triage.receive)

    async with polling(poller, queue):
        queue.polls.put_nowait([received("one"), received("two"), received("three")])
        await until(lambda: poller.counts["deleted"] == 2)

    assert queue.deleted == ["one", "three"]
    assert queue.handed_back == []
    assert poller.counts["left"] == 1


async def test_a_request_that_could_not_be_deleted_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    queue = ScriptedQueue()
    queue.undeletable = {"one"}
    poller = poller_of(queue, Triage().receive)

    async with polling(poller, queue):
        queue.polls.put_nowait([received("one"), received("two")])
        await until(lambda: queue.deleted)

    assert queue.deleted == ["two"]
    [record] = events(caplog, "request.left")
    assert record.__dict__["fields"] == {"message_id": "one", "code": "ReceiptHandleIsInvalid"}


async def test_an_invalid_request_is_left_if_its_copy_fails_and_others_go_on() -> None:
    queue, triage = ScriptedQueue(), Triage()
    dead_letters = ScriptedDeadLetters(trouble=TransientError("SQS is away"))
    poller = poller_of(queue, triage.receive, dead_letters)

    async with polling(poller, queue):
        queue.polls.put_nowait([received("one", "{"), received("two")])
        await until(lambda: queue.deleted)

    assert queue.deleted == ["two"]
    assert queue.handed_back == []
    assert triage.identifiers == ["two"]


async def test_a_copy_that_is_too_large_is_cut_and_says_so() -> None:
    queue, dead_letters = ScriptedQueue(), ScriptedDeadLetters(longest=1024)
    poller = poller_of(queue, Triage().receive, dead_letters)
    body = "é" * 500_000

    async with polling(poller, queue):
        queue.polls.put_nowait([received("one", body)])
        await until(lambda: queue.deleted)

    [copy] = dead_letters.copies
    assert copy.body == "é" * 250
    assert copy.attributes == {"reason": "the body is not JSON; the body is truncated to 500 bytes"}


async def test_without_a_dead_letter_queue_the_bot_warns_once_and_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    queue, triage = ScriptedQueue(), Triage()
    poller = poller_of(queue, triage.receive)

    async with polling(poller, queue):
        for number in range(3):
            queue.polls.put_nowait([received(str(number), "{")])
        await until(lambda: len(queue.deleted) == 3)

    assert len(events(caplog, "dead_letters.missed")) == 1
    assert poller.counts["rejected"] == len(triage.stored) == 3


async def test_no_body_and_no_address_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    queue = ScriptedQueue()
    poller = poller_of(queue, Triage(fails=[RuntimeError()]).receive, ScriptedDeadLetters())

    async with polling(poller, queue):
        batch = [received("one", body_of("one", identityConfidence="sure")), received("two", "secret {")]
        queue.polls.put_nowait(batch)
        queue.polls.put_nowait(batch)
        await until(lambda: queue.deleted)

    assert len(events(caplog, "request.rejected")) == 4
    told = caplog.text + "".join(str(record.__dict__) for record in caplog.records)
    for private in ("ada@example.com", "a private summary", "secret {", "sure"):
        assert private not in told


# Trouble


@pytest.mark.parametrize(
    "trouble",
    [TransientError("SQS is away"), StartRefused("the queue is gone"), RuntimeError("a fault of ours")],
)
async def test_polling_goes_on_after_any_trouble(
    trouble: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    queue, triage = ScriptedQueue(), Triage(fails=[trouble])
    poller = poller_of(queue, triage.receive)

    async with polling(poller, queue):
        queue.polls.put_nowait(trouble)
        queue.polls.put_nowait([received("handed back")])
        queue.polls.put_nowait([received("stored")])
        await until(lambda: queue.deleted)

    assert queue.handed_back == ["handed back"]
    assert queue.deleted == ["stored"]
    assert [record.__dict__["fields"]["error"] for record in events(caplog, "poll.failed")] == [
        type(trouble).__name__
    ] * 2


async def test_nothing_is_polled_while_the_store_refuses_writes() -> None:
    queue, triage = ScriptedQueue(), Triage(fails=[StoreError("disk full")])
    polled_at_probe: list[int] = []

    async def probe() -> None:
        polled_at_probe.append(queue.polled)
        if len(polled_at_probe) < 3:
            raise StoreError("disk full")

    poller = poller_of(queue, triage.receive, probe=probe)
    async with polling(poller, queue):
        queue.polls.put_nowait([received("one")])
        queue.polls.put_nowait([received("two")])
        await until(lambda: queue.deleted)

    assert polled_at_probe == [1, 1, 1]
    assert queue.handed_back == ["one"]
    assert queue.deleted == ["two"]


async def test_polling_goes_on_if_the_probe_itself_is_broken() -> None:
    queue, triage = ScriptedQueue(), Triage(fails=[StoreError("disk full")])

    async def probe() -> None:
        raise RuntimeError("a fault of ours")

    poller = poller_of(queue, triage.receive, probe=probe)
    async with polling(poller, queue):
        queue.polls.put_nowait([received("one")])
        queue.polls.put_nowait([received("two")])
        await until(lambda: queue.deleted)

    assert queue.deleted == ["two"]


async def test_a_batch_of_which_nothing_was_stored_counts_as_trouble() -> None:
    queue, triage = ScriptedQueue(), Triage()
    triage.unwanted = {"one"}
    poller = poller_of(queue, triage.receive)

    async with polling(poller, queue):
        queue.polls.put_nowait([received("one")])
        await until(lambda: poller.counts["failures"])

    assert queue.deleted == queue.handed_back == []


# Stop


async def test_what_the_poll_in_flight_brings_at_stop_is_handed_back() -> None:
    queue, triage, stop = ScriptedQueue(), Triage(), asyncio.Event()
    running = asyncio.create_task(poller_of(queue, triage.receive).run(stop))
    await until(lambda: queue.polled)

    stop.set()
    await asyncio.sleep(0)
    queue.polls.put_nowait([received("late")])
    await asyncio.wait_for(running, timeout=20)

    assert queue.handed_back == ["late"]
    assert queue.deleted == []
    assert triage.stored == []


async def test_a_poll_that_brings_nothing_does_not_hold_the_stop() -> None:
    queue, stop = ScriptedQueue(), asyncio.Event()
    running = asyncio.create_task(poller_of(queue, Triage().receive).run(stop))
    await until(lambda: queue.polled)

    stop.set()
    await asyncio.wait_for(running, timeout=15)  # a long poll would take 20 s

    assert queue.polled == 1


async def test_a_stop_ends_the_wait_after_trouble() -> None:
    queue, stop = ScriptedQueue(), asyncio.Event()
    queue.polls.put_nowait(TransientError("SQS is away"))

    class Endless(Random):
        def uniform(self, a: float, b: float) -> float:  # noqa: ARG002 - the shape of Random
            return 3600.0

    poller = Poller(queue, None, Triage().receive, random=Endless())
    running = asyncio.create_task(poller.run(stop))
    await until(lambda: poller.counts["failures"])

    stop.set()
    await asyncio.wait_for(running, timeout=20)

    assert queue.polled == 1
