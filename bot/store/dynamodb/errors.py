"""Translates the errors of DynamoDB and boto3 into those of `bot.errors`."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from botocore import exceptions as aws
from botocore.exceptions import BotoCoreError, ClientError

from bot.aws.errors import code_of, explain, needs_fixing, status_of
from bot.aws.responses import NotFromAws

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
_UNREACHED = (aws.HTTPClientError, aws.ConnectionError, NotFromAws)

#: The permissions that the worker needs on a customer-managed key (DynamoDB, Encryption at rest).
RIGHTS_WITH_KEY = "kms:Decrypt, kms:Encrypt, kms:ReEncrypt*, kms:GenerateDataKey* and kms:DescribeKey"


def reasons_of(error: ClientError) -> Sequence[dict[str, Any]]:
    """Return why each part of a transaction was refused; empty for any other error."""
    response: Any = error.response  # the stubs lack the item in a cancellation reason
    return list(response.get("CancellationReasons", ()))


def codes_of(error: ClientError) -> set[str]:
    """Return the codes of all parts of a transaction, or the one code of any other error."""
    parts = {str(reason.get("Code")) for reason in reasons_of(error)} - {"None"}
    code = code_of(error)
    return parts or {code.removesuffix("Exception") if code.startswith(CONDITION_FAILED) else code}


def is_transient(error: ClientError | BotoCoreError) -> bool:
    """Whether the error is temporary: the same call may succeed if it is retried soon."""
    if isinstance(error, ClientError):
        return status_of(error) >= HTTPStatus.INTERNAL_SERVER_ERROR or codes_of(error) <= _TRANSIENT
    return isinstance(error, _UNREACHED)


def is_refusal(error: ClientError | BotoCoreError) -> bool:
    """Whether somebody must fix something first: the table, its name, a policy or the credentials."""
    return needs_fixing(error) or (isinstance(error, ClientError) and code_of(error) == MISSING_TABLE)


def explain_failure(error: ClientError | BotoCoreError, table: str) -> str:
    """Return what failed and, after a `: `, the remedy if there is one; `table` as in `Address.shown`."""
    if isinstance(error, ClientError) and code_of(error) == MISSING_TABLE:
        _, in_region, region = table.rpartition(" in ")
        return (
            f"there is no table {table}, or it lacks an index: create it (config/cloudformation.yaml with"
            " CreateTable=true), or correct STORE_URL; `aws dynamodb list-tables"
            f"{f' --region {region}' if in_region else ''}` lists those that exist"
        )
    if isinstance(error, ClientError) and reasons_of(error):
        codes = ", ".join(sorted(codes_of(error)))
        return f"DynamoDB failed to perform {error.operation_name} on the table {table} ({codes})"
    return explain(error, f"the table {table}", service="dynamodb", key_rights=RIGHTS_WITH_KEY)
