"""Tells the service manager that the worker is ready and makes progress (sd_notify(3), systemd 252).

Loops mark their progress. Retrying during an outage counts as progress; silence does not. If a loop is silent
for too long, the manager is asked to restart the process; the new one continues from the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from bot.backoff import pause
from bot.triage.log_events import log_event

log = logging.getLogger(__name__)

#: How long a loop may be silent by default: longer than a long poll or a back-off takes.
PATIENCE = timedelta(seconds=45)

#: How often the worker is checked. Between two pings only a change of status is sent.
LOOK_INTERVAL = timedelta(milliseconds=250)

#: How often the manager is notified if its watchdog is off.
TELL_INTERVAL = timedelta(seconds=10)

#: The extension of the start timeout requested each time the start is not complete, in microseconds.
MORE_TIME_MICROSECONDS = 60_000_000


class Notifier:
    """Sends the worker's status to the service manager. Does nothing if `address` is empty: there is none."""

    def __init__(self, address: str) -> None:
        self.address = f"\0{address[1:]}" if address.startswith("@") else address

    def tell(self, **facts: object) -> None:
        """Send facts such as `READY=1` in one datagram. Never raises, even if the manager is unreachable."""
        if not self.address:
            return
        message = "\n".join(f"{name}={value}" for name, value in facts.items())
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.sendto(message.encode(), socket.MSG_DONTWAIT, self.address)


class Progress:
    """When a loop last made progress, and how long it may be silent after that."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.mark()

    def mark(self, patience: timedelta = PATIENCE) -> None:
        """Record progress; the next mark is due within `patience`."""
        self._silent_until = time.monotonic() + patience.total_seconds()

    @property
    def stalled(self) -> bool:
        """Whether the next mark is overdue."""
        return time.monotonic() > self._silent_until


class Watchdog:
    """Checks the worker while its event loop runs, and notifies the service manager.

    `interval` is how often the manager expects a ping (None: not at all). `missing` names what the worker
    still waits for: once that is empty the worker is ready, and stays ready.
    """

    def __init__(
        self,
        notifier: Notifier,
        interval: timedelta | None,
        progress: Sequence[Progress],
        *,
        missing: Callable[[], Sequence[str]],
    ) -> None:
        self._notifier = notifier
        # Half of it would be enough, but on a busy machine a ping may be late.
        self._interval = min(interval / 4, TELL_INTERVAL) if interval else TELL_INTERVAL
        self._progress = progress
        self._missing = missing
        self._ready = False
        self._given_up = False
        self._last_status: tuple[str, float] = ("", 0.0)

    async def run(self, stop: asyncio.Event) -> None:
        """Check until `stop` is set, then report that the worker is stopping."""
        interval = min(LOOK_INTERVAL, self._interval).total_seconds()
        while not stop.is_set():
            self._look()
            await pause(stop, seconds=interval)
        self._notifier.tell(STOPPING=1, STATUS="stopping")

    def _look(self) -> None:
        stalled = [each.name for each in self._progress if each.stalled]
        if stalled or self._given_up:
            self._give_up(stalled)
        else:
            self._report(self._missing())

    def _report(self, missing: Sequence[str]) -> None:
        status = f"waiting for {' and '.join(missing)}" if missing else "serving"
        told, at = self._last_status
        if status == told and time.monotonic() - at < self._interval.total_seconds():
            return
        self._last_status = status, time.monotonic()
        self._ready = self._ready or not missing
        news = {"READY": 1} if self._ready else {"EXTEND_TIMEOUT_USEC": MORE_TIME_MICROSECONDS}
        self._notifier.tell(**news, WATCHDOG=1, STATUS=status)

    def _give_up(self, stalled: Sequence[str]) -> None:
        """Ask for a restart, once. This is final even if the loop recovers, because it has blocked other
        work.
        """
        if self._given_up:
            return
        self._given_up = True
        names = ",".join(stalled)
        log_event(log.critical, "worker.stalled", "the worker is stuck", loops=names)
        self._notifier.tell(WATCHDOG="trigger", STATUS=f"stuck: {names}")
