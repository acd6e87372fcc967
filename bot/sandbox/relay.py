"""A connection that can be cut: what the worker sends to SQS goes through here."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from urllib.parse import urlsplit

_CHUNK = 65536

#: A poll takes 20 s; in seconds.
_LONGEST_ANSWER = 25

_HANDLE = re.compile(rb'"ReceiptHandle": ?"([^"]+)"')


class Relay:
    """Passes TCP connections on to a port of this machine, until it is cut.

    The local SQS goes on with a poll whose caller is gone, and would hide what it hands out for a minute.
    `on_lost` is given the receipt handles of such messages.
    """

    def __init__(self, target: str, *, on_lost: Callable[[Sequence[str]], Awaitable[object]]) -> None:
        self.is_cut = False
        self._target = urlsplit(target).port or 0
        self._on_lost = on_lost
        self._port = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def endpoint(self) -> str:
        """Where it listens, as an http URL; valid once it has started."""
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Listen: on any free port, and again on the same one after a cut. `OSError` if it is taken."""
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        self.is_cut = False

    def cut(self) -> None:
        """Refuse new connections and break those that are open."""
        self.is_cut = True
        if self._server:
            self._server.close()
        for writer in self._open:
            writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            back, forth = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        self._open.add(writer)
        answering = asyncio.create_task(_copy(back, writer))
        try:
            await _copy(reader, forth)
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)
            await self._take_lost_answer(back)
        finally:
            answering.cancel()
            self._open.discard(writer)
            writer.transport.abort()
            forth.transport.abort()

    async def _take_lost_answer(self, back: asyncio.StreamReader) -> None:
        """Read the answer to a call whose caller is gone."""
        answer = b""
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(_LONGEST_ANSWER):
                while data := await back.read(_CHUNK):
                    answer += data
        if handles := [each.decode() for each in _HANDLE.findall(answer)]:
            await self._on_lost(handles)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
