"""Whether the worker may do what it must, tried with calls that can do nothing.

IAM has no actions for batches: who may send a batch may send. An empty batch is refused for being empty, a
handle that SQS never gave for being wrong, and nobody may ask for more than ten messages; but whoever may
not do it at all is told that first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from bot.aws.errors import DENIED, code_of
from bot.sqs.queues import Queue

_NO_HANDLE = "no message has this handle"

_ATTEMPTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    # Were a message handed out all the same, it would be visible again at once.
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
    """Return those of the actions that the queue denies us. boto3's errors as they come, but refusals."""
    tried = [action for action in actions if action in _ATTEMPTS]
    return [action for action in tried if await _is_denied(queue, action)]


async def _is_denied(queue: Queue, action: str) -> bool:
    operation, arguments = _ATTEMPTS[action]
    try:
        await queue.call(operation, **arguments)
    except ClientError as error:
        return code_of(error) in DENIED
    return False
