"""One websocket to Slack: opened once, never healed here. `connections` opens the next one.

The SDK's client would replace its connection by itself: it closes the old one first, comes back without any
pause when Slack turns it away, and retries a failed handshake on the same one-time URL for ever. aiohttp's
heartbeat would end a connection whose pong takes longer than half the time between two pings.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from aiohttp import ClientWSTimeout, WSCloseCode, WSMsgType
from slack_bolt.adapter.socket_mode.async_internals import run_async_bolt_app, send_async_response
from slack_sdk.socket_mode.aiohttp import SocketModeClient

from bot.errors import TransientError
from bot.slack.errors import classify_error
from bot.slack.payloads import describe_payload
from bot.slack.received import make_storable, read_text
from bot.triage.log_events import log_event

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import WSMessage
    from slack_bolt.app.async_app import AsyncApp
    from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
    from slack_sdk.socket_mode.request import SocketModeRequest
    from slack_sdk.web.async_client import AsyncWebClient

#: How often Slack is pinged.
PING_INTERVAL = timedelta(seconds=5)

#: So many pings in a row go unanswered by any frame of Slack's before a connection is believed dead: 20 s.
#: Pings are counted, and not seconds: a process that was frozen must not take its own silence for Slack's.
UNANSWERED_MAX = 4

#: How long Slack may take to close its end; the SDK can take ten seconds where that end is dead.
CLOSE_TIMEOUT = timedelta(seconds=1)

#: What Slack wraps a payload in. What lacks one of these can be neither taken nor acknowledged.
_ENVELOPE = frozenset({"type", "envelope_id", "payload"})

log = logging.getLogger(__name__)

#: The SDK writes debug lines unless the logger itself has a level.
_sdk_log = logging.getLogger("slack_sdk.link")


class Websocket:
    """A connection and what comes over it. `open` once, `close` once."""

    def __init__(
        self,
        app: AsyncApp,
        client: AsyncWebClient,
        *,
        on_hello: Callable[[int], None],
        ping_interval: timedelta = PING_INTERVAL,
    ) -> None:
        _sdk_log.setLevel(max(logging.getLogger("slack_sdk").getEffectiveLevel(), logging.WARNING))
        _sdk_log.addFilter(_drop_traceback)
        self._app = app
        self._on_hello = on_hello
        self._hello_received = asyncio.Event()
        self._turned_away = ""
        #: Set when it is to be replaced: Slack says so, or it is broken.
        self.ended = asyncio.Event()
        self._client = _Client(
            app_token="", logger=_sdk_log, web_client=client, ping_interval=ping_interval.total_seconds()
        )
        self._client.proxy = client.proxy  # the SDK has looked for one by itself, without NO_PROXY
        self._client.on_end = self.ended.set
        self._client.on_message_listeners.append(self._on_message)
        self._client.message_listeners.append(self._judge)
        self._client.socket_mode_request_listeners.append(self._on_request)

    @property
    def is_working(self) -> bool:
        """Whether a click can come over it now."""
        session = self._client.current_session
        return (
            self._hello_received.is_set()
            and session is not None
            and not session.closed
            and not self._client.stale
        )

    async def open(self, url: str) -> None:
        """Connect, and wait until Slack says hello.

        Raises what `classify_error` makes of whatever kept it from that; `TransientError` if Slack turns the
        connection away.
        """
        try:
            await self._client.connect_to(url)
        except Exception as error:
            raise classify_error(error) from error
        waits = [asyncio.ensure_future(event.wait()) for event in (self._hello_received, self.ended)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if not self.is_working:
            reason = self._turned_away or "it was closed"
            raise TransientError(f"Slack turned the link away ({reason})")

    async def close(self, *, successor: Websocket | None = None) -> None:
        """Close gracefully: payloads that still arrive are handled, and acknowledged over the successor."""
        self._client.successor = successor._client if successor else None  # noqa: SLF001 - of its own kind
        with contextlib.suppress(Exception):
            async with asyncio.timeout(CLOSE_TIMEOUT.total_seconds()):
                await self._client.close_gracefully()
        await self._client.abandon()

    async def _on_message(self, message: WSMessage) -> None:
        if self._hello_received.is_set() or not message.data.startswith("{"):
            return
        with contextlib.suppress(ValueError, TypeError):
            first = json.loads(message.data)
            if first.get("type") == "hello":
                self._hello_received.set()
                self._on_hello(int(first.get("num_connections") or 0))
            elif first.get("type") == "disconnect":
                self._turned_away = read_text(first.get("reason"))

    async def _on_request(self, client: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        started = time.time()  # as the SDK counts, for its own debug lines
        try:
            request.payload = make_storable(request.payload)
            response = await run_async_bolt_app(self._app, request)
        except Exception as error:  # noqa: BLE001 - one payload, of which Bolt can make nothing
            # The error's own words may be the payload's.
            kind = type(error).__name__
            log_event(
                log.warning,
                "payload.unread",
                "payload not understood",
                **describe_payload(request.payload),
                error=kind,
            )
            return
        await send_async_response(client, request, response, started)

    async def _judge(self, _: AsyncBaseSocketModeClient, message: dict[str, Any], __: str | None) -> None:
        """Say so where a message is no envelope: nobody would ever take it."""
        if message.get("type") != "hello" and not message.keys() >= _ENVELOPE:
            log_event(
                log.warning,
                "payload.unread",
                "message is no envelope",
                **describe_payload(message),
                error="no envelope",
            )


class _Client(SocketModeClient):
    """The SDK's client, but for its healing."""

    on_end: Callable[[], None]
    successor: _Client | None = None
    unanswered_pings = 0

    async def connect_to(self, url: str) -> None:
        """Connect once. Raises what kept it from that."""
        tls = self.web_client.ssl
        self.current_session = await self.aiohttp_client_session.ws_connect(
            url,
            autoping=False,
            timeout=ClientWSTimeout(ws_close=CLOSE_TIMEOUT.total_seconds()),
            proxy=self.proxy,
            ssl=True if tls is None else tls,
        )
        self.current_session_monitor = asyncio.ensure_future(self.monitor_current_session())
        self.message_receiver = asyncio.ensure_future(self.receive_messages())

    async def connect_to_new_endpoint(self, force: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - the SDK's own
        """Say that another connection is wanted: Slack asks for it, or this one is broken."""
        self.on_end()

    async def monitor_current_session(self) -> None:
        """Ping Slack, until nothing has come from it for too long."""
        session, loop = self.current_session, asyncio.get_running_loop()
        while session is not None and not session.closed and self.unanswered_pings < UNANSWERED_MAX:
            self.unanswered_pings += 1
            next_at = loop.time() + self.ping_interval
            with contextlib.suppress(ConnectionError, TimeoutError):
                async with asyncio.timeout_at(next_at):  # where nobody reads, sending waits
                    await session.ping()
            await asyncio.sleep(next_at - loop.time())
        self.stale = True
        self.on_end()

    async def receive_messages(self) -> None:
        """Take what comes, and whatever it is, as a sign of life; return when nothing can come any more."""
        session = self.current_session
        try:
            while session is not None and not session.closed:
                message = await session.receive()
                self.unanswered_pings = 0
                if message.type is WSMsgType.TEXT:
                    await self.enqueue_message(message.data)
                    for listener in self.on_message_listeners:
                        await listener(message)
                elif message.type is WSMsgType.PING:
                    with contextlib.suppress(ConnectionError):
                        await session.pong(message.data)
        finally:
            self.on_end()

    async def send_message(self, message: str) -> None:
        """Send over the successor, if there is one: this connection says nothing any more."""
        await super(_Client, self.successor or self).send_message(message)

    async def close_gracefully(self) -> None:
        """Say goodbye, and read until Slack has said it too."""
        session = self.current_session
        if session is None or session.closed:
            return
        # Not `close`: that one throws away what Slack has sent meanwhile.
        await session.send_frame(WSCloseCode.OK.to_bytes(2, "big"), WSMsgType.CLOSE)
        while not session.closed:
            await asyncio.sleep(0.01)

    async def abandon(self) -> None:
        """Let go of everything, however far it got."""
        process: Callable[[], Awaitable[None]] = super().process_message
        close: Callable[[], Awaitable[None]] = super().close
        while not self.message_queue.empty():
            await process()
        await close()


def _drop_traceback(record: logging.LogRecord) -> bool:
    """Keep the sentence alone: it names the error, and comes again and again while Slack is down."""
    record.exc_info = record.exc_text = None
    return True
