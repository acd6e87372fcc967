"""`/metrics` and `/healthz` over HTTP, served by the worker's own event loop: if it hangs, so do they."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

from bot.clock import Clock
from bot.errors import StartRefused
from bot.triage.log_events import log_event
from bot.worker.health import WorkerHealth, find_problems
from bot.worker.metrics import CONTENT_TYPE, Metrics
from bot.worker.server_sockets import Listener, bind
from bot.worker.views import format_time

log = logging.getLogger(__name__)

#: How long a connection may take, from its acceptance to the last byte of the answer: as long as Prometheus
#: waits.
LIFETIME = timedelta(seconds=10)

#: How long a request in progress may delay the shutdown, in seconds.
SHUTDOWN_TIMEOUT = 1.0


def _is_fault_of_ours(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, (HttpProcessingError, web.RequestPayloadError))


#: What aiohttp logs, without the tracebacks of requests that are no HTTP: every caller could cause them.
_requests_log = logging.getLogger("aiohttp.server.metrics")
_requests_log.addFilter(_is_fault_of_ours)


class MetricsServer:
    """Serves the worker's metrics and health. Needs no password, and exposes nobody's data.

    A connection serves one request, and is closed after `lifetime` at the latest.
    """

    def __init__(
        self,
        metrics: Metrics,
        look: Callable[[], Awaitable[WorkerHealth]],
        *,
        clock: Clock,
        lifetime: timedelta = LIFETIME,
        limit: int | None = None,
    ) -> None:
        self._metrics = metrics
        self._look = look
        self._clock = clock
        app = web.Application(middlewares=[self._close_afterwards])
        app.add_routes([web.get("/metrics", self._show_metrics), web.get("/healthz", self._show_health)])
        self._runner = web.AppRunner(
            app, access_log=None, logger=_requests_log, shutdown_timeout=SHUTDOWN_TIMEOUT
        )
        self._listener = Listener(self._make_protocol, limit=limit, lifetime=lifetime)

    async def start(self, host: str, port: int) -> None:
        """Listen on this address; port 0 picks a free port and logs it. `StartRefused` if that fails."""
        await self._runner.setup()
        try:
            sockets = await bind(host, port)
        except OSError as error:
            await self._runner.cleanup()
            problem = error.strerror or str(error)
            raise StartRefused(f"METRICS_LISTEN: {host} port {port} cannot be used: {problem}") from error
        self._listener.start(sockets)
        actual_host, actual_port, *_ = sockets[0].getsockname()
        log_event(log.info, "metrics.served", host=actual_host, port=actual_port)

    async def stop(self) -> None:
        """Stop listening, after at most 1 s for requests in progress."""
        await self._listener.stop()
        await self._runner.cleanup()

    def _make_protocol(self) -> asyncio.BaseProtocol:
        assert self._runner.server is not None  # noqa: S101 - the runner was set up at the start
        return self._runner.server()

    @web.middleware
    async def _close_afterwards(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._listener.mark_busy(request.transport)
        try:
            response = await handler(request)
        except web.HTTPException as refusal:
            refusal.force_close()
            raise
        response.force_close()
        return response

    async def _show_metrics(self, _: web.Request) -> web.Response:
        body = self._metrics.exposition(await self._look(), self._clock())
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    async def _show_health(self, _: web.Request) -> web.Response:
        health = health_view(await self._look())
        status = HTTPStatus.OK if health["healthy"] else HTTPStatus.SERVICE_UNAVAILABLE
        return web.json_response(health, status=status, headers={"Cache-Control": "no-store"})


def health_view(worker_health: WorkerHealth) -> dict[str, Any]:
    """Return the JSON of `/healthz`: whether all is well, the problems, and the facts; times in UTC."""
    problems = list(find_problems(worker_health))
    return {
        "healthy": not problems,
        "problems": [{"problem": each.trouble.value, "why": each.why} for each in problems],
        "links_up": worker_health.links_up,
        "last_successful_poll": worker_health.polled_at.isoformat(),
        "oldest_open_question": format_time(worker_health.store.oldest_open),
        "oldest_unsent_report": format_time(worker_health.store.oldest_unsent),
    }
