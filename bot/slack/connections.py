"""Socket Mode links, kept up without the SDK's own reconnecting.

A link is one websocket after another. When Slack asks for a new one, it is opened before the old one is
closed. When Slack rejects a link, or a link breaks at once, the next attempt waits, longer each time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.web.async_client import AsyncWebClient

from bot.backoff import countdown, pause_to_beat, retry_delay, until_stopped, wait_out
from bot.clock import Clock
from bot.errors import AmbiguousError, TransientError, TriageBotError
from bot.slack.errors import explain
from bot.slack.identity import Identity
from bot.slack.link_urls import REFUSED_MAX, LinkUrls
from bot.slack.websocket import PING_INTERVAL, Websocket
from bot.triage.log_events import log_event

log = logging.getLogger(__name__)

#: Links of one worker. With two, no click is lost when one breaks. Slack allows an app ten.
CONNECTIONS = 2

#: Links of all workers of one app together: Slack allows ten, and one that is being replaced counts twice.
CONNECTIONS_MAX = 8

#: How long Slack may still count dead links: a killed worker's, or our own.
SETTLED_AFTER = timedelta(seconds=60)

#: The least time between two replacements of a link that let Slack count the links again.
EXAMINE_EVERY = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkTimes:
    """The times of one link."""

    #: How long Slack may take to say hello.
    patience: timedelta = timedelta(seconds=10)
    #: How long a link must last to be worth another call of a method that Slack limits.
    served_after: timedelta = timedelta(seconds=10)
    #: How long a link must last for earlier failures to be forgotten.
    steady_after: timedelta = timedelta(minutes=1)
    #: How often a link is checked, while it works and while it waits.
    look_interval: timedelta = timedelta(seconds=2)
    ping_interval: timedelta = PING_INTERVAL
    #: The longest wait after a link that lasted `served_after`, and after one that did not.
    broken_max: timedelta = timedelta(seconds=8)
    refused_max: timedelta = REFUSED_MAX


LINK_TIMES = LinkTimes()


def bolt_app(client: AsyncWebClient, identity: Identity) -> AsyncApp:
    """Return the Bolt app. `client` has no token: Bolt must not call Slack by itself.

    If Bolt's own `auth.test` fails, even once, Bolt acknowledges the click and loses it. So `identity`
    provides the authorization.
    """

    async def authorize() -> AuthorizeResult:
        return identity.authorization()

    return AsyncApp(
        name="triage-bot",  # otherwise Bolt searches the source files of all callers for one
        client=client,
        authorize=authorize,
        process_before_response=True,
        raise_error_for_unhandled_request=True,
        # These three are for requests over HTTP, and there are none.
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
        self.trouble: TriageBotError | None = None  #: why it last failed to open; None: it has opened since
        self.on_hello: Callable[[int], None] = lambda _: None  #: gets the number of links that Slack counts
        self.on_progress: Callable[[], None] = lambda: None  #: called as a sign of life
        self.on_failure: Callable[[], None] = lambda: None  #: called when a websocket could not be opened

    @property
    def is_up(self) -> bool:
        """Whether a click can arrive over it now."""
        return self._current is not None and self._current.is_working

    @property
    def websockets(self) -> int:
        """How many websockets Slack may count for it now: more than one while one replaces another."""
        return self.is_up + self._opening + len(self._closing)

    def replace(self) -> bool:
        """Replace the websocket that works; return False if none works, or if Slack asks to wait.

        The old one stays in use until the new one has opened, however long that takes.
        """
        if self._current is None or not self.is_up or self._current.ended.is_set() or self._urls.pause:
            return False
        self._current.ended.set()
        return True

    async def run(self, stop: asyncio.Event) -> None:
        """Keep a websocket open until `stop` is set, then close it."""
        while not stop.is_set():
            self._look()
            url = await self._fetch_url(stop)
            if url:
                await self._wait(stop, countdown(await self._serve(url, stop)))
        self._replace(None)
        await asyncio.gather(*self._closing)
        self._log_state()

    async def _fetch_url(self, stop: asyncio.Event) -> str | None:
        """Wait until the pause of all links is over, and fetch a URL; None if that fails, or on `stop`."""
        await self._wait(stop, lambda: self._urls.pause)
        try:
            return await until_stopped(stop, self._urls.fetch())
        except TriageBotError as error:
            self._log_failure(error)
            return None

    async def _serve(self, url: str, stop: asyncio.Event) -> timedelta:
        """Replace the last websocket by a new one, and watch it; return how long to wait after it."""
        self._look()
        fresh = await self._open(url, stop)
        if fresh is None:
            return self._count_failure(self._times.refused_max)
        self._replace(fresh)
        self._look()
        opened_at = time.monotonic()
        while fresh.is_working and not fresh.ended.is_set() and not stop.is_set():
            self.on_progress()
            await pause_to_beat(stop, fresh.ended, every=self._times.look_interval)
        self._look()
        return self._judge_end(fresh, timedelta(seconds=time.monotonic() - opened_at))

    def _judge_end(self, last: Websocket, lasted: timedelta) -> timedelta:
        """Return how long to wait before the next websocket is opened."""
        times = self._times
        if lasted >= times.steady_after:
            self._failures = 0
            return timedelta(0)
        if last.is_working:
            # It still works and only has to be replaced: a short wait does no harm.
            return retry_delay(0, self._jitter())
        return self._count_failure(times.broken_max if lasted >= times.served_after else times.refused_max)

    def _count_failure(self, longest: timedelta) -> timedelta:
        self._failures += 1
        return retry_delay(self._failures - 1, self._jitter(), longest=longest)

    async def _open(self, url: str, stop: asyncio.Event) -> Websocket | None:
        """Return a websocket that works; None if it could not be opened, or if `stop` was set first."""
        fresh = Websocket(
            self._app, self._client, on_hello=self.on_hello, ping_interval=self._times.ping_interval
        )
        self._opening, has_opened = True, False
        try:
            async with asyncio.timeout(self._times.patience.total_seconds()):
                await until_stopped(stop, fresh.open(url))
            has_opened = not stop.is_set()
        except TimeoutError:
            self._refuse(AmbiguousError("Slack did not say hello"))
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
        if isinstance(error, TransientError) and error.retry_after:
            self._urls.delay(error.retry_after)
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
        """Report progress, and log whether the link has gone up or down."""
        self.on_progress()
        self._log_state()

    def _log_state(self) -> None:
        if self.is_up != self._was_up:
            self._was_up = self.is_up
            if self.is_up:
                log_event(log.info, "link.opened", "link is up")
            else:
                log_event(log.info, "link.lost", "link is down")

    async def _wait(self, stop: asyncio.Event, remaining: Callable[[], timedelta]) -> None:
        await wait_out(stop, remaining, on_progress=self._look, step=self._times.look_interval)


class SocketConnections:
    """All links of this worker. `shared`: other workers with the same store may hold links, too."""

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
        self._started_at = clock.monotonic()
        self._shared = shared
        self._look_interval = look_interval
        self._suspected_at: timedelta | None = None
        self._examined_at: timedelta | None = None
        self._has_strangers = False
        self._crowded = False
        for link in connections:
            link.on_hello = self._count

    async def run(self, stop: asyncio.Event, *, drain: Callable[[], Awaitable[None]]) -> None:
        """Keep all links up until `stop` is set; close them once `drain` has finished the last clicks."""
        close = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for number, link in enumerate(self._connections, 1):
                group.create_task(link.run(close), name=f"link {number}")
            await self._examine(stop)
            await drain()
            close.set()
        await drain()

    @property
    def up(self) -> int:
        """How many links work now."""
        return sum(link.is_up for link in self._connections)

    @property
    def trouble(self) -> TriageBotError | None:
        """Why a link cannot be opened at present; None if no link is in trouble."""
        return next((link.trouble for link in self._connections if link.trouble), None)

    def is_app_shared(self) -> bool:
        """Whether Slack counts more links than this worker's: then another program takes some of the clicks.

        Workers that share a store do not matter: whichever gets a click can handle it. A hello counts only a
        while after the start, because Slack may still count a killed worker's links until then. The suspicion
        ends with a hello that counts this worker's links alone.
        """
        return self._has_strangers

    async def _examine(self, stop: asyncio.Event) -> None:
        """Until `stop` is set, replace a link from time to time while Slack counts others.

        Slack reports its count only in a hello, and the next one might be hours away. It may have counted a
        dead link, such as a killed worker's.
        """
        while not stop.is_set():
            if self._is_examination_due() and any(link.replace() for link in self._connections):
                self._examined_at = self._clock.monotonic()
                log_event(log.info, "link.replaced", "a link is replaced, so that Slack counts again")
            await pause_to_beat(stop, every=self._look_interval)

    def _is_examination_due(self) -> bool:
        now = self._clock.monotonic()
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
        # While links open or close, it is unknown which of them Slack has counted.
        at_least = self.up + 1
        at_most = sum(link.websockets for link in self._connections)
        if connections > at_most:
            self._suspect(connections)
        elif connections <= at_least:
            self._clear()

    def _suspect(self, connections: int) -> None:
        now = self._clock.monotonic()
        self._suspected_at = self._suspected_at or now
        if self._has_strangers or now - self._started_at < SETTLED_AFTER:
            return
        self._has_strangers = True
        log_event(
            log.error,
            "link.shared",
            "Slack counts %d links, more than this worker's: another program uses this app's token"
            " and takes some of the clicks (stop it), or Slack still counts a dead link",
            connections,
            connections=connections,
        )

    def _clear(self) -> None:
        if self._has_strangers:
            log_event(log.info, "link.exclusive", "Slack no longer counts another program's links")
        self._suspected_at, self._has_strangers = None, False

    def _judge_crowd(self, connections: int) -> None:
        """Log once when there are more links than Slack tolerates for long."""
        replaced = max(0, sum(link.websockets for link in self._connections) - len(self._connections))
        crowded = connections - replaced > CONNECTIONS_MAX
        if crowded and not self._crowded:
            log_event(
                log.error,
                "link.crowded",
                "%d links are open with this app's token; Slack allows ten, and a link that is being replaced"
                " counts twice: run at most %d workers",
                connections,
                CONNECTIONS_MAX // CONNECTIONS,
                connections=connections,
            )
        self._crowded = crowded
