"""Secrets that the settings name as `ssm:/name`: they are in AWS's parameter store, encrypted."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from bot.aws.errors import code_of, status_of
from bot.aws.session import region_in
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


async def fetch_tokens(settings: Settings) -> Tokens:
    """Return both tokens, fetched from the parameter store where the settings name a parameter.

    Raises `StartRefused` if a parameter is missing, denied or not a token, `TransientError` if AWS cannot be
    reached, and `ConfigError` if the region is unknown.
    """
    return Tokens(
        bot=await fetch_secret(settings, "slack_bot_token"),
        app=await fetch_secret(settings, "slack_app_token"),
    )


async def fetch_secret(settings: Settings, name: str) -> Secret:
    """Return the secret in the setting `name`, fetched if it names a parameter. Raises as `fetch_tokens`."""
    secret: Secret = getattr(settings, name)
    if not secret.parameter:
        return secret
    text = await _fetch(secret.parameter, region_in(settings.request_queue_url) or settings.aws_region)
    try:
        found = _READERS[name](text.strip())
    except ValueError as error:
        raise StartRefused(f"the parameter {secret.parameter} {error}") from error
    if found.parameter:
        raise StartRefused(
            f"the parameter {secret.parameter} names another parameter; expected the token itself"
        )
    return found


async def _fetch(name: str, region: str | None) -> str:
    # On a thread that dies with the process: a stop must not wait for AWS.
    thread = DaemonThreads("ssm-calls")
    try:
        return await thread.run(_get_parameter, name, region)
    except ClientError as error:
        raise _refusal(error, name) from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise StartRefused(f"there are no AWS credentials for reading the parameter {name}") from error
    except BotoCoreError as error:
        raise TransientError(
            f"the parameter {name} cannot be fetched yet ({type(error).__name__})"
        ) from error
    finally:
        thread.close()


def _get_parameter(name: str, region: str | None) -> str:
    session = boto3.Session()
    region = region or session.region_name
    if not region:
        raise ConfigError([f"AWS_REGION is not set; expected the region of the parameter {name}"])
    ssm = session.client("ssm", region_name=region, config=_CALLS)
    try:
        return ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]
    finally:
        ssm.close()


def _refusal(error: ClientError, name: str) -> StartRefused | TransientError:
    code = code_of(error)
    if status_of(error) >= HTTPStatus.INTERNAL_SERVER_ERROR or "Throttl" in code:
        return TransientError(f"the parameter {name} cannot be fetched yet ({code})")
    remedy = {
        "ParameterNotFound": "create it as a SecureString, or correct its name",
        "AccessDeniedException": "grant the worker ssm:GetParameter on it (and kms:Decrypt with its key)",
    }.get(code, "look the code up in the documentation of ssm:GetParameter")
    return StartRefused(f"the parameter {name} cannot be read ({code}): {remedy}")
