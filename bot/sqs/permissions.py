"""Whether the worker may do what it must, tried with calls that can do nothing.

IAM has no actions for batches: who may send a batch may send. An empty batch is refused for being empty, a
handle that SQS never gave for being wrong, and nobody may ask for more than ten messages; but whoever may
not do it at all is told that first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from bot.aws.errors import code_of
from bot.sqs.errors import is_denied

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mypy_boto3_sqs import SQSClient

    from bot.sqs.queues import Queue

_NO_HANDLE = "no message has this handle"

_ATTEMPTS: Mapping[str, Callable[[SQSClient, str], Any]] = {
    # Were a message handed out all the same, it would be visible again at once.
    "ReceiveMessage": lambda sqs, url: sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=11, VisibilityTimeout=0, WaitTimeSeconds=0
    ),
    "DeleteMessage": lambda sqs, url: sqs.delete_message(QueueUrl=url, ReceiptHandle=_NO_HANDLE),
    "ChangeMessageVisibility": lambda sqs, url: sqs.change_message_visibility(
        QueueUrl=url, ReceiptHandle=_NO_HANDLE, VisibilityTimeout=0
    ),
    "SendMessage": lambda sqs, url: sqs.send_message_batch(QueueUrl=url, Entries=[]),
}


async def denied_actions(queue: Queue, actions: Sequence[str]) -> Sequence[str]:
    """Return those of the actions that the queue denies us. boto3's errors as they come, but refusals."""
    tried = [action for action in actions if action in _ATTEMPTS]
    return [action for action in tried if await _is_denied(queue, action)]


async def _is_denied(queue: Queue, action: str) -> bool:
    try:
        await queue.call(_ATTEMPTS[action])
    except ClientError as error:
        return is_denied(code_of(error))
    return False
