"""A minimal HTTP/1.1 server for the contestants' clients, because the server is not what is measured.

No pipelining, no chunked bodies, no timeouts: the callers are the bench's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    #: Answers a request by calling what it is given: once, at once or later.
    Handler = Callable[["Request", Callable[["Reply"], None]], None]

_REASONS: Final = {200: "OK", 400: "Bad Request", 404: "Not Found", 429: "Too Many Requests"}
_END_OF_HEADERS: Final = b"\r\n\r\n"


@dataclass(kw_only=True, slots=True)
class Request:
    """A request that is all there. Names of headers are in lower case."""

    target: str  #: path and query
    headers: Mapping[str, str]
    body: bytes

    @property
    def aws_action(self) -> str:
        """Such as `SendMessage`, where it is a call to AWS."""
        return self.headers.get("x-amz-target", "").rpartition(".")[2]

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.target.partition("?")[2]))


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What is answered."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        """Return it as it goes over the wire."""
        head = [
            f"HTTP/1.1 {self.status} {_REASONS[self.status]}",
            f"Content-Type: {self.content_type}",
            f"Content-Length: {len(self.body)}",
            f"Date: {formatdate(usegmt=True)}",
            *(f"{name}: {value}" for name, value in self.headers.items()),
        ]
        return "\r\n".join(head).encode() + _END_OF_HEADERS + self.body


def aws_reply(body: object, *, status: int = 200) -> Reply:
    """Return an answer as AWS gives it."""
    headers = {"x-amzn-RequestId": "00000000-0000-5000-8000-000000000000"}
    content_type = "application/x-amz-json-1.0"
    return Reply(body=json.dumps(body).encode(), status=status, content_type=content_type, headers=headers)


class LeanServer:
    """Serves one handler on a free port of 127.0.0.1, over TLS where it is given a context."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.address = ""  #: such as `https://127.0.0.1:4711`

    async def start(self, tls: ssl.SSLContext | None) -> None:
        """Serve, for as long as the process lives."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Connection(self._handler), "127.0.0.1", 0, ssl=tls)
        self.address = f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}"


class _Connection(asyncio.Protocol):
    """One connection; the next request is read when the last one is answered."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._closes = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(_END_OF_HEADERS)
        if end < 0:
            return
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        fields = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in fields}
        begin = end + len(_END_OF_HEADERS)
        length = int(headers.get("content-length", "0"))
        if len(self._buffer) < begin + length:
            return
        body = bytes(self._buffer[begin : begin + length])
        del self._buffer[: begin + length]
        self._closes = headers.get("connection", "").lower() == "close"
        self._handler(Request(target=first.split(" ")[1], headers=headers, body=body), self._answer)

    def _answer(self, reply: Reply) -> None:
        if self._transport is None:
            return  # the client has hung up
        with contextlib.suppress(ConnectionError):
            self._transport.write(reply.encoded())
        if self._closes:
            self._transport.close()
