"""Endpoints that are no use as SQS: they refuse, keep silent, or answer without ever coming to an end."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_REFUSAL_IN_XML = (
    b"<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>"
    b"<Message>Access to the resource is denied.</Message></Error><RequestId>1</RequestId></ErrorResponse>"
)
_REFUSAL_IN_JSON = json.dumps(
    {"__type": "com.amazonaws.sqs#AccessDenied", "message": "Access to the resource is denied."}
).encode()
_DRIPPING = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 1000000\r\n\r\n"


@contextmanager
def refusing(credentials: list[str] | None = None) -> Iterator[str]:
    """One that refuses each call as SQS does, old protocol and new; keeps what the calls were signed with."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if credentials is not None:
                credentials.append(self.headers.get("Authorization", ""))
            body = _REFUSAL_IN_JSON if "X-Amz-Target" in self.headers else _REFUSAL_IN_XML
            self.send_response(403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


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
