"""Translates the errors of SQS and boto3 into those of `bot.errors`."""

from __future__ import annotations

import logging
from functools import partial

from botocore.exceptions import BotoCoreError, ClientError

from bot.aws.errors import BAD_CREDENTIALS, DENIED, code_of, explain, is_of_kms, kms_remedy, needs_fixing
from bot.aws.region import region_in
from bot.errors import StartRefused, TransientError, TriageBotError
from bot.triage.log_events import Event, log_event

_MISSING_QUEUE = {"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "InvalidAddress"}
#: The queue rejects the message itself: it is too long, or has characters that SQS does not allow.
_UNFIT_MESSAGE = {
    "AWS.SimpleQueueService.BatchRequestTooLong",
    "BatchRequestTooLong",
    "InvalidMessageContents",
    "InvalidParameterValue",
    "InvalidParameterValueException",
}


def is_unfit(code: str) -> bool:
    """Whether the code blames the message itself, so that sending it again cannot help."""
    return code in _UNFIT_MESSAGE


def is_fixable(code: str) -> bool:
    """Whether the code blames a policy, credentials, a key or the rate: the message may be accepted later."""
    return code in DENIED | BAD_CREDENTIALS or is_of_kms(code) or "Throttl" in code


def rights_with_key(*, to_send: bool) -> str:
    """Return the permissions on the key that a call on an encrypted queue needs."""
    return "kms:GenerateDataKey and kms:Decrypt" if to_send else "kms:Decrypt"


def remedy_of(code: str) -> str:
    """Return the remedy for a code with which SQS rejects one message of a batch; empty if none is known."""
    if is_of_kms(code):
        return kms_remedy(code, rights_with_key(to_send=True))
    return "grant this worker sqs:SendMessage" if code in DENIED else ""


def translate(error: ClientError | BotoCoreError, queue_url: str) -> StartRefused | TransientError:
    """Return the error to raise for a failed call: `StartRefused` if somebody must fix something first.

    Its text names the queue and the remedy, and never repeats what was sent.
    """
    if isinstance(error, ClientError) and code_of(error) in _MISSING_QUEUE:
        region = region_in(queue_url)
        listed = f"`aws sqs list-queues{f' --region {region}' if region else ''}` lists those that exist"
        return StartRefused(
            f"there is no queue {queue_url} ({code_of(error)}): create it, or correct its URL; {listed}"
        )
    rights = rights_with_key(
        to_send=isinstance(error, ClientError) and error.operation_name.startswith("SendMessage")
    )
    sentence = explain(error, queue_url, service="sqs", key_rights=rights)
    return StartRefused(sentence) if needs_fixing(error) else TransientError(sentence)


def log_interruption(
    log: logging.Logger, event: Event, message: str, error: Exception, wait_seconds: float
) -> None:
    """Log that a loop failed and retries; `message` has a `%s` for what is wrong."""
    is_ours = isinstance(error, TriageBotError)
    log_event(
        partial(log.warning, exc_info=None if is_ours else error),  # our own errors say it all in a sentence
        event,
        message,
        error if is_ours else type(error).__name__,
        error=type(error).__name__,
        wait_seconds=wait_seconds,
    )
