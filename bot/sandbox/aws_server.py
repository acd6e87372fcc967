"""moto's server, which does one request after another: `python -m bot.sandbox.aws_server PORT`.

moto's threads share their queues and tables without locks: a message that is sent while another is deleted
can be lost, and a transaction that is cancelled undoes what others have written meanwhile.
"""

from __future__ import annotations

import io
import json
import sys
import threading
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server
from werkzeug.wrappers import Response

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

#: A long poll looks again at least this often, in seconds: a message may have become visible.
_LOOK: Final = 1.0


class SerialApplication:
    """A WSGI application that stands in for AWS, behind a lock. A long poll waits without the lock."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application
        self._turn = threading.Condition()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request, as WSGI wants."""
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        receives = environ.get("HTTP_X_AMZ_TARGET") == "AmazonSQS.ReceiveMessage"
        body, wait = _without_wait(body) if receives else (body, 0)
        end = time.monotonic() + wait
        with self._turn:
            response = self._do(environ, body)
            while _found_nothing(response) and (left := end - time.monotonic()) > 0:
                self._turn.wait(min(left, _LOOK))
                response = self._do(environ, body)
            if not receives:
                self._turn.notify_all()
        return response(environ, start_response)

    def _do(self, environ: WSGIEnvironment, body: bytes) -> Response:
        again = {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        return Response.from_app(self._application, again, buffered=True)


def _found_nothing(response: Response) -> bool:
    return response.status_code == HTTPStatus.OK and b'"Messages"' not in response.data


def _without_wait(body: bytes) -> tuple[bytes, int]:
    """Return a receive that does not wait, and for how many seconds the caller would."""
    call = json.loads(body)
    wait = call.get("WaitTimeSeconds", 0)
    return json.dumps({**call, "WaitTimeSeconds": 0}).encode(), wait


class _KeptAlive(WSGIRequestHandler):
    """Handles several requests over one connection, and logs none of them."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing."""


def create_server(port: int = 0) -> BaseWSGIServer:
    """Listen on 127.0.0.1; port 0: any free port. The caller calls `serve_forever`."""
    application = SerialApplication(DomainDispatcherApplication(create_backend_app))
    return make_server("127.0.0.1", port, application, threaded=True, request_handler=_KeptAlive)


if __name__ == "__main__":
    create_server(int(sys.argv[1])).serve_forever()
