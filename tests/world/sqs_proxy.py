"""Between the worker and SQS: entries of its batches fail, as the real one's do and moto's do not."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, kw_only=True)
class EntryFault:
    """Entries of a batch call that fail: those for which `strikes` says so."""

    action: str  #: such as `SendMessageBatch`
    strikes: Callable[[dict[str, Any]], bool]
    code: str
    is_senders: bool  #: SQS would refuse the same entry for ever


class SqsProxy:
    """Hands everything on to `upstream`, but for the entries that are to fail."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.faults: list[EntryFault] = []
        #: What was called, and the ids of the entries that failed.
        self.failed: list[tuple[str, str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        """The address, as AWS_ENDPOINT_URL_SQS wants it."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, action: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        """Return status and body of what SQS answers, or would."""
        call = json.loads(body)
        failed = [self._failure(action, entry) for entry in call.get("Entries", ())]
        if not any(failed):
            return self._pass_on(call, headers)
        self.failed += [(action, str(failure["Id"])) for failure in failed if failure]
        call["Entries"] = [
            entry for entry, failure in zip(call["Entries"], failed, strict=True) if not failure
        ]
        status, answer = self._pass_on(call, headers) if call["Entries"] else (200, b"{}")
        facts = json.loads(answer)
        facts["Failed"] = [*facts.get("Failed", ()), *filter(None, failed)]
        return status, json.dumps(facts).encode()

    def _failure(self, action: str, entry: dict[str, Any]) -> dict[str, Any] | None:
        for fault in self.faults:
            if fault.action == action and fault.strikes(entry):
                return {"Id": entry["Id"], "Code": fault.code, "SenderFault": fault.is_senders}
        return None

    def _pass_on(self, call: dict[str, Any], headers: dict[str, str]) -> tuple[int, bytes]:
        request = urllib.request.Request(  # noqa: S310 - an address of this machine
            self.upstream, data=json.dumps(call).encode(), headers=headers, method="POST"
        )
        try:
            with urllib.request.urlopen(request) as answer:  # noqa: S310 - as above
                return answer.status, answer.read()
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, refusal.read()


def _handler(proxy: SqsProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            target = self.headers["X-Amz-Target"]
            kept = ("X-Amz-Target", "Content-Type", "Authorization", "X-Amz-Date")
            headers = {name: self.headers[name] for name in kept if name in self.headers}
            status, answer = proxy.answer(target.partition(".")[2], body, headers)
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
