"""Opening queues: two clients a region for all of them."""

from __future__ import annotations

from functools import partial

from botocore.config import Config

from bot.aws.access import Access, Client
from bot.aws.region import region_in
from bot.errors import ConfigError
from bot.sqs.queues import Queue
from bot.threads import DaemonThreads
from bot.triage.ports import NO_METER, Meter

#: The poller is the retry of a poll, so boto3 makes one attempt. Read time-out: the 20 s of a long poll,
#: and 10 s for its answer.
POLLS = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 1})

#: At stop these calls get what is left of 8 s, so they end early: whoever made one tries again anyway.
CALLS = Config(connect_timeout=5, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2})


class Connector:
    """Opens queues by their URLs.

    `region` is what the settings name for URLs that name none; None leaves it to boto3's own chain, as
    credentials (without `access`) and the endpoint (without `endpoint_url`) always are.
    `ConfigError` for an unknown profile.
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
        """Return the queue of this URL, without asking SQS anything (`Queue.describe` does).

        `ConfigError` if there is no region to look in, or if region or endpoint are no such thing.
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
        """Let the threads end and give back the connections. Queues opened here are of no use then."""
        for queue in self._queues:
            queue.close()
        self._calls_thread.close()
        for polls, calls in self._clients.values():
            polls.close()
            calls.close()

    def _region_of(self, url: str) -> str:
        region = region_in(url) or self._region or self._access.session.region_name
        if not region:
            raise ConfigError([f"AWS_REGION is not set, and {url} names no region: set it, e.g. us-west-2"])
        return region
