"""Translates the errors of DynamoDB and boto3 into those of `bot.errors`."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from botocore import exceptions as aws
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
    status_of,
)
from bot.errors import StartRefused, StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

CONDITION_FAILED = "ConditionalCheckFailed"

MISSING_TABLE = "ResourceNotFoundException"
#: Temporary: too many requests at once, or two transactions on one row.
_TRANSIENT = frozenset(
    "InternalServerError LimitExceededException ProvisionedThroughputExceeded"
    " ProvisionedThroughputExceededException RequestLimitExceeded ServiceUnavailable ThrottlingError"
    " ThrottlingException TransactionConflict TransactionConflictException"
    " TransactionInProgressException".split()
)
#: No connection, no reply, half of one, or one that is not AWS's.
_UNREACHED = (aws.HTTPClientError, aws.ConnectionError, NotAnAnswer)

#: What the worker needs to do with a key of one's own for the table (DynamoDB, Encryption at rest).
RIGHTS_WITH_KEY = "kms:Decrypt, kms:Encrypt, kms:ReEncrypt*, kms:GenerateDataKey* and kms:DescribeKey"


def reasons_of(error: ClientError) -> Sequence[dict[str, Any]]:
    """Return why each part of a transaction was refused; empty for any other error."""
    response: Any = error.response  # the stubs lack the item in a cancellation reason
    return list(response.get("CancellationReasons", ()))


def codes_of(error: ClientError) -> set[str]:
    """Return the codes of all parts of a transaction, or the one code of any other error."""
    parts = {str(reason.get("Code")) for reason in reasons_of(error)} - {"None"}
    return parts or {
        code_of(error).removesuffix("Exception") if _is_failed_condition(error) else code_of(error)
    }


def is_transient(error: ClientError | BotoCoreError) -> bool:
    """Whether the error is temporary: the same call may succeed if it is retried soon."""
    if isinstance(error, ClientError):
        return status_of(error) >= HTTPStatus.INTERNAL_SERVER_ERROR or codes_of(error) <= _TRANSIENT
    return isinstance(error, _UNREACHED)


def is_refusal(error: ClientError | BotoCoreError) -> bool:
    """Whether somebody must fix something first: the table, its name, a policy or the credentials."""
    if isinstance(error, ClientError):
        code = code_of(error)
        return code in DENIED | BAD_CREDENTIALS | {MISSING_TABLE} or is_of_kms(code)
    return isinstance(error, NO_CREDENTIALS)


def store_error(error: ClientError | BotoCoreError, table: str) -> StoreError:
    """Return the `StoreError` for a failed call. Its text never repeats what was sent."""
    return StoreError(_sentence(error, table))


def start_refused(error: ClientError | BotoCoreError, table: str) -> StartRefused:
    """Return the `StartRefused` for a failed start. Its text says what to do."""
    return StartRefused(_sentence(error, table))


def _sentence(error: ClientError | BotoCoreError, table: str) -> str:
    if isinstance(error, ClientError):
        return _refusal(error, table)
    if isinstance(error, NO_CREDENTIALS):
        return f"no usable AWS credentials for the table {table}: {error}"
    if isinstance(error, NotAnAnswer):
        return f"DynamoDB is not reached for the table {table} ({error})"
    # Not the error's own text: that of a failed validation repeats what was sent.
    return f"DynamoDB cannot be reached for the table {table} ({type(error).__name__})"


def _refusal(error: ClientError, table: str) -> str:
    code = code_of(error)
    if code == MISSING_TABLE:
        return (
            f"there is no table {table}, or it lacks an index: create it (config/cloudformation.yaml,"
            " CreateTable=true), or correct STORE_URL and its region"
        )
    if is_of_kms(code):
        return f"KMS refuses the key of the table {table} ({code}): {kms_remedy(code, RIGHTS_WITH_KEY)}"
    if code in DENIED:
        action = action_of(error, "dynamodb")
        return f"access to the table {table} is denied ({code}): grant this worker {action}"
    if code in BAD_CREDENTIALS:
        return f"AWS does not accept the credentials for the table {table} ({code}): renew them"
    codes = ", ".join(sorted(codes_of(error)))
    return f"DynamoDB failed to perform {error.operation_name} on the table {table} ({codes})"


def _is_failed_condition(error: ClientError) -> bool:
    return code_of(error).startswith(CONDITION_FAILED)
