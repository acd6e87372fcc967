"""Classifies the errors of AWS and boto3, for all services."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore import exceptions as aws
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError

#: A policy does not allow the call.
DENIED = frozenset("AccessDenied AccessDeniedException AuthorizationError".split())

#: AWS rejects the credentials.
BAD_CREDENTIALS = frozenset(
    "AuthFailure ExpiredToken ExpiredTokenException IncompleteSignature IncompleteSignatureException"
    " InvalidAccessKeyId InvalidClientTokenId InvalidSecurity InvalidSignatureException InvalidToken"
    " MissingAuthenticationToken MissingAuthenticationTokenException NotAuthorized OptInRequired"
    " RequestExpired SignatureDoesNotMatch TokenRefreshRequired UnrecognizedClientException".split()
)

#: boto3 finds no credentials.
NO_CREDENTIALS = (
    aws.NoCredentialsError,
    aws.PartialCredentialsError,
    aws.CredentialRetrievalError,
    aws.TokenRetrievalError,
    aws.SSOError,
)

#: Operations that boto3 calls by itself to get credentials, and their services.
_FOR_CREDENTIALS = {
    "AssumeRole": "sts",
    "AssumeRoleWithSAML": "sts",
    "AssumeRoleWithWebIdentity": "sts",
    "GetRoleCredentials": "sso",
}


def code_of(error: ClientError) -> str:
    """Return AWS's own code."""
    return str(error.response.get("Error", {}).get("Code", ""))


def status_of(error: ClientError) -> int:
    """Return the HTTP status of AWS's answer; 0 if there is none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def action_of(error: ClientError, service: str) -> str:
    """Return the IAM action of the failed call. IAM has no actions for batches."""
    operation = error.operation_name
    return f"{_FOR_CREDENTIALS.get(operation, service)}:{operation.removesuffix('Batch')}"


def blames_credentials(error: ClientError | BotoCoreError) -> bool:
    """Whether the call failed only because of its credentials."""
    if isinstance(error, ClientError):
        no_role = error.operation_name in _FOR_CREDENTIALS and code_of(error) in DENIED
        return no_role or code_of(error) in BAD_CREDENTIALS
    return isinstance(error, NO_CREDENTIALS)


def name_of(error: ClientError | BotoCoreError) -> str:
    """Return the error in one word: AWS's code, or the name of boto3's exception."""
    return code_of(error) if isinstance(error, ClientError) else type(error).__name__


def is_of_kms(code: str) -> bool:
    """Whether the code is about the KMS key that encrypts a queue, a table or a parameter."""
    return code.lower().startswith("kms")


def kms_remedy(code: str, rights: str) -> str:
    """Return the remedy for such a code. `rights` are the permissions on the key that the call needs."""
    if "Throttl" in code:
        return "the worker retries; if it persists, ask AWS for a higher quota of KMS requests"
    if "AccessDenied" in code:
        return f"grant this worker {rights} on that key, in its own policy and in the key's"
    return "enable that key again, or choose another one"
