"""The URL of a table: `dynamodb://TABLE` or `dynamodb://TABLE?region=REGION`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bot.errors import ConfigError

#: DynamoDB's own rule for names of tables.
_URL = re.compile(r"dynamodb://(?P<table>[A-Za-z0-9_.-]{3,255})(?:\?region=(?P<region>[a-z0-9-]{1,63}))?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """Where a table is."""

    table: str
    region: str | None  #: None: wherever the settings or boto3's own chain say

    @property
    def shown(self) -> str:
        """The table as sentences name it."""
        return f"{self.table} in {self.region}" if self.region else self.table


def parse_address(url: str, *, region: str | None = None) -> Address:
    """Return what a URL names; `region` counts where the URL names none. `ConfigError` for any other URL."""
    found = _URL.fullmatch(url)
    if not found:
        raise ConfigError(
            [f"STORE_URL is {url!r}; expected dynamodb://TABLE or dynamodb://TABLE?region=REGION"]
        )
    return Address(table=found["table"], region=found["region"] or region)
