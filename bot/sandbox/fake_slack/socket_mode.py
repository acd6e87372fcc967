"""Socket Mode: the open links, the envelopes sent over them, and their acknowledgements."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from aiohttp import WSMsgType, web

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from bot.sandbox.fake_slack.installation import Installation
    from bot.sandbox.fake_slack.workspace import Json

DisconnectReason = Literal["warning", "refresh_requested", "link_disabled", "too_many_websockets"]

#: How many links one app may have.
CONNECTIONS_MAX: Final = 10
#: The lifetime of a link that Slack announces to the app, in seconds.
CONNECTION_SECONDS: Final = 18_060


@dataclass(frozen=True, kw_only=True)
class Acknowledgement:
    """The app has acknowledged an envelope; `payload` is its reply, if any."""

    payload: Json | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Connection:
    """One open websocket."""

    host: str
    request: web.Request
    websocket: web.WebSocketResponse


class SocketMode:
    """All links of the app. Each envelope is sent over any one of them, as Slack does."""

    def __init__(self, installation: Installation, *, acknowledge_within: timedelta) -> None:
        self._installation = installation
        self._acknowledge_within = acknowledge_within
        self._links: list[Connection] = []
        self._ghosts: list[datetime] = []  #: until when each dead link is counted
        self._pongs: set[asyncio.Task[None]] = set()
        self._waiting: dict[str, asyncio.Future[Acknowledgement]] = {}
        self._changed = asyncio.Condition()
        #: Makes the server's end of a link.
        self.make_websocket: Callable[[web.Request], web.WebSocketResponse] = _make_websocket
        #: How many links have been opened in total.
        self.welcomed = 0
        #: How many pings have been answered.
        self.pongs = 0

    @property
    def links(self) -> int:
        """How many links are open."""
        return len(self._open_links())

    @property
    def counted(self) -> int:
        """How many links Slack counts: those that are open, and some that are dead."""
        now = self._installation.clock()
        return self.links + sum(until > now for until in self._ghosts)

    async def until_linked(self, count: int = 1) -> None:
        """Wait until at least `count` links are open."""
        await self.until(lambda: self.links >= count)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition()` is true; it is checked whenever a link opens or ends."""
        async with self._changed:
            await self._changed.wait_for(condition)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one link until either side closes it. `HTTPUnauthorized` for an invalid ticket."""
        if not self._installation.redeem_ticket(request.query.get("ticket", "")):
            raise web.HTTPUnauthorized(text="unknown ticket")
        websocket = self.make_websocket(request)
        await websocket.prepare(request)
        link = Connection(host=f"applink-{secrets.token_hex(4)}", request=request, websocket=websocket)
        if self.links >= CONNECTIONS_MAX:
            await self._tell(link, "too_many_websockets")
            await websocket.close()
            return websocket
        try:
            await self._welcome(link)
            await self._listen(link)
        finally:
            self._links.remove(link)
            await self._announce()
        return websocket

    async def send(
        self, kind: str, payload: Json, *, accepts_response: bool = False, **retry: Any
    ) -> Acknowledgement | None:
        """Send an envelope over a random link; return None if it is not acknowledged in time."""
        links = self._open_links()
        if not links:
            return None
        envelope_id = str(uuid.uuid4())
        acknowledged: asyncio.Future[Acknowledgement] = asyncio.get_running_loop().create_future()
        self._waiting[envelope_id] = acknowledged
        envelope = {
            "envelope_id": envelope_id,
            "type": kind,
            "accepts_response_payload": accepts_response,
            "payload": payload,
            **retry,
        }
        try:
            async with asyncio.timeout(self._acknowledge_within.total_seconds()):
                await _send(secrets.choice(links), envelope)
                return await acknowledged
        except TimeoutError:
            return None
        finally:
            del self._waiting[envelope_id]

    async def say(self, text: str) -> None:
        """Send any text over a random link, unchanged. LookupError if none is open."""
        links = self._open_links()
        if not links:
            raise LookupError("no link is open")
        await secrets.choice(links).websocket.send_str(text)

    async def disconnect(self, reason: DisconnectReason) -> None:
        """Tell one random link that it will end (`link_disabled`: tell all links, and end them).

        After `warning` and `refresh_requested` the app replaces the link and closes the old one itself.
        """
        links = self._open_links()
        if reason == "link_disabled":
            for link in links:
                await self._tell(link, reason)
                await link.websocket.close()
        elif links:
            await self._tell(secrets.choice(links), reason)

    async def close(self) -> None:
        """Close every link gracefully."""
        # All at once, because a dead peer takes its whole timeout.
        await asyncio.gather(*(link.websocket.close() for link in self._open_links()))

    def drop_links(self) -> None:
        """Cut every link without notice, as a broken network does; each is counted as a ghost for a while."""
        counted_until = self._installation.clock() + self._installation.quirks.ghost_lifetime
        for link in self._open_links():
            self._ghosts.append(counted_until)
            if link.request.transport is not None:
                link.request.transport.abort()

    def _open_links(self) -> list[Connection]:
        return [link for link in self._links if not link.websocket.closed]

    async def _welcome(self, link: Connection) -> None:
        self._links.append(link)
        self.welcomed += 1
        hello = {
            "type": "hello",
            "num_connections": self.counted,
            "connection_info": {"app_id": self._installation.app.id},
            "debug_info": {
                "host": link.host,
                "started": self._installation.clock().isoformat(),
                "build_number": 1,
                "approximate_connection_time": CONNECTION_SECONDS,
            },
        }
        await _send(link, hello)
        await self._announce()

    async def _announce(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _listen(self, link: Connection) -> None:
        async for message in link.websocket:
            if message.type is WSMsgType.TEXT:
                self._take(message.data)
            elif message.type is WSMsgType.PING:
                pong = asyncio.create_task(self._pong(link, message.data))
                self._pongs.add(pong)
                pong.add_done_callback(self._pongs.discard)

    async def _pong(self, link: Connection, data: bytes) -> None:
        await asyncio.sleep(self._installation.quirks.pong_delay.total_seconds())
        with contextlib.suppress(ConnectionError):
            await link.websocket.pong(data)
            self.pongs += 1

    def _take(self, text: str) -> None:
        """Match an acknowledgement with its envelope; Slack ignores what it does not understand."""
        try:
            answer = json.loads(text)
        except ValueError:
            return
        envelope_id = answer.get("envelope_id") if isinstance(answer, dict) else None
        waiting = self._waiting.get(envelope_id) if isinstance(envelope_id, str) else None
        if waiting is not None and not waiting.done():
            waiting.set_result(Acknowledgement(payload=answer.get("payload")))

    async def _tell(self, link: Connection, reason: DisconnectReason) -> None:
        notice = {"type": "disconnect", "reason": reason, "debug_info": {"host": link.host}}
        await _send(link, notice)


def _make_websocket(_: web.Request) -> web.WebSocketResponse:
    return web.WebSocketResponse(timeout=1.0, heartbeat=30.0, autoping=False)


async def _send(link: Connection, message: Json) -> None:
    """Send one frame. A broken link is treated like one whose app does not answer."""
    with contextlib.suppress(ConnectionError):
        await link.websocket.send_str(json.dumps(message))
