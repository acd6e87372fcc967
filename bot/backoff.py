"""How long to wait before trying again."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

#: Seconds. Full jitter between the two: many workers that lost SQS at the same
#: moment must not come back at the same moment.
SHORTEST = 0.5
LONGEST = 30.0

#: The first retry waits up to this long, each further one up to twice as long as the one before …
RETRY_FIRST = timedelta(seconds=1)
#: … and none longer than this.
RETRY_MAX = timedelta(seconds=30)


class Backoff:
    """Counts failures in a row; the wait after each is drawn below a ceiling that doubles from 1 s."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._failures = 0

    def after_failure(self) -> float:
        """Return the seconds to wait after one more failure."""
        self._failures += 1
        return wait_after(self._failures, self._random)

    def after_success(self) -> None:
        """Begin again with the shortest wait."""
        self._failures = 0


def retry_delay(attempts: int, spread: float) -> timedelta:
    """Return how long to wait after so many failures; `spread` is a random number in 0..1 (full jitter)."""
    longest: timedelta = min(RETRY_FIRST * 2 ** min(attempts, 10), RETRY_MAX)
    return longest * spread


def wait_after(failures: int, random: Random) -> float:
    """Return the seconds to wait after so many failures in a row: 0.5 to 30."""
    # The exponent is bounded: a failure every half minute for a month would overflow a float.
    ceiling = min(LONGEST, SHORTEST * 2.0 ** min(failures, 16))
    return random.uniform(SHORTEST, ceiling)


def around(seconds: float, random: Random) -> float:
    """Return about so many seconds, within a tenth: so that many workers do not keep step."""
    return seconds * random.uniform(0.9, 1.1)


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait so long, or until it is time to stop."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
