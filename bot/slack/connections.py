"""Socket Mode links, healed where the SDK does not heal them.

A link is one websocket after another. When Slack asks for another one, that is opened before the last one is
closed; when Slack turns a link away, or a link breaks at once, the next try waits, longer each time.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from slack_bolt.app.async_app import AsyncApp

from bot.backoff import retry_delay
from bot.slack.websocket import Websocket
from bot.triage.log_events import log_event

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from slack_bolt.authorization import AuthorizeResult
    from slack_sdk.web.async_client import AsyncWebClient

    from bot.slack.identity import Identity
    from bot.triage.ports import Clock

log = logging.getLogger(__name__)

#: Links of one worker. With two, a link that breaks loses no click. Slack allows an app ten.
CONNECTIONS = 2

#: How often a link is looked at: nothing tells of a connection that was reset.
LOOK_INTERVAL = timedelta(seconds=2)

#: How long a link may take to say hello, before it is replaced.
PATIENCE = timedelta(seconds=10)

#: A link that ends sooner after its hello counts as a failure: the next one waits.
STEADY_AFTER = timedelta(seconds=1)

#: The wait doubles so often at the most: with full jitter up to 8 s.
DOUBLINGS_MAX = 3

#: Links of all workers of one app together: Slack allows ten, and one that is replaced is two for a while.
CONNECTIONS_MAX = 8

#: A hello that comes sooner after the start may count links of a worker that was killed.
SETTLED_AFTER = timedelta(seconds=60)


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
        app_token: str,
        client: AsyncWebClient,
        *,
        jitter: Callable[[], float],
        patience: timedelta = PATIENCE,
    ) -> None:
        self._app = app
        self._app_token = app_token
        self._client = client
        self._jitter = jitter
        self._patience = patience
        self._current: Websocket | None = None
        self._opening = False
        self._closing: set[asyncio.Task[None]] = set()
        self._was_up = False
        self.on_hello: Callable[[int], None] = lambda _: None  #: told how many links Slack counts
        self.on_progress: Callable[[], None] = lambda: None  #: told that it is being looked after
        self.on_failure: Callable[[], None] = lambda: None  #: told that it could not be opened

    @property
    def is_up(self) -> bool:
        """Whether a click can come over it now."""
        return self._current is not None and self._current.is_working

    @property
    def websockets(self) -> int:
        """How many websockets Slack may count for it now: more than one while one replaces another."""
        return self.is_up + self._opening + len(self._closing)

    async def run(self, stop: asyncio.Event) -> None:
        """Open the link, and open another whenever it does not work; close it when `stop` is set."""
        failures = 0
        while not stop.is_set():
            self.on_progress()
            failures = await self._serve(stop, failures)
            if failures and not stop.is_set():
                await self._back_off(stop, retry_delay(min(failures - 1, DOUBLINGS_MAX), self._jitter()))
        self._replace(None)
        await asyncio.gather(*self._closing)
        self._log_state()

    async def _serve(self, stop: asyncio.Event, failures: int) -> int:
        """Open a websocket in place of the last one, and look after it; return the failures in a row."""
        loop = asyncio.get_running_loop()
        self._opening = True
        fresh = await self._open(stop)
        self._opening = False
        if fresh is None:
            return failures + 1
        self._replace(fresh)
        self._log_state()
        opened_at = loop.time()
        while fresh.is_working and not fresh.ended.is_set() and not stop.is_set():
            self.on_progress()
            await self._pause(stop, LOOK_INTERVAL, fresh.ended)
        self._log_state()
        if loop.time() - opened_at >= STEADY_AFTER.total_seconds():
            return 0
        # One that still works has not failed: Slack asks for another, which may wait a little meanwhile.
        return 1 if fresh.is_working else failures + 1

    async def _open(self, stop: asyncio.Event) -> Websocket | None:
        fresh = Websocket(self._app, self._app_token, self._client, on_hello=self.on_hello)
        opening = asyncio.create_task(fresh.open(), name="link opening")
        stopping = asyncio.create_task(stop.wait())
        waits = {opening, stopping}
        await asyncio.wait(waits, timeout=self._patience.total_seconds(), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if opening.done() and not opening.exception():
            return fresh
        if not stop.is_set():
            self._log_failure(opening)
        opening.cancel()
        self._close(fresh)
        return None

    def _log_failure(self, opening: asyncio.Task[None]) -> None:
        self.on_failure()
        error = opening.exception() if opening.done() else None
        reason = f"{type(error).__name__}: {error}" if error else "Slack says no hello"
        log_event(log.warning, "link.refused", "link not opened: %s", reason)

    def _replace(self, fresh: Websocket | None) -> None:
        last, self._current = self._current, fresh
        if last is not None:
            self._close(last, successor=fresh)

    def _close(self, websocket: Websocket, *, successor: Websocket | None = None) -> None:
        task = asyncio.create_task(websocket.close(successor=successor), name="link closing")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _log_state(self) -> None:
        if self.is_up != self._was_up:
            self._was_up = self.is_up
            log_event(
                log.info,
                "link.opened" if self.is_up else "link.lost",
                "link is %s",
                "up" if self.is_up else "down",
            )

    async def _back_off(self, stop: asyncio.Event, delay: timedelta) -> None:
        """Wait a little at a time, for whoever waits on purpose gets on, too."""
        while delay > timedelta(0) and not stop.is_set():
            self.on_progress()
            await self._pause(stop, min(delay, LOOK_INTERVAL))
            delay -= LOOK_INTERVAL

    async def _pause(self, stop: asyncio.Event, pause: timedelta, *events: asyncio.Event) -> None:
        waits = [asyncio.ensure_future(event.wait()) for event in (stop, *events)]
        await asyncio.wait(waits, timeout=pause.total_seconds(), return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()


class SocketConnections:
    """All links of this worker. `shared`: other workers with the same store may have links of their own."""

    def __init__(
        self, connections: Sequence[SocketConnection], *, clock: Clock, shared: bool = False
    ) -> None:
        self._connections = connections
        self._clock = clock
        self._started_at = clock()
        self._shared = shared
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
        return sum(link.is_up for link in self._connections)

    def is_app_shared(self) -> bool:
        """Whether Slack counted more links than ours: then another program takes some of the clicks.

        Workers that share a store do not count: whoever of them gets a click can answer it.
        Only a hello that came a while after the start counts: until then a worker that was killed may
        still be counted.
        """
        return self._has_strangers

    def _count(self, connections: int) -> None:
        if self._shared:
            self._judge_crowd(connections)
            return
        if self._clock() - self._started_at < SETTLED_AFTER:
            return
        strangers = connections > sum(link.websockets for link in self._connections)
        if strangers and not self._has_strangers:
            log_event(
                log.error,
                "link.shared",
                "another program listens with this app's token and takes some of the clicks; stop it",
                connections=connections,
            )
        self._has_strangers = strangers

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
