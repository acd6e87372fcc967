"""Between the worker and a service of AWS: hands calls on, and leaves room to meddle with them."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, Self

_KEPT: Final = ("X-Amz-Target", "Content-Type", "Authorization", "X-Amz-Date")


class AwsProxy:
    """Hands everything on to `upstream`, but for what a subclass makes of it."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        """The address, as AWS_ENDPOINT_URL_SQS or AWS_ENDPOINT_URL_DYNAMODB wants it."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, action: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Return status and body of what the service answers to an action such as `SendMessageBatch`."""
        raise NotImplementedError

    def pass_on(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Return status and body of what the service itself answers."""
        request = urllib.request.Request(self.upstream, data=body, headers=dict(headers))  # noqa: S310 - of this machine
        try:
            with urllib.request.urlopen(request) as answer:  # noqa: S310 - as above
                return answer.status, answer.read()
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, refusal.read()


def _handler(proxy: AwsProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name: self.headers[name] for name in _KEPT if name in self.headers}
            action = self.headers["X-Amz-Target"].rpartition(".")[2]
            status, answer = proxy.answer(action, body, headers)
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
