"""Tests whether the worker has the permissions it needs on a queue, with calls that change nothing.

Each call is invalid: an empty batch, a receipt handle that SQS never issued, more than ten messages. SQS
checks permissions first. IAM has no actions for batches: the right to send a message covers batches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from bot.aws.errors import DENIED, code_of
from bot.sqs.queues import Queue

_NO_HANDLE = "no message has this handle"

_ATTEMPTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    # If SQS returned a message all the same, it would be visible again immediately.
    "ReceiveMessage": (
        "receive_message",
        {"MaxNumberOfMessages": 11, "VisibilityTimeout": 0, "WaitTimeSeconds": 0},
    ),
    "DeleteMessage": ("delete_message", {"ReceiptHandle": _NO_HANDLE}),
    "ChangeMessageVisibility": (
        "change_message_visibility",
        {"ReceiptHandle": _NO_HANDLE, "VisibilityTimeout": 0},
    ),
    "SendMessage": ("send_message_batch", {"Entries": []}),
}


async def denied_actions(queue: Queue, actions: Sequence[str]) -> Sequence[str]:
    """Return which of the actions are denied. Raises `BotoCoreError` if SQS does not answer."""
    tried = [action for action in actions if action in _ATTEMPTS]
    return [action for action in tried if await _is_denied(queue, action)]


async def _is_denied(queue: Queue, action: str) -> bool:
    operation, arguments = _ATTEMPTS[action]
    try:
        await queue.call(operation, **arguments)
    except ClientError as error:
        return code_of(error) in DENIED
    return False
