"""One SQS queue, as asynchronous calls with our own errors."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from bot.aws.access import Client
from bot.aws.errors import code_of
from bot.errors import TransientError, TriageBotError
from bot.sqs.errors import is_fixable, is_unfit, remedy_of, translate
from bot.threads import DaemonThreads
from bot.triage.ports import NO_METER, Meter

#: The most messages in one batch call (SQS quotas, as of 2026-11).
BATCH = 10

#: The most bytes of one message, and of a whole batch: 1 MiB since August 2025 (SQS quotas).
BATCH_BYTES = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """A received message, hidden from other receivers for its visibility timeout."""

    message_id: str
    receipt_handle: str
    body: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Outgoing:
    """A message to send. `group` and `deduplication` apply only to FIFO queues, which require both."""

    body: str
    group: str
    deduplication: str
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """The size in bytes, as SQS counts it: the body, and each attribute's name, type and value."""
        texts = [self.body]
        for name, value in self.attributes.items():
            texts += [name, "String", value]
        return sum(len(text.encode()) for text in texts)


@dataclass(frozen=True, kw_only=True, slots=True)
class FailedEntry:
    """An entry of a batch call that failed. `permanent`: sending it again cannot help."""

    code: str
    permanent: bool
    unfit: bool  #: the queue blames the message's size or characters

    @property
    def explanation(self) -> str:
        """The code, with its remedy if one is known."""
        remedy = remedy_of(self.code)
        return f"{self.code}: {remedy}" if remedy else self.code


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueFacts:
    """A queue as SQS describes it. The three counts are approximate."""

    arn: str
    visible: int
    in_flight: int
    delayed: int
    encryption: str  #: `sqs`, a KMS key's id, or empty
    dead_letter_arn: str = ""
    max_receive_count: int | None = None
    date: str = ""  #: the `Date` header of the response


class SendQueue(Protocol):
    """What the publisher and the dead letters need of a queue."""

    async def send_batch(self, messages: Sequence[Outgoing]) -> Sequence[FailedEntry | None]:
        """See `Queue.send_batch`."""


class Queue:
    """One queue. Its methods raise `StartRefused` if somebody must fix something first, or `TransientError`.

    Long polls have a thread of their own; the other calls of all queues share one.
    """

    def __init__(
        self,
        url: str,
        *,
        polls: Client,
        calls: Client,
        calls_thread: DaemonThreads,
        meter: Meter = NO_METER,
    ) -> None:
        self.url = url
        self.fifo = url.endswith(".fifo")
        self._polls = polls
        self._calls = calls
        self._polls_thread = DaemonThreads("sqs-polls")
        self._calls_thread = calls_thread
        self._meter = meter

    async def receive(
        self, *, limit: int = BATCH, wait_seconds: int = 20, visibility_seconds: int = 60
    ) -> Sequence[Received]:
        """Wait up to `wait_seconds` for messages; return up to `limit`.

        Do not cancel this: messages that arrive later would stay hidden until their visibility timeout ends.
        """
        operation = "receive_message"
        options = {
            "MaxNumberOfMessages": limit,
            "WaitTimeSeconds": wait_seconds,
            "VisibilityTimeout": visibility_seconds,
        }
        try:
            answer = await self._polls_thread.run(self._polls.call, operation, QueueUrl=self.url, **options)
        except (ClientError, BotoCoreError) as error:
            raise self._translate(error, operation) from error
        return [self._read_message(each) for each in answer.get("Messages", ())]

    async def send(self, message: Outgoing) -> str:
        """Send one message; return the id that SQS gave it."""
        entry = {name: value for name, value in self._entry(0, message).items() if name != "Id"}
        return str((await self._ask("send_message", **entry))["MessageId"])

    async def send_batch(self, messages: Sequence[Outgoing]) -> Sequence[FailedEntry | None]:
        """Send one batch (see `cut_into_batches`); return for each message None, or why it was rejected."""
        entries = [self._entry(index, message) for index, message in enumerate(messages)]
        try:
            answer = await self.call("send_message_batch", Entries=entries)
        except (ClientError, BotoCoreError) as error:
            if isinstance(error, ClientError) and is_unfit(code_of(error)):
                return await self._send_singly(messages, code_of(error))
            raise self._translate(error, "send_message_batch") from error
        return _read_results(answer, len(messages))

    async def delete_batch(self, messages: Sequence[Received]) -> Sequence[FailedEntry | None]:
        """Delete up to ten messages; return for each None, or why it was not deleted."""
        entries = [
            {"Id": str(index), "ReceiptHandle": message.receipt_handle}
            for index, message in enumerate(messages)
        ]
        return _read_results(await self._ask("delete_message_batch", Entries=entries), len(messages))

    async def hand_back(self, messages: Sequence[Received]) -> Sequence[FailedEntry | None]:
        """Make up to ten messages visible again immediately; return for each None, or why that failed."""
        entries = [
            {"Id": str(index), "ReceiptHandle": message.receipt_handle, "VisibilityTimeout": 0}
            for index, message in enumerate(messages)
        ]
        answer = await self._ask("change_message_visibility_batch", Entries=entries)
        return _read_results(answer, len(messages))

    async def describe(self) -> QueueFacts:
        """Return the attributes of the queue."""
        answer = await self._ask("get_queue_attributes", AttributeNames=["All"])
        headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        try:
            return read_facts(answer["Attributes"], date=headers.get("date", ""))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise TransientError(f"SQS describes {self.url} in another form ({error!r})") from error

    async def call(self, operation: str, **arguments: Any) -> Any:
        """Call an operation on this queue; return its response. Raises boto3's own errors unchanged."""
        return await self._calls_thread.run(self._calls.call, operation, QueueUrl=self.url, **arguments)

    def close(self) -> None:
        """End the thread of the long polls. The queue cannot be used afterwards."""
        self._polls_thread.close()

    async def _ask(self, operation: str, **arguments: Any) -> Any:
        try:
            return await self.call(operation, **arguments)
        except (ClientError, BotoCoreError) as error:
            raise self._translate(error, operation) from error

    def _translate(self, error: ClientError | BotoCoreError, operation: str) -> TriageBotError:
        # The loops retry any failure forever: somebody may fix it.
        self._meter.count_retried(operation)
        return translate(error, self.url)

    async def _send_singly(self, messages: Sequence[Outgoing], code: str) -> list[FailedEntry | None]:
        # The queue rejected the whole batch because of one message: send each alone, so that the others
        # arrive.
        if len(messages) == 1:
            return [FailedEntry(code=code, permanent=True, unfit=True)]
        return [refusal for message in messages for refusal in await self.send_batch([message])]

    def _read_message(self, message: Mapping[str, Any]) -> Received:
        number, handle, body = message.get("MessageId"), message.get("ReceiptHandle"), message.get("Body", "")
        if not (isinstance(number, str) and isinstance(handle, str) and isinstance(body, str)):
            raise TransientError(f"SQS returned a message of another form from {self.url}")
        return Received(message_id=number, receipt_handle=handle, body=body)

    def _entry(self, index: int, message: Outgoing) -> Any:
        entry: dict[str, Any] = {"Id": str(index), "MessageBody": message.body}
        if message.attributes:
            entry["MessageAttributes"] = {
                name: {"DataType": "String", "StringValue": value}
                for name, value in message.attributes.items()
            }
        if self.fifo:
            entry["MessageGroupId"] = message.group
            entry["MessageDeduplicationId"] = message.deduplication
        return entry


def cut_into_batches(messages: Sequence[Outgoing]) -> Iterator[Sequence[Outgoing]]:
    """Yield the messages in batches that SQS accepts: ten messages, 1 MiB.

    A message that is too large has a batch of its own, so that only it is rejected.
    """
    batch: list[Outgoing] = []
    taken = 0
    for message in messages:
        size = message.size
        if batch and (len(batch) == BATCH or taken + size > BATCH_BYTES):
            yield batch
            batch, taken = [], 0
        batch.append(message)
        taken += size
    if batch:
        yield batch


def read_facts(attributes: Mapping[str, str], *, date: str) -> QueueFacts:
    """Return the facts in the response of GetQueueAttributes; `date` is its `Date` header."""
    redrive = json.loads(attributes.get("RedrivePolicy") or "{}")
    managed = "sqs" if attributes.get("SqsManagedSseEnabled") == "true" else ""
    return QueueFacts(
        arn=attributes["QueueArn"],
        visible=int(attributes["ApproximateNumberOfMessages"]),
        in_flight=int(attributes["ApproximateNumberOfMessagesNotVisible"]),
        delayed=int(attributes["ApproximateNumberOfMessagesDelayed"]),
        encryption=attributes.get("KmsMasterKeyId") or managed,
        dead_letter_arn=redrive.get("deadLetterTargetArn", ""),
        max_receive_count=int(redrive["maxReceiveCount"]) if "maxReceiveCount" in redrive else None,
        date=date,
    )


def _read_results(answer: Mapping[str, Any], count: int) -> list[FailedEntry | None]:
    # A batch call returns 200 whatever happened to its entries. An entry that neither list names has failed.
    failed = {entry.get("Id"): entry for entry in answer.get("Failed", ())}
    done = {entry.get("Id") for entry in answer.get("Successful", ())} - failed.keys()
    return [
        None if name in done else _read_failed_entry(failed.get(name, {})) for name in map(str, range(count))
    ]


def _read_failed_entry(entry: Mapping[str, Any]) -> FailedEntry:
    code = str(entry.get("Code", "unanswered"))
    permanent = bool(entry.get("SenderFault")) and not is_fixable(code)
    return FailedEntry(code=code, permanent=permanent, unfit=permanent and is_unfit(code))
