"""Secrets that the settings name as `ssm:/name`: they are in AWS's parameter store, encrypted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from bot.aws.access import Access
from bot.aws.errors import blames_clock, code_of, explain, needs_fixing, status_of
from bot.aws.region import region_in
from bot.errors import ConfigError, StartRefused, TransientError
from bot.redaction import Secret
from bot.settings.parsers import app_token, bot_token, client_secret
from bot.settings.settings import Settings
from bot.threads import DaemonThreads

#: Timeouts in seconds. Few attempts, because the caller retries.
_CALLS = Config(connect_timeout=5, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2})

#: The remedies for codes of this service's own.
_REMEDIES = {
    "ParameterNotFound": "create it as a SecureString, or correct its name",
    "InvalidKeyId": "its KMS key is missing or disabled; enable the key, or create the parameter again",
}

_READERS: dict[str, Callable[[str], Secret]] = {
    "slack_bot_token": bot_token,
    "slack_app_token": app_token,
    "factor_client_secret": client_secret,
    "factor_client_key": client_secret,
}


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
            f"the parameter {secret.parameter} names another parameter; expected the secret itself"
        )
    return found


async def _fetch(name: str, region: str | None, access: Access | None) -> str:
    # On a thread that dies with the process: a stop must not wait for AWS.
    thread = DaemonThreads("ssm-calls")
    try:
        return await thread.run(_get_parameter, name, region, access)
    except (ClientError, BotoCoreError) as error:
        raise _translate(error, name) from error
    finally:
        thread.close()


def _get_parameter(name: str, region: str | None, access: Access | None) -> str:
    access = access or Access()
    region = region or access.session.region_name
    if not region:
        raise ConfigError([f"the parameter {name} has no AWS region: set AWS_REGION, e.g. us-west-2"])
    ssm = access.client("ssm", region=region, config=_CALLS)
    try:
        return str(ssm.call("get_parameter", Name=name, WithDecryption=True)["Parameter"].get("Value", ""))
    finally:
        ssm.close()


def _translate(error: ClientError | BotoCoreError, name: str) -> StartRefused | TransientError:
    sentence = explain(error, f"the parameter {name}", service="ssm", key_rights="kms:Decrypt")
    if needs_fixing(error):
        needs_key = sentence.endswith("ssm:GetParameter")
        return StartRefused(f"{sentence} on it (and kms:Decrypt with its key)" if needs_key else sentence)
    if (
        not isinstance(error, ClientError)
        or blames_clock(error)
        or "Throttl" in code_of(error)
        or status_of(error) >= HTTPStatus.INTERNAL_SERVER_ERROR
    ):
        return TransientError(sentence)
    remedy = _REMEDIES.get(code_of(error), "look the code up in the documentation of ssm:GetParameter")
    return StartRefused(f"the parameter {name} cannot be read ({code_of(error)}): {remedy}")
