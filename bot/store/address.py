"""The URL of a store: `sqlite:///PATH`, `dynamodb://TABLE` or `dynamodb://TABLE?region=REGION`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from bot.errors import ConfigError

_SQLITE = "sqlite:///"
_DYNAMODB = "dynamodb://"

#: DynamoDB's own rule for table names.
_URL = re.compile(r"dynamodb://(?P<table>[A-Za-z0-9_.-]{3,255})(?:\?region=(?P<region>[a-z0-9-]{1,63}))?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """The name and region of a DynamoDB table."""

    table: str
    region: str | None  #: None: as the settings or boto3's own chain say

    @property
    def shown(self) -> str:
        """The table's name for messages, e.g. `triage in eu-west-1`."""
        return f"{self.table} in {self.region}" if self.region else self.table


def is_shared(url: str) -> bool:
    """Whether several workers may use the store at once: true for a table, false for a file."""
    return url.startswith(_DYNAMODB)


def store_path(url: str) -> Path:
    """Return the file a store's URL names: `sqlite:///relative` or `sqlite:////absolute`.

    `ConfigError` for any other URL.
    """
    path = url.removeprefix(_SQLITE)
    if path == url or not path:
        raise ConfigError([f"STORE_URL is {url!r}; expected sqlite:///PATH"])
    return Path(path)


def parse_address(url: str, *, region: str | None = None) -> Address:
    """Return the table a URL names; `region` applies if it names none. `ConfigError` for any other URL."""
    found = _URL.fullmatch(url)
    if not found:
        raise ConfigError(
            [f"STORE_URL is {url!r}; expected dynamodb://TABLE or dynamodb://TABLE?region=REGION"]
        )
    return Address(table=found["table"], region=found["region"] or region)
