"""Socket Mode links, healed where the SDK does not heal them.

The SDK retries a failed handshake on the same one-time URL for ever, notices no TCP reset, and believes in a
link that has never said hello. Here a link that does not work for a while is replaced as a whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from aiohttp import WSMessage
    from slack_bolt.app.async_app import AsyncApp
    from slack_sdk.web.async_client import AsyncWebClient

    from bot.triage.ports import Clock

log = logging.getLogger(__name__)

#: Links of one worker. With two, a link that Slack refreshes loses no click. Slack allows an app ten.
LINKS = 2

#: Seconds between pings; a link is stale after four without an answer.
PING_INTERVAL = 5

#: How often a link is looked at.
LOOK_INTERVAL = timedelta(milliseconds=500)

#: How long a link may take to say hello, before it is replaced …
PATIENCE = timedelta(seconds=10)
#: … and how much longer at the most when that did not help.
PATIENCE_MAX = timedelta(seconds=60)

#: The SDK can take ten seconds to close a link whose other end is dead.
CLOSE_TIMEOUT = timedelta(seconds=2)

#: A hello that comes sooner after the start may count links of a worker that was killed.
SETTLED_AFTER = timedelta(seconds=60)

#: The SDK writes debug lines unless the logger itself has a level.
_sdk_log = logging.getLogger("slack_sdk.link")


class Link:
    """One link: `run` keeps it working until it is told to stop."""

    def __init__(
        self,
        app: AsyncApp,
        app_token: str,
        client: AsyncWebClient,
        *,
        spread: Callable[[], float],
        on_progress: Callable[[], None] = lambda: None,
    ) -> None:
        self._app = app
        self._app_token = app_token
        self._client = client
        self._spread = spread
        self._on_progress = on_progress
        self._handler: AsyncSocketModeHandler | None = None
        self._greeted = False
        self.is_up = False
        self.on_hello: Callable[[int], None] = lambda _: None  #: told how many links Slack counts

    async def run(self, stop: asyncio.Event) -> None:
        """Open the link, and open another whenever it does not work; close it when `stop` is set."""
        patience = PATIENCE
        while not stop.is_set():
            self._greeted = False
            connecting = self._connect()
            worked = await self._watch(stop, patience)
            await self._close(connecting)
            patience = PATIENCE if worked else min(patience * (1 + self._spread()), PATIENCE_MAX)

    def _connect(self) -> asyncio.Task[None]:
        _sdk_log.setLevel(max(logging.getLogger("slack_sdk").getEffectiveLevel(), logging.INFO))
        _sdk_log.addFilter(_without_traceback)
        self._handler = AsyncSocketModeHandler(
            self._app, self._app_token, logger=_sdk_log, web_client=self._client, ping_interval=PING_INTERVAL
        )
        self._handler.client.proxy = self._client.proxy
        self._handler.client.on_message_listeners.append(self._on_message)
        return asyncio.create_task(self._handler.connect_async(), name="link connecting")

    async def _watch(self, stop: asyncio.Event, patience: timedelta) -> bool:
        """Return when told to stop, or when it has not worked for `patience`; tell whether it ever did."""
        down, worked = timedelta(0), False
        while down < patience and not stop.is_set():
            self._on_progress()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_INTERVAL.total_seconds())
            self._note(is_up=await self._works())
            down = timedelta(0) if self.is_up else down + LOOK_INTERVAL
            worked = worked or self.is_up
        return worked

    async def _works(self) -> bool:
        return self._greeted and self._handler is not None and await self._handler.client.is_connected()

    def _note(self, *, is_up: bool) -> None:
        if is_up != self.is_up:
            event = "link.opened" if is_up else "link.lost"
            log.info("link is %s", "up" if is_up else "down", extra={"event": event, "fields": {}})
        self.is_up = is_up

    async def _on_message(self, message: WSMessage) -> None:
        if '"hello"' not in message.data[:2000]:
            return
        with contextlib.suppress(ValueError, AttributeError):
            hello = json.loads(message.data)
            if hello.get("type") == "hello":
                self._greeted = True
                self.on_hello(int(hello.get("num_connections") or 0))

    async def _close(self, connecting: asyncio.Task[None]) -> None:
        self._note(is_up=False)
        connecting.cancel()
        handler, self._handler = self._handler, None
        if handler is not None:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(handler.close_async(), CLOSE_TIMEOUT.total_seconds())


def _without_traceback(record: logging.LogRecord) -> bool:
    """Keep the sentence alone: it names the error, and comes again and again while Slack is down."""
    record.exc_info = record.exc_text = None
    return True


class Links:
    """All links of this worker."""

    def __init__(self, links: Sequence[Link], *, clock: Clock) -> None:
        self._links = links
        self._clock = clock
        self._started_at = clock()
        self._strangers = False
        for link in links:
            link.on_hello = self._count

    async def run(self, stop: asyncio.Event, *, drain: Callable[[], Awaitable[None]]) -> None:
        """Keep all links working until `stop` is set; close them when `drain` has seen to the last clicks."""
        close = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for number, link in enumerate(self._links, 1):
                group.create_task(link.run(close), name=f"link {number}")
            await stop.wait()
            await drain()
            close.set()
        await drain()

    @property
    def reachable(self) -> bool:
        """Whether a click can reach this worker now."""
        return self.up > 0

    @property
    def up(self) -> int:
        """How many links work now."""
        return sum(link.is_up for link in self._links)

    def others_listen(self) -> bool:
        """Whether Slack counted more links than ours: then another program takes some of the clicks.

        Only a hello that came a while after the start counts: until then a worker that was killed may
        still be counted.
        """
        return self._strangers

    def _count(self, connections: int) -> None:
        if self._clock() - self._started_at < SETTLED_AFTER:
            return
        strangers = connections > len(self._links)
        if strangers and not self._strangers:
            log.error(
                "another program listens with this app's token and takes some of the clicks; stop it",
                extra={"event": "link.shared", "fields": {"connections": connections}},
            )
        self._strangers = strangers
