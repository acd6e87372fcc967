"""Something on 127.0.0.1 that answers AWS's calls as a test wants it, and notes as whom it was asked."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

JSON = "application/x-amz-json-1.0"


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call: the operation, e.g. `ReceiveMessage`, and the id of the key that it was signed with."""

    operation: str
    key: str


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What is answered."""

    body: bytes = b"{}"
    status: int = 200
    content_type: str = JSON  #: empty: there is none


@dataclass(kw_only=True)
class StandIn:
    """The stand-in; `answer` may be set anew at any time."""

    url: str
    answer: Callable[[Call], Reply]
    calls: list[Call] = field(default_factory=list)


@contextmanager
def aws_stand_in(answer: Callable[[Call], Reply]) -> Iterator[StandIn]:
    """Serve for as long as the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            key = re.search(r"Credential=(\w+)/", self.headers.get("Authorization", ""))
            operation = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
            call = Call(operation=operation, key=key[1] if key else "")
            stand_in.calls.append(call)
            reply = stand_in.answer(call)
            self.send_response(reply.status)
            if reply.content_type:
                self.send_header("Content-Type", reply.content_type)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        stand_in = StandIn(url=f"http://127.0.0.1:{server.server_port}", answer=answer)
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        serving.start()
        try:
            yield stand_in
        finally:
            server.shutdown()
            serving.join()
