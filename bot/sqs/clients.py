"""Opens queues, with two clients per region."""

from __future__ import annotations

from functools import partial

from botocore.config import Config

from bot.aws.access import Access, Client
from bot.aws.region import region_in
from bot.errors import ConfigError
from bot.sqs.queues import Queue
from bot.threads import DaemonThreads
from bot.triage.ports import NO_METER, Meter

#: For long polls. One attempt, because the poller retries. The read timeout is the 20 s of a poll, and 10 s
#: for the response.
POLLS = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 1})

#: For all other calls. They time out early, because a stop takes 8 s at most; their callers retry.
CALLS = Config(connect_timeout=5, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2})


class Connector:
    """Opens queues by their URLs.

    `region` applies to URLs that name none; if it is None, boto3's own chain decides, as it does for
    credentials without `access` and for the endpoint without `endpoint_url`. Raises `ConfigError` for an
    unknown profile.
    """

    def __init__(
        self,
        *,
        region: str | None = None,
        endpoint_url: str | None = None,
        access: Access | None = None,
        meter: Meter = NO_METER,
    ) -> None:
        self._region = region
        self._endpoint_url = endpoint_url
        self._access = access or Access()
        self._meter = meter
        self._calls_thread = DaemonThreads("sqs-calls")
        self._clients: dict[str, tuple[Client, Client]] = {}
        self._queues: list[Queue] = []

    def open(self, url: str) -> Queue:
        """Return the queue at this URL, without calling SQS (`Queue.describe` does).

        Raises `ConfigError` if no region is known, or if the region or the endpoint is invalid.
        """
        url = url.rstrip("/")
        region = self._region_of(url)
        if region not in self._clients:
            make = partial(self._access.client, "sqs", region=region, endpoint_url=self._endpoint_url)
            self._clients[region] = make(config=POLLS), make(config=CALLS)
        polls, calls = self._clients[region]
        queue = Queue(url, polls=polls, calls=calls, calls_thread=self._calls_thread, meter=self._meter)
        self._queues.append(queue)
        return queue

    def close(self) -> None:
        """End the threads and close the connections. The queues opened here cannot be used afterwards."""
        for queue in self._queues:
            queue.close()
        self._calls_thread.close()
        for polls, calls in self._clients.values():
            polls.close()
            calls.close()

    def _region_of(self, url: str) -> str:
        region = region_in(url) or self._region or self._access.session.region_name
        if not region:
            raise ConfigError([f"{url} names no AWS region: set AWS_REGION, e.g. us-west-2"])
        return region
