"""The parts that watch the others: what is counted, what systemd is told, and whether all get on."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from bot import __version__
from bot.slack.connections import LINKS
from bot.triage.model import utc_now
from bot.triage.ports import NO_METER
from bot.worker.health import StoreWatch
from bot.worker.sd_notify import Notifier
from bot.worker.watchdog import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from bot.settings.settings import Settings
    from bot.store import OpenStore
    from bot.triage.policy import AlertPolicies
    from bot.triage.ports import Clock, Meter
    from bot.worker.metrics import Metrics


class Vigil:
    """The part of `bot.worker.parts.Parts` that looks after the rest."""

    settings: Settings
    alerts: AlertPolicies
    store: OpenStore
    clock: Clock = staticmethod(utc_now)
    polled_at: datetime

    def note_poll(self) -> None:
        """Note that SQS answered a poll."""
        self.polled_at = self.clock()

    @cached_property
    def metrics(self) -> Metrics | None:
        if self.settings.metrics_listen is None:
            return None
        from bot.worker.metrics import (
            Metrics,  # takes a tenth of a second, which a start without it is spared
        )

        return Metrics(alerts=self.alerts.by_label, version=__version__)

    @cached_property
    def meter(self) -> Meter:
        return self.metrics or NO_METER

    @cached_property
    def store_watch(self) -> StoreWatch:
        return StoreWatch(self.store, clock=self.clock)

    @cached_property
    def poll_progress(self) -> Progress:
        return Progress("poller")

    @cached_property
    def link_progress(self) -> Sequence[Progress]:
        return [Progress(f"link {number}") for number in range(1, LINKS + 1)]

    def mark_links(self) -> None:
        """Note that whoever the links wait for gets on."""
        for progress in self.link_progress:
            progress.mark()

    @cached_property
    def notifier(self) -> Notifier:
        return Notifier(self.settings.notify_socket)
