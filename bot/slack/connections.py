"""Socket Mode links, healed where the SDK does not heal them.

A link is one websocket after another. When Slack asks for another one, that is opened before the last one is
closed; when Slack turns a link away, or a link breaks at once, the next try waits, longer each time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from slack_bolt.app.async_app import AsyncApp

from bot.backoff import countdown, pause, retry_delay, until_stopped, wait_out
from bot.errors import AmbiguousError, TriageBotError
from bot.slack.errors import explain
from bot.slack.link_urls import REFUSED_MAX
from bot.slack.websocket import PING_INTERVAL, Websocket
from bot.triage.log_events import log_event

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    from slack_bolt.authorization import AuthorizeResult
    from slack_sdk.web.async_client import AsyncWebClient

    from bot.slack.identity import Identity
    from bot.slack.link_urls import LinkUrls
    from bot.triage.ports import Clock

log = logging.getLogger(__name__)

#: Links of one worker. With two, a link that breaks loses no click. Slack allows an app ten.
CONNECTIONS = 2

#: Links of all workers of one app together: Slack allows ten, and one that is replaced is two for a while.
CONNECTIONS_MAX = 8

#: How long Slack may still count links that are dead: those of a worker that was killed, or our own.
SETTLED_AFTER = timedelta(seconds=60)

#: How often one link is replaced, at the most, to learn how many links Slack counts by now.
EXAMINE_EVERY = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkTimes:
    """The times of one link."""

    #: How long Slack may take to say hello.
    patience: timedelta = timedelta(seconds=10)
    #: After so long a link has served, and is worth another call of a method that Slack limits.
    served_after: timedelta = timedelta(seconds=10)
    #: After so long a link is steady, and what failed before is forgotten.
    steady_after: timedelta = timedelta(minutes=1)
    #: How often a link is looked at, while it works and while it waits.
    look_interval: timedelta = timedelta(seconds=2)
    ping_interval: timedelta = PING_INTERVAL
    #: The longest wait after a link that served, and after one that did not.
    broken_max: timedelta = timedelta(seconds=8)
    refused_max: timedelta = REFUSED_MAX


LINK_TIMES = LinkTimes()


def bolt_app(client: AsyncWebClient, identity: Identity) -> AsyncApp:
    """Return the Bolt app. `client` has no token: Bolt must not call Slack by itself.

    If Bolt's own `auth.test` fails, be it for a moment, a click is acknowledged and lost; so it is told
    whom the app belongs to by `identity`.
    """

    async def authorize() -> AuthorizeResult:
        return identity.authorization()

    return AsyncApp(
        name="triage-bot",  # or Bolt looks for one in the source files of all callers
        client=client,
        authorize=authorize,
        process_before_response=True,
        raise_error_for_unhandled_request=True,
        # These three look at requests over HTTP, of which there are none.
        request_verification_enabled=False,
        ssl_check_enabled=False,
        url_verification_enabled=False,
    )


class SocketConnection:
    """One link: `run` keeps it working until it is told to stop."""

    def __init__(
        self,
        app: AsyncApp,
        urls: LinkUrls,
        client: AsyncWebClient,
        *,
        jitter: Callable[[], float],
        times: LinkTimes = LINK_TIMES,
    ) -> None:
        self._app = app
        self._urls = urls
        self._client = client
        self._jitter = jitter
        self._times = times
        self._current: Websocket | None = None
        self._opening = False
        self._closing: set[asyncio.Task[None]] = set()
        self._was_up = False
        self._failures = 0
        self.trouble: TriageBotError | None = (
            None  #: what last kept it from opening; None: it has opened since
        )
        self.on_hello: Callable[[int], None] = lambda _: None  #: told how many links Slack counts
        self.on_progress: Callable[[], None] = lambda: None  #: told that it is being looked after
        self.on_failure: Callable[[], None] = lambda: None  #: told that a URL was of no use

    @property
    def is_up(self) -> bool:
        """Whether a click can come over it now."""
        return self._current is not None and self._current.is_working

    @property
    def websockets(self) -> int:
        """How many websockets Slack may count for it now: more than one while one replaces another."""
        return self.is_up + self._opening + len(self._closing)

    def replace(self) -> bool:
        """Open another websocket in place of the one that works; False if none works, or Slack asks to wait.

        The one that works goes on until the other has opened, however long that takes.
        """
        if self._current is None or not self.is_up or self._current.ended.is_set() or self._urls.pause:
            return False
        self._current.ended.set()
        return True

    async def run(self, stop: asyncio.Event) -> None:
        """Open the link, and open another whenever it does not work; close it when `stop` is set."""
        while not stop.is_set():
            self._look()
            url = await self._fetch_url(stop)
            if url:
                await self._wait(stop, countdown(await self._serve(url, stop)))
        self._replace(None)
        await asyncio.gather(*self._closing)
        self._log_state()

    async def _fetch_url(self, stop: asyncio.Event) -> str | None:
        """Wait for the pause of all links, and fetch a URL; None: stop, or there is a pause again."""
        await self._wait(stop, lambda: self._urls.pause)
        try:
            return await until_stopped(stop, self._urls.fetch())
        except TriageBotError as error:
            self._log_failure(error)
            return None

    async def _serve(self, url: str, stop: asyncio.Event) -> timedelta:
        """Open a websocket in place of the last one, and look after it; return how long to wait then."""
        self._look()
        fresh = await self._open(url, stop)
        if fresh is None:
            return self._count_failure(self._times.refused_max)
        self._replace(fresh)
        self._look()
        opened_at = time.monotonic()
        while fresh.is_working and not fresh.ended.is_set() and not stop.is_set():
            self.on_progress()
            await self._pause(stop, self._times.look_interval, fresh.ended)
        self._look()
        return self._judge_end(fresh, timedelta(seconds=time.monotonic() - opened_at))

    def _judge_end(self, last: Websocket, lasted: timedelta) -> timedelta:
        """Return how long to wait before another one takes the place of the last one."""
        times = self._times
        if lasted >= times.steady_after:
            self._failures = 0
            return timedelta(0)
        if last.is_working:
            # It has not failed: another one is asked for, which may wait a little meanwhile.
            return retry_delay(0, self._jitter())
        return self._count_failure(times.broken_max if lasted >= times.served_after else times.refused_max)

    def _count_failure(self, longest: timedelta) -> timedelta:
        self._failures += 1
        return retry_delay(self._failures - 1, self._jitter(), longest=longest)

    async def _open(self, url: str, stop: asyncio.Event) -> Websocket | None:
        """Return a websocket that works; None if none was opened, or `stop` was set before it was."""
        fresh = Websocket(
            self._app, self._client, on_hello=self.on_hello, ping_interval=self._times.ping_interval
        )
        self._opening, has_opened = True, False
        try:
            async with asyncio.timeout(self._times.patience.total_seconds()):
                await until_stopped(stop, fresh.open(url))
            has_opened = not stop.is_set()
        except TimeoutError:
            self._refuse(AmbiguousError("Slack says no hello"))
        except TriageBotError as error:
            self._refuse(error)
        self._opening = False
        if has_opened:
            self.trouble = None
            return fresh
        self._close(fresh)
        return None

    def _refuse(self, error: TriageBotError) -> None:
        self.on_failure()
        self._log_failure(error)

    def _log_failure(self, error: TriageBotError) -> None:
        self.trouble = error
        log_event(log.warning, "link.refused", "link not opened: %s", explain(error))

    def _replace(self, fresh: Websocket | None) -> None:
        last, self._current = self._current, fresh
        if last is not None:
            self._close(last, successor=fresh)

    def _close(self, websocket: Websocket, *, successor: Websocket | None = None) -> None:
        task = asyncio.create_task(websocket.close(successor=successor), name="link closing")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _look(self) -> None:
        """Say that it is being looked after, and log if it is up or down by now."""
        self.on_progress()
        self._log_state()

    def _log_state(self) -> None:
        if self.is_up != self._was_up:
            self._was_up = self.is_up
            log_event(
                log.info,
                "link.opened" if self.is_up else "link.lost",
                "link is %s",
                "up" if self.is_up else "down",
            )

    async def _wait(self, stop: asyncio.Event, remaining: Callable[[], timedelta]) -> None:
        await wait_out(stop, remaining, on_progress=self._look, step=self._times.look_interval)

    async def _pause(self, stop: asyncio.Event, pause: timedelta, *events: asyncio.Event) -> None:
        waits = [asyncio.ensure_future(event.wait()) for event in (stop, *events)]
        await asyncio.wait(waits, timeout=pause.total_seconds(), return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()


class SocketConnections:
    """All links of this worker. `shared`: other workers with the same store may have links of their own."""

    def __init__(
        self,
        connections: Sequence[SocketConnection],
        *,
        clock: Clock,
        shared: bool = False,
        look_interval: timedelta = LINK_TIMES.look_interval,
    ) -> None:
        self._connections = connections
        self._clock = clock
        self._started_at = clock()
        self._shared = shared
        self._look_interval = look_interval
        self._suspected_at: datetime | None = None
        self._examined_at: datetime | None = None
        self._has_strangers = False
        self._crowded = False
        for link in connections:
            link.on_hello = self._count

    async def run(self, stop: asyncio.Event, *, drain: Callable[[], Awaitable[None]]) -> None:
        """Keep all links working until `stop` is set; close them when `drain` has seen to the last clicks."""
        close = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for number, link in enumerate(self._connections, 1):
                group.create_task(link.run(close), name=f"link {number}")
            await self._examine(stop)
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
        return sum(link.is_up for link in self._connections)

    @property
    def trouble(self) -> TriageBotError | None:
        """What last kept a link from opening, and still does."""
        return next((link.trouble for link in self._connections if link.trouble), None)

    def is_app_shared(self) -> bool:
        """Whether Slack counted more links than ours: then another program takes some of the clicks.

        Workers that share a store do not count: whoever of them gets a click can answer it.
        Only a hello that came a while after the start counts: until then a worker that was killed may
        still be counted. It ends with a hello that counts ours alone.
        """
        return self._has_strangers

    async def _examine(self, stop: asyncio.Event) -> None:
        """Replace a link now and then while Slack counts others, until `stop` is set.

        Slack counts in a hello only, and the next one might be hours away. What it counted may have been a
        dead link: one that was cut off, or a killed worker's.
        """
        while not stop.is_set():
            if self._is_examination_due() and any(link.replace() for link in self._connections):
                self._examined_at = self._clock()
                log_event(log.info, "link.examined", "a link is replaced, so that Slack counts again")
            await pause(stop, self._look_interval.total_seconds())

    def _is_examination_due(self) -> bool:
        now = self._clock()
        suspected_at, examined_at = self._suspected_at, self._examined_at
        return (
            suspected_at is not None
            and now - suspected_at >= SETTLED_AFTER
            and (examined_at is None or now - examined_at >= EXAMINE_EVERY)
        )

    def _count(self, connections: int) -> None:
        if self._shared:
            self._judge_crowd(connections)
            return
        # While links are opened or closed nobody knows which of them Slack has counted.
        at_least = self.up + 1
        at_most = sum(link.websockets for link in self._connections)
        if connections > at_most:
            self._suspect(connections)
        elif connections <= at_least:
            self._clear()

    def _suspect(self, connections: int) -> None:
        now = self._clock()
        self._suspected_at = self._suspected_at or now
        if self._has_strangers or now - self._started_at < SETTLED_AFTER:
            return
        self._has_strangers = True
        log_event(
            log.error,
            "link.shared",
            "Slack counts %d links, more than this worker's: another program listens with this app's token"
            " and takes some of the clicks (stop it), or a link that is dead is still counted",
            connections,
            connections=connections,
        )

    def _clear(self) -> None:
        if self._has_strangers:
            log_event(log.info, "link.alone", "Slack counts no other program's links any more")
        self._suspected_at, self._has_strangers = None, False

    def _judge_crowd(self, connections: int) -> None:
        """Say so, once, where there are more links than Slack lets work for long."""
        replaced = max(0, sum(link.websockets for link in self._connections) - len(self._connections))
        crowded = connections - replaced > CONNECTIONS_MAX
        if crowded and not self._crowded:
            log_event(
                log.error,
                "link.crowded",
                "%d links listen with this app's token; Slack allows ten, and a link that is replaced is two"
                " for a while: run at most %d workers",
                connections,
                CONNECTIONS_MAX // CONNECTIONS,
                connections=connections,
            )
        self._crowded = crowded
