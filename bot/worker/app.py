"""One worker from start to close, and its state in between."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from typing import Any

from bot import __version__
from bot.backoff import RETRY_FIRST, pause, retry_delay
from bot.errors import AppRejected, StartRefused, TransientError, UnknownErrorCode
from bot.settings.parameter_store import Tokens, fetch_tokens
from bot.settings.settings import Settings
from bot.slack.errors import explain
from bot.slack.render.templates import Wording, check_wording
from bot.sqs.queues import Queue
from bot.store import OpenStore
from bot.triage.log_events import log_event
from bot.triage.policy import Policy
from bot.triage.ports import NO_METER, Meter
from bot.worker.assembly import Dependencies, Parts, Queues, Resources, WakeUp, assemble
from bot.worker.clock_watch import ClockWatch
from bot.worker.control import ControlServer
from bot.worker.descriptors import watch_descriptors
from bot.worker.handlers import CONDITION, condition_handler, store_handlers
from bot.worker.health import StoreWatch, WorkerHealth
from bot.worker.lifecycle import Loop, first_of
from bot.worker.log import hide_in_log
from bot.worker.second_factor import WatchedFactor, watch_factor
from bot.worker.watchdog import MORE_TIME_MICROSECONDS, Notifier, Watchdog

log = logging.getLogger(__name__)

#: What the start waits for, as reported to systemd, `/healthz` and `check`.
_TOKENS = "the parameter store"
_QUEUES_AND_SLACK = "the queues and Slack"


class App:
    """One worker: what `bot.worker.lifecycle.run_worker` starts, runs and closes."""

    def __init__(
        self,
        settings: Settings,
        wording: Wording,
        policy: Policy,
        *,
        restored: bool = False,
        dependencies: Dependencies | None = None,
    ) -> None:
        self.wake = WakeUp()
        self._settings = settings
        self._wording = wording
        self._policy = policy
        self._restored = restored
        self._dependencies = dependencies or Dependencies()
        self._access = self._dependencies.access(clock=self._dependencies.clock)
        self._stack = AsyncExitStack()
        self._notifier = Notifier(settings.notify_socket)
        self._waiting_for = _TOKENS
        self._parts: Parts | None = None  #: None: the start is not over
        self._factor: WatchedFactor | None = None  #: None: nothing needs one
        self._stages: Sequence[Mapping[str, Loop]] = ()
        self._record_poll()
        self._queues_reached = False

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
        hide_in_log(tokens.bot, tokens.app)
        self._waiting_for = _QUEUES_AND_SLACK
        resources = await self._open_resources(store, tokens, meter)
        parts = assemble(self._settings, self._wording, self._policy, resources, self._dependencies)
        await self._contact_queues_and_slack(resources.queues, parts)
        if self._restored:
            await self._await_time(resources.queues, parts)
            await self._take_restored(store, parts)
        self._parts = parts
        self._stages = self._list_loops(parts, resources.store)

    def stages(self) -> Sequence[Mapping[str, Loop]]:
        """Return the loops, stage by stage; empty until the start is complete."""
        return self._stages

    async def close(self) -> None:
        """Close everything that `start` opened, in reverse order."""
        await self._stack.aclose()

    async def _open_store(self) -> OpenStore:
        settings = self._settings
        store = await self._dependencies.store(
            settings.store_url,
            create=True,
            restored=self._restored,
            region=settings.aws_region,
            keep=settings.retain,
            access=self._access,
            clock=self._dependencies.clock,
            on_found=self.wake,
        )
        self._stack.push_async_callback(store.close)
        if store.written_at:
            ago = self._dependencies.clock() - store.written_at
            message = "the store was last written %s ago, at %s"
            seconds = max(0, round(ago.total_seconds()))
            log_event(log.info, "store.opened", message, timedelta(seconds=seconds), store.written_at)
        return store

    async def _await_time(self, queues: Queues, parts: Parts) -> None:
        """Wait until it is known what time it is: the moment of a restore is stored."""
        attempts = 0
        while not self._dependencies.clock.is_known:
            self._notifier.tell(
                EXTEND_TIMEOUT_USEC=MORE_TIME_MICROSECONDS, STATUS=f"waiting for {_QUEUES_AND_SLACK}"
            )
            await asyncio.sleep(retry_delay(attempts, self._dependencies.random.random()).total_seconds())
            await self._contact_queues_and_slack(queues, parts)
            attempts += 1

    async def _take_restored(self, store: OpenStore, parts: Parts) -> None:
        """Adjust a restored store before anything in it is acted upon.

        `StartRefused` if Slack has accepted this app and does not let it read what the store cannot know.
        """
        if parts.authentication.trouble is None and not parts.actors.asker.restores.can_read:
            raise StartRefused(
                "with --restored the app needs the scope im:history, to read in Slack who was asked and what"
                " they answered: add it to the app's bot scopes, reinstall the app, and start again"
            )
        now, longest = self._dependencies.clock(), self._policy.longest_wait
        await store.reset_after_restore(now, longest=longest, since=store.written_at)
        log_event(log.warning, "store.restored", "the store is a restored backup")

    async def _listen_to_commands(self, store: OpenStore) -> None:
        path = self._settings.control_path
        if path is None:
            return
        handlers = {
            **store_handlers(
                store, self._settings.store_path, clock=self._dependencies.clock, wake=self.wake
            ),
            CONDITION: condition_handler(store, self._describe_condition),
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

        clock = self._dependencies.clock
        metrics = Metrics(alerts=self._policy.alerts.by_label, version=__version__)
        server = MetricsServer(
            metrics, partial(self._measure_health, StoreWatch(store, clock=clock)), clock=clock
        )
        await server.start(*self._settings.metrics_listen)
        self._stack.push_async_callback(server.stop)
        return metrics

    async def _fetch_tokens(self) -> Tokens:
        attempts = 0
        while True:
            try:
                return await fetch_tokens(self._settings, self._access)
            except TransientError as error:
                log_event(log.warning, "token.delayed", "no token yet: %s", error)
            self._notifier.tell(EXTEND_TIMEOUT_USEC=MORE_TIME_MICROSECONDS, STATUS=f"waiting for {_TOKENS}")
            await asyncio.sleep(retry_delay(attempts, self._dependencies.random.random()).total_seconds())
            attempts += 1

    async def _open_resources(self, store: OpenStore, tokens: Tokens, meter: Meter) -> Resources:
        if self._settings.factor_issuer or self._policy.uses_factor:
            tls, clock = ssl.create_default_context(), self._dependencies.clock
            self._factor = await watch_factor(self._settings, self._access, tls, self._stack, clock=clock)
        return Resources(
            store=store,
            queues=self._dependencies.queues(self._settings, self._access, meter, self._stack),
            session=await self._stack.enter_async_context(self._dependencies.session()),
            tokens=tokens,
            wake=self.wake,
            factor=self._factor,
            meter=meter,
            on_poll=self._record_poll,
        )

    async def _contact_queues_and_slack(self, queues: Queues, parts: Parts) -> None:
        """Check that SQS and Slack accept this worker. An outage is no refusal: it is retried later."""
        expected = (queues.requests, queues.responses, queues.dead_letters)
        self._queues_reached = all([await _contact(queue) for queue in expected if queue is not None])
        await parts.authentication.attempt()

    def _list_loops(self, parts: Parts, store: OpenStore) -> Sequence[Mapping[str, Loop]]:
        """Return the loops in the order in which they stop.

        First those that take new work, then those that take clicks, last the one that sends the reports.
        """
        for each in parts.progress:
            each.mark()  # connecting may have taken long, and no loop is silent yet
        missing = partial(self._list_missing, parts)
        watchdog = Watchdog(self._notifier, self._settings.watchdog, parts.progress, missing=missing)
        told = {"watchdog": watchdog.run} if self._notifier.address else {}
        poll, sweep = partial(_poll, parts, store), partial(_sweep, parts, store)
        prove, ask_back = partial(_prove, parts, store), partial(_ask_back, parts, store)
        look = partial(_look_at_bursts, parts, store)
        watch_clock = ClockWatch(self._dependencies.clock, on_jump=self.wake).run
        own = {"descriptors": watch_descriptors, "clock": watch_clock, "store": store.watch, **told}
        if self._factor is not None:
            own["factor"] = self._factor.run
        return (
            {"poller": poll, "sweeper": sweep, "prover": prove, "inquirer": ask_back, "bursts": look}
            | {"retention": parts.retention.run, **own},
            {"links": partial(_listen, parts)},
            {"publisher": partial(_publish, parts)},
        )

    def _list_missing(self, parts: Parts) -> Sequence[str]:
        """Name what the worker still waits for; never the store, which was opened at the start."""
        there = {
            "the queues": self._queues_reached or parts.poller.has_polled,
            "Slack": parts.connections.up > 0,
        }
        return [name for name, is_there in there.items() if not is_there]

    def _record_poll(self) -> None:
        self._polled_at = self._dependencies.clock()
        self._polled = self._dependencies.clock.monotonic()

    def _describe_condition(self) -> Mapping[str, Any]:
        """Return what `check` is told besides the state of the store: see `condition_handler`."""
        if self._parts is None:
            return {"starting": self._waiting_for}
        clock = self._dependencies.clock
        return {
            "card": self._parts.actors.cards.last_trouble,
            "links": self._parts.connections.up,
            "clock": clock.trouble,
            "ahead_seconds": clock.ahead and clock.ahead.total_seconds(),
        }

    async def _measure_health(self, watch: StoreWatch) -> WorkerHealth:
        """Return the current vital signs of this worker."""
        parts, clock = self._parts, self._dependencies.clock
        trouble = (parts.authentication.trouble or parts.connections.trouble) if parts else None
        return WorkerHealth(
            starting="" if parts else self._waiting_for,
            links_up=parts.connections.up if parts else 0,
            link_shared=parts is not None and parts.connections.is_app_shared(),
            link_trouble=explain(trouble) if trouble else "",
            link_refused=isinstance(trouble, AppRejected | UnknownErrorCode),
            rejection_code=parts.rejection_code if parts else "",
            polled_at=self._polled_at,
            silence=clock.monotonic() - self._polled,
            store=await watch.look(),
            aws_refuses_with=self._access.refused_with,
            clock_trouble=clock.trouble,
            clock_ahead=clock.ahead,
            factor_trouble=self._factor.trouble if self._factor and self._policy.uses_factor else "",
        )


async def _contact(queue: Queue) -> bool:
    try:
        await queue.describe()
    except TransientError as error:
        log_event(log.warning, "queue.delayed", "queue not reached yet: %s", error)
        return False
    return True


async def _confirm(parts: Parts, store: OpenStore, stop: asyncio.Event) -> None:
    """Wait until it is known that the store is what it was: before that, nothing in it is acted upon."""
    while not stop.is_set() and not await store.confirm():
        log_event(log.warning, "store.delayed", "it is not known yet whether the table is what it was")
        for each in parts.progress:
            each.mark()
        await pause(stop, seconds=RETRY_FIRST.total_seconds())


async def _poll(parts: Parts, store: OpenStore, stop: asyncio.Event) -> None:
    await _confirm(parts, store, stop)
    await parts.poller.run(stop)


async def _sweep(parts: Parts, store: OpenStore, stop: asyncio.Event) -> None:
    await _confirm(parts, store, stop)
    await first_of(parts.authentication.wait(), stop.wait(), parts.sweeper.keep_deadlines())
    await parts.sweeper.run(stop)


async def _prove(parts: Parts, store: OpenStore, stop: asyncio.Event) -> None:
    await _confirm(parts, store, stop)
    await parts.actors.prover.run(stop)


async def _ask_back(parts: Parts, store: OpenStore, stop: asyncio.Event) -> None:
    await _confirm(parts, store, stop)
    await first_of(parts.authentication.wait(), stop.wait())
    await parts.actors.inquirer.run(stop)


async def _look_at_bursts(parts: Parts, store: OpenStore, stop: asyncio.Event) -> None:
    await _confirm(parts, store, stop)
    await first_of(parts.authentication.wait(), stop.wait())
    await parts.actors.bursts.run(stop)


async def _listen(parts: Parts, stop: asyncio.Event) -> None:
    await parts.authentication.run(stop)
    await parts.connections.run(stop, drain=parts.listeners.drain)


async def _publish(parts: Parts, stop: asyncio.Event) -> None:
    await parts.publisher.run(stop)
    await parts.publisher.flush()
