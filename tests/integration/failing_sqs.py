"""Endpoints that are no use as SQS: they refuse, keep silent, or answer without ever coming to an end."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from http_stand_in import HttpStandIn, Reply, Request

_REFUSAL_IN_XML = (
    b"<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>"
    b"<Message>Access to the resource is denied.</Message></Error><RequestId>1</RequestId></ErrorResponse>"
)
_REFUSAL_IN_JSON = json.dumps(
    {"__type": "com.amazonaws.sqs#AccessDenied", "message": "Access to the resource is denied."}
).encode()
_DRIPPING = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 1000000\r\n\r\n"


class Refusing(HttpStandIn):
    """One that refuses each call as SQS does, old protocol and new; keeps what the calls were signed with."""

    def __init__(self) -> None:
        super().__init__()
        self.credentials: list[str] = []

    def reply_to(self, request: Request) -> Reply:
        self.credentials.append(request.headers.get("Authorization", ""))
        body = _REFUSAL_IN_JSON if "X-Amz-Target" in request.headers else _REFUSAL_IN_XML
        return Reply(status=403, body=body, content_type="")


@contextmanager
def refusing() -> Iterator[str]:
    with Refusing() as sqs:
        yield sqs.url


@contextmanager
def gone() -> Iterator[str]:
    """One whose port nobody listens to."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = _url_of(server)
    yield url


@contextmanager
def silent() -> Iterator[str]:
    """One that takes every connection, and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield _url_of(server)


@contextmanager
def dripping() -> Iterator[str]:
    """One that answers at once, and then goes on at one byte a second for as long as it is let."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_drip_to_all, args=(server, ended))
        thread.start()
        yield _url_of(server)
        ended.set()
        server.shutdown(socket.SHUT_RDWR)  # wakes `accept`
        thread.join()


def _drip_to_all(server: socket.socket, ended: threading.Event) -> None:
    threads = []
    with contextlib.suppress(OSError):
        while not ended.is_set():
            connection, _ = server.accept()
            threads.append(threading.Thread(target=_drip, args=(connection, ended)))
            threads[-1].start()
    for thread in threads:
        thread.join()


def _drip(connection: socket.socket, ended: threading.Event) -> None:
    with connection, contextlib.suppress(OSError):
        connection.recv(65536)
        connection.sendall(_DRIPPING)
        while not ended.wait(1):
            connection.sendall(b" ")


def _url_of(server: socket.socket) -> str:
    return f"http://127.0.0.1:{server.getsockname()[1]}"


RUDE: dict[str, Callable[[], contextlib.AbstractContextManager[str]]] = {
    "it refuses": refusing,
    "nobody listens": gone,
    "it never answers": silent,
    "it answers one byte a second": dripping,
}
