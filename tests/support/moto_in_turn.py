"""`python moto_in_turn.py`: moto's DynamoDB on a port that it prints, which does one request after another.

DynamoDB decides over concurrent writes of one item one by one. moto's threads can let two of them through,
and a transaction that is cancelled there puts back the whole table: what others wrote meanwhile is lost.
It serves until its input ends.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from typing import Any

from moto.moto_server.werkzeug_app import create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server


class InTurn:
    """The application behind a lock."""

    def __init__(self) -> None:
        self._application = create_backend_app("dynamodb")
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        with self._lock:
            answer: Iterable[bytes] = self._application(environ, start_response)
            return answer


class KeptAlive(WSGIRequestHandler):
    """Takes one request after another over a connection, and says nothing about them."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


if __name__ == "__main__":
    server = make_server("127.0.0.1", 0, InTurn(), threaded=True, request_handler=KeptAlive)
    print(server.port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()
