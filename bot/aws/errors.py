"""What AWS and boto3 mean by their errors, whichever service was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore import exceptions as aws
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError

#: A policy of the caller's does not allow it.
DENIED = frozenset("AccessDenied AccessDeniedException AuthorizationError".split())

#: AWS does not accept who is asking.
BAD_CREDENTIALS = frozenset(
    "AuthFailure ExpiredToken ExpiredTokenException IncompleteSignature IncompleteSignatureException"
    " InvalidAccessKeyId InvalidClientTokenId InvalidSecurity InvalidSignatureException InvalidToken"
    " MissingAuthenticationToken MissingAuthenticationTokenException NotAuthorized OptInRequired"
    " RequestExpired SignatureDoesNotMatch TokenRefreshRequired UnrecognizedClientException".split()
)

#: boto3 has nobody to ask as.
NO_CREDENTIALS = (
    aws.NoCredentialsError,
    aws.PartialCredentialsError,
    aws.CredentialRetrievalError,
    aws.TokenRetrievalError,
    aws.SSOError,
)

#: What boto3 calls by itself to get credentials, and of which service. No call of ours is one of these.
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
    """Return the action that failed, as IAM names it: IAM has no actions for batches."""
    operation = error.operation_name
    return f"{_FOR_CREDENTIALS.get(operation, service)}:{operation.removesuffix('Batch')}"


def blames_credentials(error: ClientError | BotoCoreError) -> bool:
    """Whether nothing is wrong with the call but whose it is: other credentials may do."""
    if isinstance(error, ClientError):
        no_role = error.operation_name in _FOR_CREDENTIALS and code_of(error) in DENIED
        return no_role or code_of(error) in BAD_CREDENTIALS
    return isinstance(error, NO_CREDENTIALS)


def name_of(error: ClientError | BotoCoreError) -> str:
    """Return an error in one word: AWS's code, or boto3's name for it."""
    return code_of(error) if isinstance(error, ClientError) else type(error).__name__


def is_of_kms(code: str) -> bool:
    """Whether the code is about the key with which a queue, a table or a parameter is encrypted."""
    return code.lower().startswith("kms")


def kms_remedy(code: str, rights: str) -> str:
    """Return what to do about such a code. `rights` are those that the call needs with the key."""
    if "Throttl" in code:
        return "it is tried again; if it lasts, ask AWS for a higher quota of KMS requests"
    if "AccessDenied" in code:
        return f"allow {rights} with that key to this worker, in its own policy and in the key's"
    return "enable that key again, or choose another one for it"
