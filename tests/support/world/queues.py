"""The other ends of the queues: MozDef's, and that for dead letters."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mypy_boto3_sqs import SQSClient


@dataclass(frozen=True, kw_only=True)
class Letter:
    """A message as it left the queue: body, message attributes, and what SQS knows of it."""

    body: str
    reason: str  #: the attribute of a dead letter; empty if there is none
    attributes: dict[str, str]

    @property
    def sent_at(self) -> float:
        """When SQS took it, in seconds since 1970."""
        return int(self.attributes["SentTimestamp"]) / 1000

    @property
    def details(self) -> dict[str, Any]:
        details: dict[str, Any] = json.loads(self.body)["details"]
        return details


class Mailbox:
    """Empties a queue, and keeps what was in it in the order of its coming."""

    def __init__(self, sqs: SQSClient, url: str) -> None:
        self._sqs = sqs
        self.url = url
        self._letters: list[Letter] = []

    def letters(self) -> Sequence[Letter]:
        """Take what is in the queue now; return all that was ever taken."""
        self.take()
        return self._letters

    def take(self, at_most: float = math.inf) -> Sequence[Letter]:
        """Take the messages in the queue, but stop soon after `at_most`; return those that were taken."""
        begin = len(self._letters)
        while len(self._letters) - begin < at_most and (messages := self._receive()):
            entries: list[Any] = []
            for index, message in enumerate(messages):
                reason = message.get("MessageAttributes", {}).get("reason", {}).get("StringValue", "")
                facts = dict(message["Attributes"])
                self._letters.append(Letter(body=message["Body"], reason=reason, attributes=facts))
                entries.append({"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]})
            self._sqs.delete_message_batch(QueueUrl=self.url, Entries=entries)
        return self._letters[begin:]

    def _receive(self) -> list[Any]:
        answer = self._sqs.receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=10,
            AttributeNames=["All"],
            MessageAttributeNames=["All"],
            WaitTimeSeconds=0,
        )
        return list(answer.get("Messages", []))
