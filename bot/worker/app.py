"""One worker from start to close, and its state in between."""

from __future__ import annotations

import asyncio
import logging
import ssl
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from bot import __version__
from bot.backoff import retry_delay
from bot.errors import TransientError
from bot.settings.parameter_store import fetch_tokens
from bot.slack.render.templates import check_wording
from bot.triage.ports import NO_METER
from bot.worker.assembly import Kit, Resources, WakeUp, assemble, policy_of
from bot.worker.control import ControlServer
from bot.worker.handlers import CONDITION, condition_handler, store_handlers
from bot.worker.health import StoreWatch, Vitals
from bot.worker.lifecycle import Loop, first_of
from bot.worker.watchdog import MORE_TIME, Notifier, Watchdog

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bot.settings.parameter_store import Tokens
    from bot.settings.settings import Settings
    from bot.slack.render.templates import Wording
    from bot.sqs.queues import Queue
    from bot.store import OpenStore
    from bot.triage.policy import AlertPolicies
    from bot.triage.ports import Meter
    from bot.worker.assembly import Parts, Queues

log = logging.getLogger(__name__)

#: What the start waits for, as reported to systemd, `/healthz` and `check`.
_TOKENS = "the parameter store"
_OTHERS = "the queues and Slack"


class App:
    """One worker: what `bot.worker.lifecycle.run_worker` starts, runs and closes."""

    def __init__(
        self,
        settings: Settings,
        wording: Wording,
        alerts: AlertPolicies,
        *,
        restored: bool = False,
        kit: Kit | None = None,
    ) -> None:
        self.wake = WakeUp()
        self._settings = settings
        self._wording = wording
        self._policy = policy_of(settings, alerts)
        self._restored = restored
        self._kit = kit or Kit()
        self._access = self._kit.access()
        self._stack = AsyncExitStack()
        self._notifier = Notifier(settings.notify_socket)
        self._waits_for = _TOKENS
        self._parts: Parts | None = None  #: None: the start is not over
        self._stages: Sequence[Mapping[str, Loop]] = ()
        self._polled_at = self._kit.clock()
        self._queues_met = False

    async def start(self) -> None:
        """Open the store, fetch the tokens, build the parts, and connect to SQS and Slack, in this order.

        The store comes first, so that commands and `/healthz` are answered from then on: fetching the tokens
        may take long. Until the start is complete they report that the worker is starting. `ConfigError` if a
        setting or the wording is wrong; `StartRefused` if the store, SQS or Slack refuses this worker. An
        outage raises nothing: it is retried.
        """
        check_wording(self._wording)
        store = await self._open_store()
        await self._listen_to_commands(store)
        meter = await self._serve_metrics(store)
        tokens = await self._fetch_tokens()
        self._waits_for = _OTHERS
        resources = await self._open_resources(store, tokens, meter)
        parts = assemble(self._settings, self._wording, self._policy, resources, self._kit)
        await self._meet_others(resources.queues, parts)
        self._parts = parts
        self._stages = self._loops(parts)

    def stages(self) -> Sequence[Mapping[str, Loop]]:
        """Return the loops, stage by stage; empty until the start is complete."""
        return self._stages

    async def close(self) -> None:
        """Close everything that `start` opened, in reverse order."""
        await self._stack.aclose()

    async def _open_store(self) -> OpenStore:
        settings = self._settings
        store = await self._kit.store(
            settings.store_url,
            create=True,
            region=settings.aws_region,
            keep=settings.retain,
            access=self._access,
            on_found=self.wake,
        )
        self._stack.push_async_callback(store.close)
        if self._restored:
            await store.treat_as_restored(self._kit.clock(), longest=self._policy.longest_wait)
            log.warning("the store is a restored backup", extra={"event": "store.restored", "fields": {}})
        return store

    async def _listen_to_commands(self, store: OpenStore) -> None:
        path = self._settings.control_path
        if path is None:
            return
        handlers = {
            **store_handlers(store, self._settings.store_path, clock=self._kit.clock, wake=self.wake),
            CONDITION: condition_handler(store, self._condition),
        }
        control = ControlServer(path, handlers)
        await control.start()
        self._stack.push_async_callback(control.stop)

    async def _serve_metrics(self, store: OpenStore) -> Meter:
        """Serve metrics and health if METRICS_LISTEN is set; return the meter."""
        if self._settings.metrics_listen is None:
            return NO_METER
        # Imported here because it takes a tenth of a second, which a start without metrics need not spend.
        from bot.worker.http_server import MetricsServer
        from bot.worker.metrics import Metrics

        clock = self._kit.clock
        metrics = Metrics(alerts=self._policy.alerts.by_label, version=__version__)
        server = MetricsServer(metrics, partial(self._vitals, StoreWatch(store, clock=clock)), clock=clock)
        await server.start(*self._settings.metrics_listen)
        self._stack.push_async_callback(server.stop)
        return metrics

    async def _fetch_tokens(self) -> Tokens:
        attempts = 0
        while True:
            try:
                return await fetch_tokens(self._settings, self._access)
            except TransientError as error:
                log.warning("no token yet: %s", error, extra={"event": "token.delayed", "fields": {}})
            self._notifier.tell(EXTEND_TIMEOUT_USEC=MORE_TIME, STATUS=f"waiting for {_TOKENS}")
            await asyncio.sleep(retry_delay(attempts, self._kit.random.random()).total_seconds())
            attempts += 1

    async def _open_resources(self, store: OpenStore, tokens: Tokens, meter: Meter) -> Resources:
        tls = ssl.create_default_context()
        return Resources(
            store=store,
            queues=self._kit.queues(self._settings, self._access, meter, self._stack),
            session=await self._stack.enter_async_context(self._kit.session(tls)),
            tls=tls,
            tokens=tokens,
            wake=self.wake,
            meter=meter,
            on_poll=self._note_poll,
        )

    async def _meet_others(self, queues: Queues, parts: Parts) -> None:
        """Check that SQS and Slack accept this worker. An outage is no refusal: it is retried later."""
        expected = (queues.requests, queues.responses, queues.dead_letters)
        self._queues_met = all([await _meet(queue) for queue in expected if queue is not None])
        await parts.introduction.attempt()

    def _loops(self, parts: Parts) -> Sequence[Mapping[str, Loop]]:
        """Return the loops in the order in which they stop.

        First those that take new work, then those that take clicks, last the one that sends the reports.
        """
        for each in parts.progress:
            each.mark()  # connecting may have taken long, and no loop is silent yet
        lacking = partial(self._lacking, parts)
        watchdog = Watchdog(self._notifier, self._settings.watchdog, parts.progress, lacking=lacking)
        told = {"watchdog": watchdog.run} if self._notifier.address else {}
        sweep = partial(_sweep, parts)
        return (
            {"poller": parts.poller.run, "sweeper": sweep, "retention": parts.retention.run, **told},
            {"links": partial(_listen, parts)},
            {"publisher": partial(_publish, parts)},
        )

    def _lacking(self, parts: Parts) -> Sequence[str]:
        """Name what the worker still waits for. The store is not among it: it was opened at the start."""
        there = {"the queues": self._queues_met or parts.poller.reached, "Slack": parts.links.reachable}
        return [name for name, is_there in there.items() if not is_there]

    def _note_poll(self) -> None:
        self._polled_at = self._kit.clock()

    def _condition(self) -> Mapping[str, Any]:
        """Return what `check` is told besides the state of the store: see `condition_handler`."""
        if self._parts is None:
            return {"starting": self._waits_for}
        return {"card": self._parts.workers.cards.last_trouble, "links": self._parts.links.up}

    async def _vitals(self, watch: StoreWatch) -> Vitals:
        """Return the current vital signs of this worker."""
        parts = self._parts
        return Vitals(
            starting="" if parts else self._waits_for,
            links_up=parts.links.up if parts else 0,
            link_shared=parts is not None and parts.links.others_listen(),
            halted_by=parts.pacing.gate.halted_by if parts else "",
            polled_at=self._polled_at,
            store=await watch.look(),
            aws_refuses_with=self._access.refused_with,
        )


async def _meet(queue: Queue) -> bool:
    try:
        await queue.describe()
    except TransientError as error:
        log.warning("queue not reached yet: %s", error, extra={"event": "queue.delayed", "fields": {}})
        return False
    return True


async def _sweep(parts: Parts, stop: asyncio.Event) -> None:
    await first_of(parts.introduction.wait(), stop.wait(), parts.sweeper.keep_deadlines())
    await parts.sweeper.run(stop)


async def _listen(parts: Parts, stop: asyncio.Event) -> None:
    await parts.introduction.run(stop)
    await parts.links.run(stop, drain=parts.listeners.drain)


async def _publish(parts: Parts, stop: asyncio.Event) -> None:
    await parts.publisher.run(stop)
    await parts.publisher.flush()
