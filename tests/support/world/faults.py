"""What goes wrong with the calls of the Web API, decided while the worker runs."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from bot.sandbox.fake_slack.calls import read_parameters
from world.waiting import PATIENCE_SECONDS

#: What a websocket meets before it is one.
Handshake = Callable[[web.Request, "Handler"], Awaitable[web.StreamResponse]]


async def refused(_request: web.Request, _handler: Handler) -> web.StreamResponse:
    """Refuse the handshake, though the ticket is good; it stays unused."""
    return web.Response(status=503, text="busy")


def says_hello(*hello: dict[str, Any]) -> Handshake:
    """Take the websocket, say this, and listen."""

    async def meet(request: web.Request, _handler: Handler) -> web.StreamResponse:
        websocket = await _opened(request, *hello)
        async for _ in websocket:
            pass
        return websocket

    return meet


#: Takes the websocket, and never says hello.
mute = says_hello()


async def turned_away(request: web.Request, _handler: Handler) -> web.StreamResponse:
    """Take the websocket, and say that there are too many."""
    notice = {"type": "disconnect", "reason": "too_many_websockets", "debug_info": {}}
    websocket = await _opened(request, notice)
    await websocket.close()
    return websocket


async def cut_after_hello(request: web.Request, _handler: Handler) -> web.StreamResponse:
    """Take the websocket, say hello, and cut it."""
    websocket = await _opened(request, {"type": "hello", "num_connections": 1})
    assert request.transport
    request.transport.close()
    return websocket


async def _opened(request: web.Request, *messages: dict[str, Any]) -> web.WebSocketResponse:
    websocket = web.WebSocketResponse()
    await websocket.prepare(request)
    for message in messages:
        await websocket.send_json(message)
    return websocket


def busy(retry_after: str) -> Handshake:
    """Refuse the handshake for this long, with HTTP 429."""

    async def meet(_request: web.Request, _handler: Handler) -> web.StreamResponse:
        return web.Response(status=429, headers={"Retry-After": retry_after})

    return meet


async def slow(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Take a fifth of a second for the handshake."""
    await asyncio.sleep(0.2)
    return await handler(request)


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call as it came in: the method's name, its parameters, and when, in seconds of a steady clock."""

    method: str
    parameters: dict[str, Any]
    at: float = field(default_factory=time.monotonic)


@dataclass(kw_only=True, eq=False)
class Hold:
    """Keeps the calls of one method waiting, before their work or after it, until it is let go."""

    method: str
    after_work: bool
    loop: asyncio.AbstractEventLoop
    _reached: threading.Event = field(default_factory=threading.Event)
    _held: set[asyncio.Task[object]] = field(default_factory=set)
    _released: asyncio.Event = field(default_factory=asyncio.Event)

    def wait_until_reached(self) -> None:
        """Wait until a call is kept waiting."""
        assert self._reached.wait(PATIENCE_SECONDS), f"nobody called {self.method}"

    def release(self) -> None:
        self.loop.call_soon_threadsafe(self._released.set)

    async def keep(self) -> None:
        """Wait for the release, in the server's loop."""
        task = asyncio.current_task()
        assert task is not None
        self._held.add(task)
        self._reached.set()
        try:
            await self._released.wait()
        finally:
            self._held.discard(task)

    def break_off(self) -> None:
        """Cancel every call that waits, in the server's loop."""
        for task in self._held:
            task.cancel()


class Faults:
    """Writes down every call, and holds or refuses those it was told to."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._holds: dict[str, Hold] = {}
        self._refusals: dict[str, str] = {}
        self._limits: dict[str, str] = {}
        self._handshakes: list[Handshake] = []

    def count(self, method: str) -> int:
        return len(self.calls_of(method))

    def calls_of(self, method: str) -> list[Call]:
        return [call for call in list(self.calls) if call.method == method]

    def hold(self, hold: Hold) -> None:
        """Hold the calls of the hold's method from now on, instead of how they were held before."""
        self._holds[hold.method] = hold

    def refuse(self, method: str, code: str) -> None:
        """Answer a method's calls with an error code of Slack's, without doing them."""
        self._refusals[method] = code

    def limit(self, method: str, retry_after: str) -> None:
        """Answer a method's calls with HTTP 429 and this `Retry-After`."""
        self._limits[method] = retry_after

    def meet(self, *handshakes: Handshake) -> None:
        """Give each of the next websockets one of these instead of Slack's own welcome."""
        self._handshakes.extend(handshakes)

    @property
    def pending(self) -> int:
        """How many websockets have yet to meet what they are to."""
        return len(self._handshakes)

    def heal(self) -> None:
        """Hold and refuse nothing any more."""
        for hold in self._holds.values():
            hold.release()
        self._holds.clear()
        self._refusals.clear()
        self._limits.clear()
        self._handshakes.clear()

    async def break_off(self) -> None:
        """Break off every call that is held, and hold no more."""
        for hold in self._holds.values():
            hold.break_off()
        self._holds.clear()

    def middleware(self) -> Middleware:
        """Return the middleware, for the stand-in."""
        return self._pass_on

    @web.middleware
    async def _pass_on(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Pass a request on, or apply the fault that was drawn for it."""
        method = request.match_info.get("method", "")
        if request.path == "/link/" and self._handshakes:
            return await self._handshakes.pop(0)(request, handler)
        if not method:
            return await handler(request)
        self.calls.append(Call(method=method, parameters=await read_parameters(request)))
        if method in self._refusals:
            return web.json_response({"ok": False, "error": self._refusals[method]})
        if method in self._limits:
            refusal, headers = {"ok": False, "error": "ratelimited"}, {"Retry-After": self._limits[method]}
            return web.json_response(refusal, status=429, headers=headers)
        hold = self._holds.get(method)
        if hold and not hold.after_work:
            await hold.keep()
        answer = await handler(request)
        if hold and hold.after_work:
            await hold.keep()
        return answer
