"""One DynamoDB client, and the threads that make its blocking calls."""

from __future__ import annotations

from typing import Any

from botocore.config import Config

from bot.aws.access import Access, Client
from bot.errors import ConfigError
from bot.store.address import Address
from bot.threads import DaemonThreads

#: Concurrent calls. Each takes a few milliseconds.
CONCURRENT_CALLS_MAX = 16

#: boto3 makes one attempt only: `table.Table` retries, because it knows what a lost reply means.
#: Timeouts are in seconds. Slack shows a failure to the person who clicked after three.
_CALLS = Config(
    connect_timeout=2,
    read_timeout=3,
    max_pool_connections=CONCURRENT_CALLS_MAX,
    retries={"mode": "standard", "total_max_attempts": 1},
)


class Connection:
    """Makes DynamoDB calls by name.

    Credentials, unless `access` is given, and the endpoint, unless `endpoint_url` is given, come from boto3's
    own chain. `ConfigError` if there is no region, or if the profile, region or endpoint is
    invalid.
    """

    def __init__(
        self,
        address: Address,
        *,
        access: Access | None = None,
        endpoint_url: str | None = None,
    ) -> None:
        self._client = _client(address, access or Access(), endpoint_url)
        self._threads = DaemonThreads("dynamodb", count=CONCURRENT_CALLS_MAX)

    async def call(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Make one attempt at a call, e.g. `get_item`; return its answer."""
        answer: dict[str, Any] = await self._threads.run(self._client.call, operation, **arguments)
        return answer

    def close(self) -> None:
        """End the threads and close the connections, without waiting for calls in progress."""
        self._threads.close()
        self._client.close()


def _client(address: Address, access: Access, endpoint_url: str | None) -> Client:
    region = address.region or access.session.region_name
    if not region:
        raise ConfigError(
            ["the store has no AWS region: set AWS_REGION, e.g. us-west-2, or name it in STORE_URL"]
        )
    return access.client("dynamodb", region=region, config=_CALLS, endpoint_url=endpoint_url)
