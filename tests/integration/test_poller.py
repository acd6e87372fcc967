from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Callable, Sequence

import pytest
from mypy_boto3_sqs import SQSClient
from scripted_queue import ScriptedQueue, events
from scripted_requests import (
    Decoded,
    ScriptedDeadLetters,
    ScriptedTriage,
    ShortPolls,
    body_of,
    poller_of,
    polling,
    received,
)
from world import eventually

from bot.errors import TransientError
from bot.sqs.clients import Connector
from bot.sqs.queues import FailedEntry, Outgoing
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
