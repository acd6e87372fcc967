"""One worker from start to close, made of its parts."""

from __future__ import annotations

import asyncio
import itertools
import logging
from functools import cached_property
from typing import TYPE_CHECKING

from bot.backoff import retry_delay
from bot.errors import TransientError
from bot.settings.parameter_store import fetch_tokens
from bot.slack.client import open_session
from bot.slack.render.templates import check_wording
from bot.store import open_store
from bot.store.address import is_shared
from bot.worker.control import ControlServer
from bot.worker.handlers import CONDITION, condition_handler, store_handlers
from bot.worker.lifecycle import Loop, first_of
from bot.worker.parts import Parts
from bot.worker.watchdog import MORE_TIME, Watchdog

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bot.settings.settings import Settings
    from bot.slack.render.templates import Wording
    from bot.sqs.queues import Queue
    from bot.store import OpenStore
    from bot.triage.policy import AlertPolicies

log = logging.getLogger(__name__)


class App(Parts):
    """One worker: what `bot.worker.lifecycle.run_worker` starts, runs and closes."""

    def __init__(
        self, settings: Settings, wording: Wording, alerts: AlertPolicies, *, restored: bool = False
    ) -> None:
        super().__init__(settings, wording, alerts)
        self._restored = restored
        self._queues_met = False

    async def start(self) -> None:
        """Take the store, then ask SQS and Slack whether they know us. `ConfigError`, `StartRefused`."""
        await self._open()
        await self._fetch_tokens()
        await self._meet_others()

    def stages(self) -> Sequence[Mapping[str, Loop]]:
        """Return the loops in the order in which they stop.

        No new work, then no more clicks, and last the reports of what was done meanwhile.
        """
        told = {"watchdog": self.watchdog.run} if self.notifier.address else {}
        return (
            {"poller": self.poller.run, "sweeper": self._sweep, "retention": self.retention.run, **told},
            {"links": self._listen},
            {"publisher": self._publish},
        )

    @cached_property
    def watchdog(self) -> Watchdog:
        """What systemd hears of this worker."""
        progress = (self.poll_progress, *self.link_progress)
        return Watchdog(self.notifier, self.settings.watchdog, progress, lacking=self._lacking)

    async def close(self) -> None:
        """Give everything back, the last taken first."""
        await self.stack.aclose()

    async def _open(self) -> None:
        check_wording(self.wording)
        self.store = await self._open_store()
        self.stack.push_async_callback(self.store.close)
        if self._restored:
            await self._restore()
        self.session = await self.stack.enter_async_context(open_session(self.tls))
        if self.settings.control_path is not None:
            await self._listen_to_commands(self.settings.control_path)
        await self._show_metrics()

    async def _open_store(self) -> OpenStore:
        return await open_store(
            self.settings.store_url,
            create=True,
            region=self.settings.aws_region,
            keep=self.settings.retain,
            access=self.access if is_shared(self.settings.store_url) else None,
            on_found=self.wake,
        )

    async def _listen_to_commands(self, path: Path) -> None:
        handlers = {
            **store_handlers(self.store, self.settings.store_path, clock=self.clock, wake=self.wake),
            CONDITION: condition_handler(self.store, lambda: self.cards.last_trouble, lambda: self.links.up),
        }
        control = ControlServer(path, handlers)
        await control.start()
        self.stack.push_async_callback(control.stop)

    async def _show_metrics(self) -> None:
        if self.metrics is None or self.settings.metrics_listen is None:
            return
        from bot.worker.http_server import MetricsServer

        server = MetricsServer(self.metrics, self.vitals, clock=self.clock)
        await server.start(*self.settings.metrics_listen)
        self.stack.push_async_callback(server.stop)

    async def _restore(self) -> None:
        await self.store.treat_as_restored(self.clock(), longest=self.policy.longest_wait)
        log.warning("the store is a restored backup", extra={"event": "store.restored", "fields": {}})

    async def _fetch_tokens(self) -> None:
        for attempts in itertools.count():
            try:
                self.settings = await fetch_tokens(self.settings, self.access)
            except TransientError as error:
                log.warning("no token yet: %s", error, extra={"event": "token.delayed", "fields": {}})
                self.notifier.tell(EXTEND_TIMEOUT_USEC=MORE_TIME, STATUS="waiting for the parameter store")
                await asyncio.sleep(retry_delay(attempts, self.random.random()).total_seconds())
            else:
                return

    async def _meet_others(self) -> None:
        """Silence is no refusal: whoever cannot be reached now may be later."""
        queues = (self.request_queue, self.response_queue, self.dead_letter_queue)
        self._queues_met = all([await self._meet(queue) for queue in queues if queue is not None])
        await self.introduction.attempt()

    async def _meet(self, queue: Queue) -> bool:
        try:
            await queue.describe()
        except TransientError as error:
            log.warning("queue not reached yet: %s", error, extra={"event": "queue.delayed", "fields": {}})
            return False
        return True

    def _lacking(self) -> Sequence[str]:
        """Name what the worker waits for. The store is there: it was opened at the start."""
        there = {"the queues": self._queues_met or self.poller.reached, "Slack": self.links.reachable}
        return [name for name, is_there in there.items() if not is_there]

    async def _sweep(self, stop: asyncio.Event) -> None:
        await first_of(self.introduction.wait(), stop.wait(), self.sweeper.keep_deadlines())
        await self.sweeper.run(stop)

    async def _listen(self, stop: asyncio.Event) -> None:
        await self.introduction.run(stop)
        self.listeners.register(self.bolt)
        await self.links.run(stop, drain=self.listeners.drain)

    async def _publish(self, stop: asyncio.Event) -> None:
        await self.publisher.run(stop)
        await self.publisher.flush()
