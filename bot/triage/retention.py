"""Retention: removes questions that ended long ago, in small steps."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from bot.backoff import pause
from bot.errors import StoreError
from bot.triage.log_events import log_event
from bot.triage.ports import Clock, Store

log = logging.getLogger(__name__)

#: How often to look for questions to remove.
INTERVAL = timedelta(hours=1)

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
            removed = await self._remove_some()
            await pause(stop, seconds=(STEP_PAUSE if removed == STEP else INTERVAL).total_seconds())

    async def _remove_some(self) -> int:
        try:
            removed = await self._store.remove_ended(self._clock() - self._keep, limit=STEP)
        except StoreError as error:
            log_event(log.warning, "retention.failed", "retention failed: %s", error)
            return 0
        if removed:
            log_event(log.info, "questions.removed", count=removed)
        return removed
