"""One websocket to Slack, opened once and never reconnected: `connections` opens the next one.

The SDK's client would reconnect by itself. It closes the old connection first, retries without a pause when
Slack rejects it, and retries a failed handshake forever on the same one-time URL. aiohttp's heartbeat would
close a connection whose pong takes longer than half the ping interval.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from aiohttp import ClientWSTimeout, WSCloseCode, WSMessage, WSMsgType
from slack_bolt.adapter.socket_mode.async_internals import run_async_bolt_app, send_async_response
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.web.async_client import AsyncWebClient

from bot.backoff import pause, seconds_to_beat
from bot.errors import TransientError
from bot.slack.client import proxy_for
from bot.slack.errors import classify_error
from bot.slack.input_cleaning import clean_json, read_text
from bot.slack.payloads import describe_payload
from bot.triage.log_events import log_event

#: How often Slack is pinged.
PING_INTERVAL = timedelta(seconds=5)

#: A connection is dead after this many pings without any frame from Slack: after 20 s. Pings are counted
#: instead of seconds, so that a process that was frozen does not blame its own silence on Slack.
UNANSWERED_MAX = 4

#: How long Slack may take to close its end; if that is dead, the SDK can take ten seconds.
CLOSE_TIMEOUT = timedelta(seconds=1)

#: The keys of the envelope around a payload. Without one of them it can be neither handled nor acknowledged.
_ENVELOPE = frozenset({"type", "envelope_id", "payload"})

log = logging.getLogger(__name__)

#: The SDK writes debug lines unless the logger itself has a level.
_sdk_log = logging.getLogger("slack_sdk.link")


class Websocket:
    """A connection and what arrives over it. Call `open` once and `close` once."""

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
        #: Set when it has to be replaced: Slack asks for that, or it is broken.
        self.ended = asyncio.Event()
        self._client = _Client(
            app_token="", logger=_sdk_log, web_client=client, ping_interval=ping_interval.total_seconds()
        )
        self._client.on_end = self.ended.set
        self._client.on_message_listeners.append(self._on_message)
        self._client.message_listeners.append(self._judge)
        self._client.socket_mode_request_listeners.append(self._on_request)

    @property
    def is_working(self) -> bool:
        """Whether a click can arrive over it now."""
        session = self._client.current_session
        return (
            self._hello_received.is_set()
            and session is not None
            and not session.closed
            and not self._client.stale
        )

    async def open(self, url: str) -> None:
        """Connect, and wait until Slack says hello.

        Raises the errors of `classify_error`; `TransientError` if Slack rejects the connection.
        """
        try:
            await self._client.connect_to(url)
        except Exception as error:
            raise classify_error(error) from error
        await pause(self._hello_received, self.ended)
        if not self.is_working:
            reason = self._turned_away or "it was closed"
            raise TransientError(f"Slack rejected the link ({reason})")

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
        with contextlib.suppress(ValueError, RecursionError):
            first = json.loads(message.data)
            if first.get("type") == "hello":
                self._hello_received.set()
                if count := _read_count(first.get("num_connections")):
                    self._on_hello(count)
            elif first.get("type") == "disconnect":
                self._turned_away = read_text(first.get("reason"))

    async def _on_request(self, client: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        started = time.time()  # on the SDK's clock, for its debug lines
        try:
            response = await run_async_bolt_app(self._app, request)
        except Exception as error:  # noqa: BLE001 - one payload that Bolt cannot handle
            # Only its class is logged: its text may quote the payload.
            _log_unread("payload not understood", request.payload, type(error).__name__)
            return
        await send_async_response(client, request, response, started)

    async def _judge(self, _: AsyncBaseSocketModeClient, message: dict[str, Any], __: str | None) -> None:
        """Log a message that is not an envelope, because nothing else will notice it."""
        if message.get("type") != "hello" and not message.keys() >= _ENVELOPE:
            _log_unread("message is not an envelope", message, "no envelope")


class _Client(SocketModeClient):
    """The SDK's client without its reconnecting."""

    on_end: Callable[[], None]
    successor: _Client | None = None
    unanswered_pings = 0

    async def connect_to(self, url: str) -> None:
        """Connect once. Raises aiohttp's errors."""
        page = re.sub("^ws", "http", url)
        self.current_session = await self.aiohttp_client_session.ws_connect(
            url,
            autoping=False,
            timeout=ClientWSTimeout(ws_close=CLOSE_TIMEOUT.total_seconds()),
            proxy=proxy_for(page),  # that of this host: the SDK would not look at NO_PROXY
        )
        self.current_session_monitor = asyncio.ensure_future(self.monitor_current_session())
        self.message_receiver = asyncio.ensure_future(self.receive_messages())

    async def connect_to_new_endpoint(self, force: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - the SDK's own
        """Report that this connection has to be replaced: Slack asks for that, or it is broken."""
        self.on_end()

    async def monitor_current_session(self) -> None:
        """Ping Slack, until nothing has come from it for too long."""
        session, loop = self.current_session, asyncio.get_running_loop()
        while session is not None and not session.closed and self.unanswered_pings < UNANSWERED_MAX:
            self.unanswered_pings += 1
            next_at = loop.time() + seconds_to_beat(self.ping_interval)
            with contextlib.suppress(ConnectionError, TimeoutError):
                async with asyncio.timeout_at(next_at):  # sending blocks while the other end does not read
                    await session.ping()
            await asyncio.sleep(next_at - loop.time())
        self.stale = True
        self.on_end()

    async def receive_messages(self) -> None:
        """Receive until the connection is closed. Every frame counts as a sign of life."""
        session = self.current_session
        try:
            while session is not None and not session.closed:
                message = await session.receive()
                self.unanswered_pings = 0
                if message.type is WSMsgType.TEXT:
                    await self.enqueue_message(clean_json(message.data))
                    for listener in self.on_message_listeners:
                        await listener(message)
                elif message.type is WSMsgType.PING:
                    with contextlib.suppress(ConnectionError):
                        await session.pong(message.data)
        finally:
            self.on_end()

    async def send_message(self, message: str) -> None:
        """Send over the successor, if there is one: this connection is closing."""
        await super(_Client, self.successor or self).send_message(message)

    async def close_gracefully(self) -> None:
        """Send a close frame, and read until Slack has sent its own."""
        session = self.current_session
        if session is None or session.closed:
            return
        # Not `close`, which discards what Slack has sent meanwhile.
        await session.send_frame(WSCloseCode.OK.to_bytes(2, "big"), WSMsgType.CLOSE)
        while not session.closed:
            await asyncio.sleep(0.01)

    async def abandon(self) -> None:
        """Handle what has been received, and release everything."""
        process: Callable[[], Awaitable[None]] = super().process_message
        close: Callable[[], Awaitable[None]] = super().close
        while not self.message_queue.empty():
            await process()
        await close()


def _read_count(value: object) -> int:
    """Return how many links a hello counts, its own included; 0 if it does not say."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return 0
    try:
        return max(0, int(value))
    except ValueError:
        return 0


def _log_unread(text: str, payload: dict[str, Any], error: str) -> None:
    log_event(log.warning, "payload.unread", text, **describe_payload(payload), error=error)


def _drop_traceback(record: logging.LogRecord) -> bool:
    """Drop the traceback: the message names the error, and repeats while Slack is down."""
    record.exc_info = record.exc_text = None
    return True
