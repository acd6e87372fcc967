"""A proxy as networks have them: it forwards plain HTTP and websockets, and notes what was asked for."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self
from urllib.parse import urlsplit


class ForwardProxy:
    """Forwards each connection to the host of its first request."""

    def __init__(self) -> None:
        self.requested: list[str] = []  #: the URL of each connection's first request
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._accept, daemon=True)

    @property
    def address(self) -> str:
        """Host and port, without a scheme."""
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                caller, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(caller,), daemon=True).start()

    def _serve(self, caller: socket.socket) -> None:
        with caller, contextlib.suppress(OSError, ValueError):
            head = b""
            while b"\r\n" not in head:
                head += caller.recv(65536) or b"\r\n"
            url = head.split(b" ", 2)[1].decode()
            parts = urlsplit(url)
            self.requested.append(url)
            with socket.create_connection((parts.hostname, parts.port or 80)) as upstream:
                upstream.sendall(head)
                threading.Thread(target=_pipe, args=(caller, upstream), daemon=True).start()
                _pipe(upstream, caller)


def _pipe(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(65536):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)
