"""A queue as SQS describes it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


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
    date: str = ""  #: when SQS said so, as the header of its answer has it


def facts_of(attributes: Mapping[str, str], *, date: str) -> QueueFacts:
    """Return what GetQueueAttributes says, with the Date header of its answer."""
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
