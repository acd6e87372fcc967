"""A connection that can be cut: what the worker sends to SQS goes through here."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from urllib.parse import urlsplit

_CHUNK = 65536


class Relay:
    """Passes TCP connections on to a port of this machine, until it is cut."""

    def __init__(self, target: str) -> None:
        self.is_cut = False
        self._target = urlsplit(target).port or 0
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
        self._open |= {writer, forth}
        try:
            await asyncio.gather(_copy(reader, forth), _copy(back, writer))
        finally:
            self._open -= {writer, forth}
            writer.transport.abort()
            forth.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
