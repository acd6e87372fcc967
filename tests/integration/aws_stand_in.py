"""Something on 127.0.0.1 that is no AWS, or answers its calls as a test wants it."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from http_stand_in import HttpStandIn, Reply, Request


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call: the operation, e.g. `ReceiveMessage`, and the id of the key that it was signed with."""

    operation: str
    key: str


class AwsStandIn(HttpStandIn):
    """The stand-in; `answer` may be changed at any time."""

    def __init__(self, answer: Callable[[Call], Reply]) -> None:
        super().__init__()
        self.answer = answer
        self.calls: list[Call] = []

    def reply_to(self, request: Request) -> Reply:
        key = re.search(r"Credential=(\w+)/", request.headers.get("Authorization", ""))
        operation = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        call = Call(operation=operation, key=key[1] if key else "")
        self.calls.append(call)
        return self.answer(call)


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
    """One that answers at once, and then continues at one byte a second for as long as it may."""
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
