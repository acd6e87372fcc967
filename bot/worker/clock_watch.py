"""Watches the clock: logs what is wrong with it, and wakes the sleeping loops when the time jumps."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta

from bot.backoff import pause_to_beat
from bot.clock import Clock
from bot.triage.log_events import log_event

log = logging.getLogger(__name__)

#: How often to look: a deadline is late by no more than this when the machine wakes from a suspend.
LOOK_INTERVAL = timedelta(seconds=2)

#: A jump of the time is more than this. Its corrections are usually less.
JUMP = timedelta(seconds=2)

#: How often the log tells how far the machine's clock is off.
TELL_INTERVAL = timedelta(hours=1)


class ClockWatch:
    """Compares the time with CLOCK_MONOTONIC, by which everybody sleeps; `on_jump` wakes them."""

    def __init__(
        self, clock: Clock, *, on_jump: Callable[[], None], look_interval: timedelta = LOOK_INTERVAL
    ) -> None:
        self._clock = clock
        self._on_jump = on_jump
        self._look_interval = look_interval
        self._seen = clock() - clock.monotonic()
        self._was_known = False
        self._trouble = ""
        self._told_at: timedelta | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Watch until `stop` is set. Raises nothing."""
        while not stop.is_set():
            self.look()
            await pause_to_beat(stop, every=self._look_interval)

    def look(self) -> None:
        """Look once."""
        start, is_known = self._clock() - self._clock.monotonic(), self._clock.is_known
        if abs(start - self._seen) > JUMP or is_known != self._was_known:
            self._seen, self._was_known = start, is_known
            self._on_jump()
        self._tell_trouble()
        self._tell_offset()

    def _tell_trouble(self) -> None:
        trouble = self._clock.trouble
        if trouble and not self._trouble:
            log_event(log.error, "clock.wrong", "%s", trouble)
        elif self._trouble and not trouble:
            log_event(log.warning, "clock.recovered", "the time is right again")
        self._trouble = trouble

    def _tell_offset(self) -> None:
        ahead, now = self._clock.ahead, self._clock.monotonic()
        if ahead is None or (self._told_at is not None and now - self._told_at < TELL_INTERVAL):
            return
        self._told_at = now
        seconds = round(ahead.total_seconds(), 3)
        log_event(
            log.info, "clock.compared", "this machine's clock is %s s ahead", seconds, ahead_seconds=seconds
        )
