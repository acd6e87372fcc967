"""Accepts connections up to a limit, so that connections held open cannot keep other callers out.

asyncio's own servers accept without a limit. When descriptors run out, they log a traceback for each place in
the backlog and set as many timers, each of which does the same again (CPython 3.11, `_accept_connection`).
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from datetime import timedelta

from bot.triage.log_events import log_event
from bot.worker.descriptors import count_allowed_connections, descriptor_limit

log = logging.getLogger(__name__)

#: Connections that the kernel holds until they are accepted.
BACKLOG = 128

#: The pause after a failure to accept, most likely for want of descriptors.
ACCEPT_PAUSE = timedelta(seconds=1)


class Listener:
    """Accepts connections on sockets that listen, and speaks a protocol over each.

    Beyond `limit`, the oldest connection that has not sent a request is closed, or else the oldest: a caller
    that sends its request at once is answered, whatever others hold open. A connection is closed after
    `lifetime`; None: never.
    """

    def __init__(
        self,
        make_protocol: Callable[[], asyncio.BaseProtocol],
        *,
        limit: int | None = None,
        lifetime: timedelta | None = None,
    ) -> None:
        self._make_protocol = make_protocol
        self._limit = limit or count_allowed_connections(descriptor_limit())
        self._lifetime = lifetime
        self._open: dict[asyncio.BaseTransport, bool] = {}  #: whether it is busy; the oldest first
        self._sockets: Sequence[socket.socket] = ()
        self._accepting: Sequence[asyncio.Task[None]] = ()

    def start(self, sockets: Sequence[socket.socket]) -> None:
        """Accept connections on these listening sockets until `stop`, which closes them."""
        for each in sockets:
            each.settimeout(0)
        self._sockets = sockets
        self._accepting = [asyncio.create_task(self._accept_all(each), name="listener") for each in sockets]

    async def stop(self) -> None:
        """Accept no more connections. Those that are open stay so."""
        for task in self._accepting:
            task.cancel()
        await asyncio.gather(*self._accepting, return_exceptions=True)
        for each in self._sockets:
            each.close()

    def mark_busy(self, transport: asyncio.BaseTransport | None) -> None:
        """Record that a connection has sent a request: those that have not are closed first."""
        if transport in self._open:
            self._open[transport] = True

    async def _accept_all(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listening)
            except OSError as error:
                log_event(log.warning, "connection.refused", "no connection can be accepted: %s", error)
                self._close_oldest()
                await asyncio.sleep(ACCEPT_PAUSE.total_seconds())
                continue
            self._make_room()
            # One at a time, so that callers cannot hold up the event loop.
            await self._serve(connection)

    async def _serve(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.connect_accepted_socket(self._make_protocol, connection)
        except Exception:  # noqa: BLE001 - it is logged, with its traceback, and the next caller is served
            log_event(log.exception, "connection.refused", "a connection was accepted and lost")
            connection.close()
            return
        self._open[transport] = False
        if self._lifetime is not None:
            loop.call_later(self._lifetime.total_seconds(), abort, transport)

    def _make_room(self) -> None:
        self._open = {each: busy for each, busy in self._open.items() if not _is_gone(each)}
        while len(self._open) >= self._limit:
            self._close_oldest()

    def _close_oldest(self) -> None:
        idle = (each for each, busy in self._open.items() if not busy)
        oldest = next(idle, next(iter(self._open), None))
        if oldest is not None:
            del self._open[oldest]
            abort(oldest)


def abort(transport: asyncio.BaseTransport) -> None:
    """Close a connection at once, with what is left to send. Repeated, or after its end, it does nothing.

    asyncio's own `abort` raises AttributeError once a connection has sent its last bytes after `close`.
    """
    if not _is_gone(transport):
        transport.abort()  # type: ignore[attr-defined]  # typeshed has it in WriteTransport alone


async def bind(host: str, port: int) -> Sequence[socket.socket]:
    """Return a socket that listens on each address of a host; port 0 is any free one. Raises `OSError`."""
    # asyncio finds the addresses and binds to them, as for a server of its own that never starts.
    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, host, port, start_serving=False)
    sockets = [each.dup() for each in server.sockets]
    server.close()
    for each in sockets:
        each.listen(BACKLOG)
    return sockets


def _is_gone(transport: asyncio.BaseTransport) -> bool:
    """Whether a connection's descriptor is free again; while something is left to send, it is not."""
    held: socket.socket | None = transport.get_extra_info("socket")
    return held is None or held.fileno() < 0
