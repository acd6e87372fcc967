"""Classifies the errors of AWS and boto3, for all services."""

from __future__ import annotations

import re

from botocore import exceptions as aws
from botocore.exceptions import BotoCoreError, ClientError

from bot.aws.responses import NotFromAws
from bot.clock import REMEDY, is_expired_certificate

#: A policy does not allow the call.
DENIED = frozenset("AccessDenied AccessDeniedException AuthorizationError".split())

#: AWS rejects the credentials.
BAD_CREDENTIALS = frozenset(
    "AuthFailure ExpiredToken ExpiredTokenException IncompleteSignature IncompleteSignatureException"
    " InvalidAccessKeyId InvalidClientTokenId InvalidSecurity InvalidSignatureException InvalidToken"
    " MissingAuthenticationToken MissingAuthenticationTokenException NotAuthorized OptInRequired"
    " RequestExpired RequestTimeTooSkewed SignatureDoesNotMatch TokenRefreshRequired"
    " UnrecognizedClientException".split()
)

#: AWS refuses a signature for its time: the caller's clock is wrong.
_WRONG_TIME = frozenset("RequestExpired RequestTimeTooSkewed".split())

#: Likewise if the text says so; otherwise the secret key is wrong.
_WRONG_SIGNATURE = frozenset("InvalidSignatureException SignatureDoesNotMatch".split())
_SAYS_WRONG_TIME = re.compile("Signature (expired|not yet current)")

#: boto3 finds no credentials.
NO_CREDENTIALS = (
    aws.NoCredentialsError,
    aws.PartialCredentialsError,
    aws.CredentialRetrievalError,
    aws.TokenRetrievalError,
    aws.SSOError,
)

#: What people call a service, by the prefix of its IAM actions.
_NAMES = {"dynamodb": "DynamoDB", "sqs": "SQS", "ssm": "the parameter store"}

#: Where boto3 may find credentials.
_SOURCES = (
    "an instance profile, AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the settings file"
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


def blames_clock(error: ClientError | BotoCoreError) -> bool:
    """Whether the call failed only because this machine's clock is wrong: new credentials cannot help."""
    if isinstance(error, ClientError):
        text = str(error.response.get("Error", {}).get("Message", ""))
        return code_of(error) in _WRONG_TIME or (
            code_of(error) in _WRONG_SIGNATURE and _SAYS_WRONG_TIME.search(text) is not None
        )
    return is_expired_certificate(error)


def blames_credentials(error: ClientError | BotoCoreError) -> bool:
    """Whether the call failed only because of its credentials."""
    if blames_clock(error):
        return False
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


def needs_fixing(error: ClientError | BotoCoreError) -> bool:
    """Whether somebody must fix something before a retry can help: a policy, a key or the credentials."""
    if not isinstance(error, ClientError) or blames_clock(error):
        return isinstance(error, NO_CREDENTIALS)
    code = code_of(error)
    return code in DENIED | BAD_CREDENTIALS or (is_of_kms(code) and "Throttl" not in code)


def explain(error: ClientError | BotoCoreError, what: str, *, service: str, key_rights: str) -> str:
    """Return a sentence that says what failed and, after a `: `, the remedy if there is one.

    `what` is called, e.g. `the table triage`; `service` is the prefix of its IAM actions, and `key_rights`
    are the permissions that the call needs on its KMS key. The sentence never repeats what was sent.
    """
    if blames_clock(error):
        return f"AWS refuses the time of this machine for {what} ({name_of(error)}): {REMEDY}"
    if not isinstance(error, ClientError):
        return _explain_silence(error, what, service)
    code = code_of(error)
    if is_of_kms(code):
        return f"KMS refuses the key of {what} ({code}): {kms_remedy(code, key_rights)}"
    if code in DENIED:
        return f"access to {what} is denied ({code}): grant this worker {action_of(error, service)}"
    if code in BAD_CREDENTIALS:
        return f"AWS does not accept the credentials for {what} ({code}): renew them ({_SOURCES})"
    return f"{_NAMES[service]} failed to perform {error.operation_name} on {what} ({code})"


def _explain_silence(error: BotoCoreError, what: str, service: str) -> str:
    if isinstance(error, NO_CREDENTIALS):
        return f"there are no usable AWS credentials for {what} ({error}): provide {_SOURCES}"
    # Other texts of botocore's are not shown: that of a failed validation repeats what was sent.
    why = str(error) if isinstance(error, NotFromAws) else type(error).__name__
    name, endpoint = _NAMES[service], error.kwargs.get("endpoint_url")
    at = f" at {endpoint}" if endpoint else ""
    return (
        f"{name} cannot be reached{at} for {what} ({why}): check the region, DNS, firewall and proxy"
        f" (HTTPS_PROXY, NO_PROXY; AWS_ENDPOINT_URL_{service.upper()} if {name} has another endpoint;"
        " AWS_CA_BUNDLE if a proxy intercepts TLS)"
    )
