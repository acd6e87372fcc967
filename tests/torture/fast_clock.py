"""A clock that runs fast, so that a minute's lease costs the torture six seconds."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

#: Seconds of the torture's time in one second of ours. Workers, Slack and SQS all live by it.
PACE: Final = 10.0

#: The same where several workers share a table: its calls take their time, and do not run any faster.
SHARED_PACE: Final = 4.0


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

    @classmethod
    def start(cls, pace: float = PACE) -> FastClock:
        """Return a clock that begins to run ahead now."""
        return cls(origin=time.time(), pace=pace)
