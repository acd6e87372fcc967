"""The sandbox's web page: its files, and its state as a stream of events."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from bot.sandbox.failure import SandboxFailed
from bot.sandbox.page_actions import PageActions
from bot.sandbox.page_state import page_state

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.typedefs import Handler

    from bot.sandbox.trial import Trial

ASSETS: Final = Path(__file__).with_name("assets")
HOST: Final = "127.0.0.1"

_TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
#: Nothing from other sites, nothing inline, and no way to turn text into markup: alert text stays text.
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
#: Changes come in bursts (a click, its receipt, the redraw); one event covers a whole burst.
_BURST_SECONDS: Final = 0.04
#: A comment this often keeps the stream alive, and detects that the reader has left.
_HEARTBEAT_SECONDS: Final = 15
_LONGEST_REQUEST: Final = 600_000


class Page:
    """Serves the page of one trial. `ended` is its final message; `labels` are its names of outcomes."""

    def __init__(self, trial: Trial, labels: Mapping[str, str]) -> None:
        self.ended: str | None = None
        self.failed = False
        self._trial = trial
        self._labels = labels
        self._runner: web.AppRunner | None = None

    async def start(self, port: int) -> str:
        """Serve on 127.0.0.1 (port 0: any free port) and return the page's URL.

        :raises SandboxFailed: when the port is taken or not allowed.
        """
        self._runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, HOST, port).start()
        except (OSError, OverflowError) as error:
            await self._runner.cleanup()
            reason = f"Port {port} cannot be used ({_explain(error)}): choose another one with --port N"
            raise SandboxFailed(reason) from error
        return f"http://{HOST}:{self._runner.addresses[0][1]}/"

    def end(self, words: str, *, failed: bool) -> None:
        """Show on all open pages that the trial has ended, and why."""
        self.ended = words
        self.failed = failed
        self._trial.changes.mark()

    async def stop(self) -> None:
        """Stop serving. If `end` was called before, open pages have received the final state."""
        if self._runner is not None:
            await self._runner.cleanup()

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[_guard], client_max_size=_LONGEST_REQUEST)
        application.router.add_get("/", _index)
        application.router.add_get("/assets/{name}", _asset)
        application.router.add_get("/api/state", self._state)
        application.router.add_get("/api/events", self._events)
        PageActions(self._trial).add_to(application.router)
        return application

    def _document(self) -> dict[str, Any]:
        state = page_state(self._trial, self._labels, ended=self.ended, failed=self.failed)
        return {"program": _program(), **state}

    async def _state(self, _request: web.Request) -> web.Response:
        return web.json_response(self._document())

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Send the whole state, and again after each change, until the trial has ended."""
        stream = web.StreamResponse(headers={**_HEADERS, "Content-Type": "text/event-stream"})
        await stream.prepare(request)
        # The reader closed the page.
        with contextlib.suppress(ConnectionResetError):
            await self._stream_states(stream)
        return stream

    async def _stream_states(self, stream: web.StreamResponse) -> None:
        while True:
            revision = self._trial.changes.revision
            await stream.write(f"data: {json.dumps(self._document())}\n\n".encode())
            if self.ended is not None:
                return
            while not await self._wait_for_change(revision):
                await stream.write(b": still here\n\n")

    async def _wait_for_change(self, revision: int) -> bool:
        """Wait for a change and the rest of its burst; return False when a heartbeat is due."""
        try:
            async with asyncio.timeout(_HEARTBEAT_SECONDS):
                await self._trial.changes.after(revision)
        except TimeoutError:
            return False
        await asyncio.sleep(_BURST_SECONDS)
        return True


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Accept requests of this page only: other sites in the same browser can reach 127.0.0.1, too."""
    if request.url.host not in (HOST, "localhost"):
        raise web.HTTPForbidden(text=f"Open this page at {HOST} or localhost.")
    if request.method == "POST" and request.headers.get("Origin") != str(request.url.origin()):
        raise web.HTTPForbidden(text="Only the sandbox's own page may do this.")
    response = await handler(request)
    if not response.prepared:
        response.headers.update(_HEADERS)
    return response


async def _index(_request: web.Request) -> web.Response:
    return _file("index.html")


async def _asset(request: web.Request) -> web.Response:
    return _file(request.match_info["name"])


def _program() -> str:
    """Return the command that started this program, as a shell in any folder takes it."""
    started = Path(sys.argv[0]).absolute()
    if started.name == "__main__.py":
        return shlex.join([sys.executable, "-m", "bot"])
    return started.name if shutil.which(started.name) == str(started) else shlex.quote(str(started))


def _file(name: str) -> web.Response:
    path = ASSETS / name
    if path.parent != ASSETS or path.suffix not in _TYPES or not path.is_file():
        raise web.HTTPNotFound
    return web.Response(body=path.read_bytes(), content_type=_TYPES[path.suffix], charset="utf-8")


def _explain(error: OSError | OverflowError) -> str:
    """Return the system's own text for why a port was refused; asyncio's repeats the address."""
    errno = error.errno if isinstance(error, OSError) else None
    return os.strerror(errno).lower() if errno else str(error)
