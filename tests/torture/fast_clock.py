"""A clock that runs fast, so that a minute's lease costs the torture six seconds."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final

from aiohttp import web

from bot.clock import Machine

#: Seconds of the torture's time in one second of ours. Workers, Slack and SQS all live by it.
PACE: Final = 10.0

#: The same where several workers share a table: its calls take their time, and do not run any faster.
SHARED_PACE: Final = 4.0

#: How often a machine's clock is set, in seconds of the torture's time.
_STEP_EVERY: Final = 7.0


@dataclass(frozen=True, kw_only=True)
class FastClock:
    """Tells the torture's time: it agrees with ours at `origin` (seconds since 1970) and then runs ahead.

    Processes that share an origin agree with each other.
    """

    origin: float
    pace: float = PACE

    def __call__(self) -> datetime:
        return datetime.fromtimestamp(self.seconds(), UTC)

    def seconds(self) -> float:
        """Return the time as seconds since 1970."""
        return self.origin + (time.time() - self.origin) * self.pace

    def machine(self, *, steps: float, drift: float) -> Machine:
        """Return the clocks of a machine in this time.

        Its wall clock is set again and again, to the time and by `steps` seconds before and behind it; the
        others run too fast by the share `drift`.
        """
        rate = self.pace * (1 + drift)

        def read_wall() -> float:
            now = self.seconds()
            return now + steps * (int(now / _STEP_EVERY) % 3 - 1)

        return Machine(
            wall=read_wall,
            monotonic=lambda: time.monotonic() * rate,
            boottime=lambda: time.clock_gettime(time.CLOCK_BOOTTIME) * rate,
        )

    async def date(self, _: web.Request, response: web.StreamResponse) -> None:
        """Date an answer of a stand-in, as a signal of its application."""
        response.headers["Date"] = format_datetime(self(), usegmt=True)

    @classmethod
    def start(cls, pace: float = PACE) -> FastClock:
        """Return a clock that begins to run ahead now."""
        return cls(origin=time.time(), pace=pace)
