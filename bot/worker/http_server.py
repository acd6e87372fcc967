"""`/metrics` and `/healthz` over HTTP, served by the worker's own event loop: if it hangs, so do they."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aiohttp import web

from bot.errors import StartRefused
from bot.triage.log_events import log_event
from bot.worker.health import find_problems
from bot.worker.metrics import CONTENT_TYPE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from bot.triage.ports import Clock
    from bot.worker.health import WorkerHealth
    from bot.worker.metrics import Metrics

log = logging.getLogger(__name__)

#: How long a request in progress may delay the shutdown, in seconds.
SHUTDOWN_TIMEOUT = 1.0


class MetricsServer:
    """Serves the worker's metrics and health. Needs no password, and exposes nobody's data."""

    def __init__(
        self, metrics: Metrics, look: Callable[[], Awaitable[WorkerHealth]], *, clock: Clock
    ) -> None:
        self._metrics = metrics
        self._look = look
        self._clock = clock
        app = web.Application()
        app.add_routes([web.get("/metrics", self._show_metrics), web.get("/healthz", self._show_health)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_TIMEOUT)

    async def start(self, host: str, port: int) -> None:
        """Listen on this address; port 0 picks a free port and logs it. `StartRefused` if that fails."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            problem = error.strerror or str(error)
            raise StartRefused(f"METRICS_LISTEN: {host} port {port} cannot be used: {problem}") from error
        taken = self._runner.addresses[0]
        log_event(log.info, "metrics.served", "metrics served", **_address(taken))

    async def stop(self) -> None:
        """Stop listening, after at most 1 s for requests in progress."""
        await self._runner.cleanup()

    async def _show_metrics(self, _: web.Request) -> web.Response:
        body = self._metrics.exposition(await self._look(), self._clock())
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    async def _show_health(self, _: web.Request) -> web.Response:
        health = health_view(await self._look(), self._clock())
        status = HTTPStatus.OK if health["healthy"] else HTTPStatus.SERVICE_UNAVAILABLE
        return web.json_response(health, status=status, headers={"Cache-Control": "no-store"})


def health_view(worker_health: WorkerHealth, now: datetime) -> dict[str, Any]:
    """Return the JSON of `/healthz`: whether all is well, the problems, and the facts; times in UTC."""
    problems = list(find_problems(worker_health, now))
    return {
        "healthy": not problems,
        "problems": [{"problem": each.trouble.value, "why": each.why} for each in problems],
        "links_up": worker_health.links_up,
        "last_successful_poll": worker_health.polled_at.isoformat(),
        "oldest_open_question": _format_time(worker_health.store.oldest_open),
        "oldest_unsent_report": _format_time(worker_health.store.oldest_unsent),
    }


def _address(taken: tuple[Any, ...]) -> dict[str, object]:
    return {"host": taken[0], "port": taken[1]}


def _format_time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
