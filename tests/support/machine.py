"""A machine's clocks as a test moves them, and services whose answers tell the time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from fakes import NOON

from bot.clock import Clock, Machine, Service


class FakeMachine:
    """Its wall clock may be wrong; the others are right. It is noon, whatever that says.

    All is in seconds: `passed` while it ran, besides what `elapsed` says; while it was `suspended`; and while
    it was `paused`, if it is a virtual one.
    """

    def __init__(self, *, ahead: float = 0.0, elapsed: Callable[[], float] = lambda: 0.0) -> None:
        self.ahead = ahead  #: by how much the wall clock is wrong
        self.passed = 0.0
        self.suspended = 0.0
        self.paused = 0.0
        self._elapsed = elapsed
        self.clock = Clock(
            Machine(
                wall=lambda: self.now.timestamp() + self.ahead,
                monotonic=lambda: 500.0 + self.passed + elapsed(),
                boottime=lambda: 1000.0 + self.passed + elapsed() + self.suspended,
            )
        )

    @property
    def now(self) -> datetime:
        """What time it is in truth."""
        seconds = self.passed + self._elapsed() + self.suspended + self.paused
        return NOON + timedelta(seconds=seconds)

    def hear(self, service: Service, *, off: float = 0.0, took: float = 0.0, date: str | None = None) -> None:
        """Make a service answer after this many seconds. Its clock may be off, and its `Date` may differ."""
        sent = self.clock.boottime()
        self.passed += took
        told = self.now - timedelta(seconds=took / 2) + timedelta(seconds=off)
        self.clock.note(service, date_of(told) if date is None else date, sent=sent)


def date_of(moment: datetime) -> str:
    """Return a moment as services do, without its fraction of a second."""
    return format_datetime(moment.astimezone(UTC), usegmt=True)
