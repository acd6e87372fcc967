"""Retention: removes questions that ended long ago, in small steps."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from bot.backoff import pause
from bot.clock import Clock
from bot.errors import StoreError
from bot.triage.log_events import log_event
from bot.triage.ports import Store

log = logging.getLogger(__name__)

#: How often to look for questions to remove.
INTERVAL = timedelta(hours=1)

#: How often to look whether the time is known: before, nothing is removed.
UNKNOWN_PAUSE = timedelta(seconds=10)

#: Questions removed in one step, and the pause between two steps, so that no click has to wait.
STEP = 100
STEP_PAUSE = timedelta(milliseconds=100)


class Retention:
    """Removes questions whose end, and whose last report, are older than `keep`."""

    def __init__(self, store: Store, *, keep: timedelta, clock: Clock) -> None:
        self._store = store
        self._keep = keep
        self._clock = clock

    async def run(self, stop: asyncio.Event) -> None:
        """Remove old questions every hour, until `stop` is set. Failures are logged; raises nothing."""
        while not stop.is_set():
            wait = UNKNOWN_PAUSE
            if self._clock.is_known:
                wait = STEP_PAUSE if await self._remove_some() == STEP else INTERVAL
            await pause(stop, seconds=wait.total_seconds())

    async def _remove_some(self) -> int:
        try:
            removed = await self._store.remove_ended(self._clock() - self._keep, limit=STEP)
        except StoreError as error:
            log_event(log.warning, "retention.failed", "retention failed: %s", error)
            return 0
        if removed:
            log_event(log.info, "questions.removed", count=removed)
        return removed
