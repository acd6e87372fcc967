"""As whom AWS is asked: boto3's own chain."""

from __future__ import annotations

import boto3
from botocore.exceptions import BotoCoreError

from bot.errors import ConfigError


def new_session() -> boto3.Session:
    """Return a session of boto3's own chain. `ConfigError` for an unknown profile."""
    try:
        return boto3.Session()
    except BotoCoreError as error:
        raise ConfigError([f"AWS_PROFILE: {error}"]) from error
