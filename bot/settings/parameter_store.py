"""Secrets that the settings name as `ssm:/name`: they are in AWS's parameter store, encrypted."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from bot.aws.access import Access
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
from bot.aws.region import region_in
from bot.errors import ConfigError, StartRefused, TransientError
from bot.settings.parsers import app_token, bot_token
from bot.threads import DaemonThreads

if TYPE_CHECKING:
    from collections.abc import Callable

    from bot.redaction import Secret
    from bot.settings.settings import Settings

#: Timeouts in seconds. Few attempts, because the caller retries.
_CALLS = Config(connect_timeout=5, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2})

_READERS: dict[str, Callable[[str], Secret]] = {"slack_bot_token": bot_token, "slack_app_token": app_token}


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokens:
    """Both tokens as Slack expects them; neither is the name of a parameter any more."""

    bot: Secret
    app: Secret


async def fetch_tokens(settings: Settings, access: Access | None = None) -> Tokens:
    """Return both tokens, fetched from the parameter store where the settings name a parameter.

    Raises `StartRefused` if a parameter is missing, denied or not a token, `TransientError` if AWS cannot be
    reached, and `ConfigError` if the region is unknown. Without `access`, credentials come from boto3's own
    chain.
    """
    return Tokens(
        bot=await fetch_secret(settings, "slack_bot_token", access),
        app=await fetch_secret(settings, "slack_app_token", access),
    )


async def fetch_secret(settings: Settings, name: str, access: Access | None = None) -> Secret:
    """Return the secret in the setting `name`, fetched if it names a parameter. Raises as `fetch_tokens`."""
    secret: Secret = getattr(settings, name)
    if not secret.parameter:
        return secret
    region = region_in(settings.request_queue_url) or settings.aws_region
    text = await _fetch(secret.parameter, region, access)
    try:
        found = _READERS[name](text.strip())
    except ValueError as error:
        raise StartRefused(f"the parameter {secret.parameter} {error}") from error
    if found.parameter:
        raise StartRefused(
            f"the parameter {secret.parameter} names another parameter; expected the token itself"
        )
    return found


async def _fetch(name: str, region: str | None, access: Access | None) -> str:
    # On a thread that dies with the process: a stop must not wait for AWS.
    thread = DaemonThreads("ssm-calls")
    try:
        return await thread.run(_get_parameter, name, region, access)
    except ClientError as error:
        raise _explain_refusal(error, name) from error
    except NO_CREDENTIALS as error:
        raise StartRefused(
            f"there are no usable AWS credentials for reading the parameter {name}: {error}"
        ) from error
    except BotoCoreError as error:
        why = str(error) if isinstance(error, NotAnAnswer) else type(error).__name__
        raise TransientError(f"the parameter {name} cannot be fetched yet ({why})") from error
    finally:
        thread.close()


def _get_parameter(name: str, region: str | None, access: Access | None) -> str:
    access = access or Access()
    region = region or access.session.region_name
    if not region:
        raise ConfigError([f"AWS_REGION is not set; expected the region of the parameter {name}"])
    ssm = access.client("ssm", region=region, config=_CALLS)
    try:
        return str(ssm.call("get_parameter", Name=name, WithDecryption=True)["Parameter"]["Value"])
    finally:
        ssm.close()


def _explain_refusal(error: ClientError, name: str) -> StartRefused | TransientError:
    code = code_of(error)
    if status_of(error) >= HTTPStatus.INTERNAL_SERVER_ERROR or "Throttl" in code:
        return TransientError(f"the parameter {name} cannot be fetched yet ({code})")
    return StartRefused(f"the parameter {name} cannot be read ({code}): {_remedy(error)}")


def _remedy(error: ClientError) -> str:
    code = code_of(error)
    if code in BAD_CREDENTIALS:
        return "AWS rejects the credentials; renew them"
    if is_of_kms(code):
        return kms_remedy(code, "kms:Decrypt")
    if code in DENIED:
        action = action_of(error, "ssm")
        with_key = " on it (and kms:Decrypt with its key)" if action == "ssm:GetParameter" else ""
        return f"grant the worker {action}{with_key}"
    return {
        "ParameterNotFound": "create it as a SecureString, or correct its name",
        "InvalidKeyId": "its KMS key is missing or disabled; enable the key, or create the parameter again",
    }.get(code, "look the code up in the documentation of ssm:GetParameter")
