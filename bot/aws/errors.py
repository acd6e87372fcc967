"""What AWS and boto3 mean by their errors, whichever service was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore import exceptions as aws

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

#: A policy, of the caller's or of a key, does not allow it.
DENIED = frozenset(
    "AccessDenied AccessDeniedException AuthorizationError KMSAccessDeniedException KmsAccessDenied".split()
)

#: AWS does not accept who is asking.
BAD_CREDENTIALS = frozenset(
    "ExpiredToken ExpiredTokenException IncompleteSignature IncompleteSignatureException InvalidAccessKeyId"
    " InvalidClientTokenId InvalidSecurity InvalidSignatureException MissingAuthenticationToken"
    " MissingAuthenticationTokenException NotAuthorized OptInRequired SignatureDoesNotMatch"
    " UnrecognizedClientException".split()
)

#: boto3 has nobody to ask as.
NO_CREDENTIALS = (
    aws.NoCredentialsError,
    aws.PartialCredentialsError,
    aws.CredentialRetrievalError,
    aws.TokenRetrievalError,
    aws.SSOError,
)


def code_of(error: ClientError) -> str:
    """Return AWS's own code."""
    return str(error.response.get("Error", {}).get("Code", ""))


def status_of(error: ClientError) -> int:
    """Return the HTTP status of AWS's answer; 0 if there is none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
