"""The network between the program and the world: HTTP and websockets without sockets, at a random speed.

At the other end are the handlers that the stand-ins serve over real sockets elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any, Final, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

import aiohttp
from aiohttp import WSMessage, WSMsgType, web
from multidict import CIMultiDict

from bot.slack.client import TIMEOUT

from .machines import LIFE, Life
from .virtual_loop import VirtualLoop, in_world

Handler = Callable[[Any], Awaitable[web.StreamResponse]]

#: How often a request that was under way when its sender died does not arrive.
_NEVER_LEFT: Final = 0.5

_CLOSED: Final = WSMessage(WSMsgType.CLOSED, None, None)


@dataclass(eq=False, kw_only=True)
class Transport:
    """What a handler sees of the connection."""

    on_cut: Callable[[], None] = lambda: None
    is_cut: bool = False
    life: Life | None = None

    def abort(self) -> None:
        self.is_cut = True
        self.on_cut()

    def is_closing(self) -> bool:
        return self.is_cut or (self.life is not None and self.life.is_over)


@dataclass(eq=False, kw_only=True)
class Request:
    """What a handler needs of an `aiohttp.web.Request`."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    match_info: Mapping[str, str] = field(default_factory=dict)
    transport: Transport = field(default_factory=Transport)
    websocket: Any = None

    @property
    def content_type(self) -> str:
        return self.headers.get("Content-Type", "application/octet-stream").partition(";")[0]

    async def read(self) -> bytes:
        return self.body.encode()

    async def text(self) -> str:
        return self.body

    async def post(self) -> Mapping[str, str]:
        return dict(parse_qsl(self.body))


class Network:
    """Passes requests to handlers, by what their path starts with."""

    def __init__(self, loop: VirtualLoop, random: Random) -> None:
        self.loop = loop
        self.random = random
        self.ends = 0  #: of websockets, so far
        self.handlers: dict[str, Handler] = {}
        self.date: Callable[[], str] = str
        self.note: Callable[[str], None] = lambda _: None

    def draw(self) -> float:
        """Return how long a passage takes, in seconds: often no time at all."""
        random = self.random
        return random.choice((0.0, 0.0, 0.001, random.random() * 0.02, random.random() * 0.3))

    async def ask(self, request: Request) -> web.StreamResponse | None:
        """Pass a request on, and its answer back; None if the connection breaks."""
        await asyncio.sleep(self.draw())
        life = request.transport.life
        if life is not None and life.is_over and self.random.random() < _NEVER_LEFT:
            return None
        if life is not None and self.loop.now < life.offline_until:
            return None
        handler = next(each for start, each in self.handlers.items() if request.path.startswith(start))
        try:
            response = await handler(request)
        except web.HTTPException as refusal:
            response = refusal
        response.headers["Date"] = self.date()
        self.note(f"{request.path} {getattr(response, 'status', 0)}{' cut' * request.transport.is_cut}")
        await asyncio.sleep(self.draw())
        return None if request.transport.is_cut else response


class Content:
    """An answer's body, which is there at once."""

    def __init__(self, body: bytes) -> None:
        self._rest = body

    async def read(self, count: int) -> bytes:
        piece, self._rest = self._rest[:count], self._rest[count:]
        return piece

    def at_eof(self) -> bool:
        return not self._rest


@dataclass(eq=False)
class Answer:
    """What the program needs of an `aiohttp.ClientResponse`."""

    url: str
    response: web.Response
    content: Content = field(init=False)

    def __post_init__(self) -> None:
        self.content = Content((self.response.text or "").encode())

    @property
    def status(self) -> int:
        return self.response.status

    @property
    def headers(self) -> CIMultiDict[str]:
        return self.response.headers

    @property
    def content_type(self) -> str:
        return self.response.content_type

    async def text(self, *_: Any, **__: Any) -> str:
        return self.response.text or ""

    async def read(self) -> bytes:
        return (self.response.text or "").encode()

    async def json(self, *, loads: Callable[[str], Any] = json.loads) -> Any:
        if self.content_type != "application/json":
            raise aiohttp.ContentTypeError(_Asked(self.url), (), message="no JSON")  # type: ignore[arg-type]
        return loads(self.response.text or "")


@dataclass
class _Asked:
    real_url: str


class Session:
    """What the program takes for an `aiohttp.ClientSession`."""

    network: Network

    def __init__(self, *, headers: Mapping[str, str] | None = None, **_: Any) -> None:
        self._headers = dict(headers or {})
        self.closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        self.closed = True

    def request(self, method: str, url: Any, **options: Any) -> contextlib.AbstractAsyncContextManager[Any]:
        return self._exchange(method, str(url), **options)

    def post(self, url: Any, **options: Any) -> contextlib.AbstractAsyncContextManager[Any]:
        return self._exchange("POST", str(url), **options)

    @contextlib.asynccontextmanager
    async def _exchange(self, method: str, url: str, **options: Any) -> AsyncIterator[Answer]:
        request = self._make(method, url, {**self._headers, **(options.get("headers") or {})})
        if options.get("json") is not None:
            request.body = json.dumps(options["json"])
            request.headers = {**request.headers, "Content-Type": "application/json"}
        elif options.get("data"):
            request.body = urlencode(options["data"])
            request.headers = {**request.headers, "Content-Type": "application/x-www-form-urlencoded"}
        given = options.get("params") or {}
        request.query = {**request.query, **{name: str(value) for name, value in given.items()}}
        asked = in_world(self.network.loop, self.network.ask(request))
        try:
            async with asyncio.timeout(options.get("timeout", TIMEOUT).total):
                response = await asyncio.shield(asked)
        except TimeoutError:
            raise aiohttp.ServerTimeoutError from None
        if response is None:
            raise aiohttp.ServerDisconnectedError
        assert isinstance(response, web.Response)
        yield Answer(url, response)

    async def ws_connect(self, url: str, **_: Any) -> ClientEnd:
        network = self.network
        request = self._make("GET", url, self._headers)
        ends = ClientEnd(network), ServerEnd(network)
        ends[0].peer, ends[1].peer = ends[1], ends[0]
        request.websocket, request.transport.on_cut = ends[1], partial(_cut, *ends)
        life = LIFE.get()
        if life is not None:
            life.on_death.append(ends[0].vanish)
        served = in_world(network.loop, network.ask(request))
        opened = in_world(network.loop, ends[1].prepared.wait())
        await asyncio.wait((served, opened), return_when=asyncio.FIRST_COMPLETED)
        if not ends[1].prepared.is_set():
            opened.cancel()
            response = await served
            if response is None:
                raise aiohttp.ServerDisconnectedError
            raise aiohttp.WSServerHandshakeError(
                _Asked(url),  # type: ignore[arg-type]
                (),
                status=response.status,
                message="Invalid response status",
            )
        await asyncio.sleep(network.draw())
        return ends[0]

    def _make(self, method: str, url: str, headers: Mapping[str, str]) -> Request:
        life = LIFE.get()
        if life is not None:
            life.require_alive()
        parts = urlsplit(url)
        return Request(
            method=method,
            path=parts.path,
            headers=dict(headers),
            query=dict(parse_qsl(parts.query)),
            transport=Transport(life=life),
        )


class _End:
    """One end of a websocket. What it sends arrives in order, each after a while."""

    def __init__(self, network: Network) -> None:
        self.network = network
        network.ends += 1
        self._number = network.ends
        self.peer: Any = None
        self.closed = False
        self._arrived: deque[WSMessage] = deque()
        self._changed = asyncio.Event()
        self._last = 0.0

    def __hash__(self) -> int:
        return self._number  # which the SDK logs

    async def send_str(self, data: str) -> None:
        self._send(WSMessage(WSMsgType.TEXT, data, None))

    async def ping(self, data: bytes = b"") -> None:
        self._send(WSMessage(WSMsgType.PING, data, None))

    async def pong(self, data: bytes = b"") -> None:
        self._send(WSMessage(WSMsgType.PONG, data, None))

    def _send(self, message: WSMessage) -> None:
        life = LIFE.get()
        if life is not None:
            life.require_alive()
        if self.closed:
            raise aiohttp.ClientConnectionResetError("Cannot write to closing transport")
        loop = self.network.loop
        self._last = max(self._last, loop.now + self.network.draw())
        loop.call_in_world(max(0.0, self._last - loop.now), self.peer.take, message)

    def take(self, message: WSMessage) -> None:
        """Let something arrive."""
        if not self.closed:
            self._arrived.append(message)
            self._changed.set()

    def vanish(self) -> None:
        """End without a word: the process behind it is dead, or the network is."""
        if not self.closed:
            self.closed = True
            self.peer.take(_CLOSED)
            self._changed.set()

    async def receive(self) -> WSMessage:
        while not self._arrived:
            if self.closed:
                return _CLOSED
            self._changed.clear()
            await self._changed.wait()
        message = self._arrived.popleft()
        if message.type is WSMsgType.CLOSE and not self.closed:
            with contextlib.suppress(ConnectionError):
                self._send(message)
            self.closed = True
        elif message.type is WSMsgType.CLOSED:
            self.closed = True
        return message

    async def close(self, **_: Any) -> bool:
        if not self.closed:
            self._send(WSMessage(WSMsgType.CLOSE, 1000, None))
            self.closed = True
            self._changed.set()
        return True


class ClientEnd(_End):
    """What the program takes for an `aiohttp.ClientWebSocketResponse`."""

    async def send_frame(self, data: bytes, kind: WSMsgType) -> None:
        self._send(WSMessage(kind, int.from_bytes(data, "big"), None))


class ServerEnd(_End):
    """What the stand-in takes for an `aiohttp.web.WebSocketResponse`."""

    def __init__(self, network: Network) -> None:
        super().__init__(network)
        self.prepared = asyncio.Event()
        self.status = 101
        self.headers: dict[str, str] = {}

    async def prepare(self, _: object) -> None:
        self.prepared.set()

    async def __aiter__(self) -> AsyncIterator[WSMessage]:
        while (message := await self.receive()).type not in (WSMsgType.CLOSE, WSMsgType.CLOSED):
            yield message


def _cut(*ends: _End) -> None:
    for end in ends:
        end.vanish()
