"""Between a worker and DynamoDB: keeps replies waiting, or is a DynamoDB that is away."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from world.patience import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

_KEPT = ("X-Amz-Target", "Content-Type", "Authorization", "X-Amz-Date")


_AWAY = (500, b'{"__type": "InternalServerError"}')


def _nothing(_: dict[str, Any]) -> bool:
    return False


class TableProxy:
    """Hands everything on to `upstream`; replies to what `holds` says wait until they are let go."""

    def __init__(self, upstream: str, *, holds: Callable[[dict[str, Any]], bool] = _nothing) -> None:
        self.upstream = upstream
        self.is_away = False  #: whether it does nothing that it is asked
        self.holds = holds
        self._reached = threading.Event()
        self._released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        """The address, as AWS_ENDPOINT_URL_DYNAMODB wants it."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def wait_until_held(self) -> None:
        """Wait until a reply is kept waiting."""
        assert self._reached.wait(PATIENCE_SECONDS), "nobody made the call"

    def release(self) -> None:
        """Let every reply go, now and later."""
        self._released.set()

    def answer(self, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        """Return status and body of what DynamoDB answers, when it may go."""
        answer = _AWAY if self.is_away else self._pass_on(body, headers)
        if self.holds(json.loads(body)):
            self._reached.set()
            self._released.wait()
        return answer

    def _pass_on(self, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        request = urllib.request.Request(self.upstream, data=body, headers=headers)  # noqa: S310 - of this machine
        try:
            with urllib.request.urlopen(request) as answer:  # noqa: S310 - as above
                return answer.status, answer.read()
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, refusal.read()


def _handler(proxy: TableProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name: self.headers[name] for name in _KEPT if name in self.headers}
            status, answer = proxy.answer(body, headers)
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
