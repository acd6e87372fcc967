"""What SQS and boto3 mean by their errors, in the words of `bot.errors`."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError

from bot.aws.answers import NotAnAnswer
from bot.aws.errors import (
    BAD_CREDENTIALS,
    DENIED,
    NO_CREDENTIALS,
    action_of,
    code_of,
    is_of_kms,
    kms_remedy,
)
from bot.errors import StartRefused, TransientError

_MISSING_QUEUE = {"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "InvalidAddress"}
#: A message that the queue will not take as it is: too long, or characters that it does not know.
_UNFIT_MESSAGE = {
    "AWS.SimpleQueueService.BatchRequestTooLong",
    "BatchRequestTooLong",
    "InvalidMessageContents",
    "InvalidParameterValue",
    "InvalidParameterValueException",
}


def is_unfit(code: str) -> bool:
    """Whether the code blames the message itself, so that the same message will never be taken."""
    return code in _UNFIT_MESSAGE


def is_denied(code: str) -> bool:
    """Whether the code says that a policy does not allow it."""
    return code in DENIED


def is_fixable(code: str) -> bool:
    """Whether the code blames a policy, a key or the pace: the same message may be taken later."""
    return code in DENIED or is_of_kms(code) or "Throttl" in code


def rights_with_key(*, to_send: bool) -> str:
    """Return the permissions on the key that a call on an encrypted queue needs."""
    return "kms:GenerateDataKey and kms:Decrypt" if to_send else "kms:Decrypt"


def remedy_of(code: str) -> str:
    """Return the remedy for a code with which SQS refuses one message of a batch; empty if there is none."""
    if is_of_kms(code):
        return kms_remedy(code, rights_with_key(to_send=True))
    return "grant this worker sqs:SendMessage" if is_denied(code) else ""


def translate(error: ClientError | BotoCoreError, queue_url: str) -> StartRefused | TransientError:
    """Say what the error means for the worker: the engineer must mend something, or it goes by.

    The sentences name the queue and what to do, never what was sent.
    """
    if isinstance(error, ClientError):
        return _translate_refusal(error, queue_url)
    if isinstance(error, NO_CREDENTIALS):
        return StartRefused(f"there are no usable AWS credentials for {queue_url}: {error}")
    if isinstance(error, NotAnAnswer):
        return TransientError(f"SQS is not reached for {queue_url} ({error})")
    # Not the error's own words: those of a failed validation repeat what was sent.
    return TransientError(f"SQS cannot be reached for {queue_url} ({type(error).__name__})")


def _translate_refusal(error: ClientError, queue_url: str) -> StartRefused | TransientError:
    code = code_of(error)
    if code in _MISSING_QUEUE:
        return StartRefused(f"there is no queue {queue_url}: create it, or correct its URL and region")
    if is_of_kms(code):
        return _key_refused(error, queue_url)
    if is_denied(code):
        action = action_of(error, "sqs")
        return StartRefused(f"access to {queue_url} is denied ({code}): allow {action} to this worker")
    if code in BAD_CREDENTIALS:
        return StartRefused(f"AWS does not accept the credentials for {queue_url} ({code}): renew them")
    return TransientError(f"SQS did not do {error.operation_name} on {queue_url} ({code})")


def _key_refused(error: ClientError, queue_url: str) -> StartRefused | TransientError:
    code = code_of(error)
    rights = rights_with_key(to_send=error.operation_name.startswith("SendMessage"))
    sentence = f"KMS refuses the key of {queue_url} ({code}): {kms_remedy(code, rights)}"
    return TransientError(sentence) if "Throttl" in code else StartRefused(sentence)
