"""Tells the service manager that the worker is ready, and that it gets on (sd_notify(3), systemd 252).

Loops mark their progress. An outage that is being retried is progress too; silence is not. When a loop has
been silent for too long the manager is asked to end the process, whose successor finds all in the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

log = logging.getLogger(__name__)

#: How long a loop may be silent, unless it says otherwise: longer than a long poll or a back-off takes.
PATIENCE = timedelta(seconds=45)

#: How often the worker is looked at. What is told between two pings is news of its readiness.
LOOK_INTERVAL = timedelta(milliseconds=250)

#: How often the manager is told something, where it has no watchdog.
TELL_INTERVAL = timedelta(seconds=10)

#: How much longer the start may take, in microseconds, each time that it is not done yet.
MORE_TIME = 60_000_000


class Notifier:
    """Tells the service manager how the worker is. Says nothing where there is none: `address` is empty."""

    def __init__(self, address: str) -> None:
        self.address = f"\0{address[1:]}" if address.startswith("@") else address

    def tell(self, **facts: object) -> None:
        """Send facts such as `READY=1` in one datagram. Raises nothing: it is the manager's loss."""
        if not self.address:
            return
        message = "\n".join(f"{name}={value}" for name, value in facts.items())
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.sendto(message.encode(), socket.MSG_DONTWAIT, self.address)


class Progress:
    """When a loop last got on, and how long it may be silent after that."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.mark()

    def mark(self, patience: timedelta = PATIENCE) -> None:
        """Note that the loop gets on, and that its next mark comes within `patience`."""
        self._silent_until = time.monotonic() + patience.total_seconds()

    @property
    def stalled(self) -> bool:
        """Whether the mark that should have come has not."""
        return time.monotonic() > self._silent_until


class Watchdog:
    """Looks at the worker as long as its event loop runs, and tells the service manager what it sees.

    `interval` is how often the manager wants to hear (None: it does not say). `lacking` names what the worker
    still waits for: it is ready as soon as that is nothing, and stays so.
    """

    def __init__(
        self,
        notifier: Notifier,
        interval: timedelta | None,
        progress: Sequence[Progress],
        *,
        lacking: Callable[[], Sequence[str]],
    ) -> None:
        self._notifier = notifier
        # Half of it would do; a busy machine may make one of them late.
        self._interval = min(interval / 4, TELL_INTERVAL) if interval else TELL_INTERVAL
        self._progress = progress
        self._lacking = lacking
        self._ready = False
        self._given_up = False
        self._told: tuple[str, float] = ("", 0.0)

    async def run(self, stop: asyncio.Event) -> None:
        """Look until `stop` is set, then say that the worker stops."""
        pause = min(LOOK_INTERVAL, self._interval).total_seconds()
        while not stop.is_set():
            self._look()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)
        self._notifier.tell(STOPPING=1, STATUS="stopping")

    def _look(self) -> None:
        stalled = [each.name for each in self._progress if each.stalled]
        if stalled or self._given_up:
            self._give_up(stalled)
        else:
            self._report(self._lacking())

    def _report(self, lacking: Sequence[str]) -> None:
        status = f"waiting for {' and '.join(lacking)}" if lacking else "serving"
        told, at = self._told
        if status == told and time.monotonic() - at < self._interval.total_seconds():
            return
        self._told = status, time.monotonic()
        self._ready = self._ready or not lacking
        news = {"READY": 1} if self._ready else {"EXTEND_TIMEOUT_USEC": MORE_TIME}
        self._notifier.tell(**news, WATCHDOG=1, STATUS=status)

    def _give_up(self, stalled: Sequence[str]) -> None:
        """Ask once to be ended. For good: whoever was silent for so long holds something up."""
        if self._given_up:
            return
        self._given_up = True
        names = ",".join(stalled)
        log.critical("the worker is stuck", extra={"event": "worker.stuck", "fields": {"loops": names}})
        self._notifier.tell(WATCHDOG="trigger", STATUS=f"stuck: {names}")
