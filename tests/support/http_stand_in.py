"""An HTTP server on a port of its own, which answers as a test wants it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked; `verb` is e.g. `POST`, and the headers are found in any case."""

    verb: str
    path: str
    headers: Message
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What is answered."""

    body: bytes = b"{}"
    status: int = 200
    content_type: str = "application/x-amz-json-1.0"  #: empty: there is none


class HttpStandIn:
    """Serves for as long as a `with` block runs; a subclass says what it answers."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def reply_to(self, request: Request) -> Reply:
        """Return the answer to a request; it is called in a thread of each connection's own."""
        raise NotImplementedError


def _handler(stand_in: HttpStandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = Request(verb=self.command, path=self.path, headers=self.headers, body=body)
            reply = stand_in.reply_to(request)
            self.send_response(reply.status)
            if reply.content_type:
                self.send_header("Content-Type", reply.content_type)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        do_GET = do_HEAD = do_PUT = do_POST  # noqa: N815 - the server looks for these names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
