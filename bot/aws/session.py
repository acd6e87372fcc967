"""Where AWS is asked, and as whom: boto3's own chain, and the region that a queue's URL names."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import BotoCoreError

from bot.errors import ConfigError

#: Hosts of Amazon's own, interface endpoints and the older form, each with the region in it.
_REGION = re.compile(
    r"(?:^|\.)sqs(?:-fips)?\.(?P<region>[a-z]{2,}(?:-[a-z]+)+-\d+)\."
    r"|^(?P<older>[a-z]{2,}(?:-[a-z]+)+-\d+)\.queue\."
)


def new_session() -> boto3.Session:
    """Return a session of boto3's own chain. `ConfigError` for an unknown profile."""
    try:
        return boto3.Session()
    except BotoCoreError as error:
        raise ConfigError([f"AWS_PROFILE: {error}"]) from error


def region_in(queue_url: str) -> str | None:
    """Return the region that a queue's URL names; boto3 does not look there."""
    found = _REGION.search(urlsplit(queue_url).hostname or "")
    return (found["region"] or found["older"]) if found else None
