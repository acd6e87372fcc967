"""Retry delays: exponential back-off with full jitter."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from random import Random

#: Bounds of the wait, in seconds. Jitter keeps workers that lost SQS together from returning together.
SHORTEST = 0.5
LONGEST = 30.0

#: The ceiling of the first retry's wait. It doubles with every further failure …
RETRY_FIRST = timedelta(seconds=1)
#: … up to this.
RETRY_MAX = timedelta(seconds=30)


class Backoff:
    """Counts consecutive failures. Each wait is drawn below a ceiling that doubles from 1 s to 30 s."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._failures = 0

    def after_failure(self) -> float:
        """Count a failure; return the wait before the next attempt, in seconds."""
        self._failures += 1
        return wait_after(self._failures, self._random)

    def after_success(self) -> None:
        """Reset the count, so that the next wait is short again."""
        self._failures = 0


def retry_delay(attempts: int, jitter: float) -> timedelta:
    """Return the wait after `attempts` failures, at most 30 s; `jitter` is a random factor in 0..1."""
    longest: timedelta = min(RETRY_FIRST * 2 ** min(attempts, 10), RETRY_MAX)
    return longest * jitter


def wait_after(failures: int, random: Random, *, shortest: float = SHORTEST) -> float:
    """Return the wait after `failures` consecutive failures: from `shortest` to at most 30 s, in seconds."""
    # Bound the exponent: a failure every half minute for a month would overflow a float.
    ceiling = min(LONGEST, shortest * 2.0 ** min(failures, 16))
    return random.uniform(shortest, ceiling)


def add_jitter(seconds: float, random: Random) -> float:
    """Return `seconds` varied by up to 10 % either way, so that workers do not run in step."""
    return seconds * random.uniform(0.9, 1.1)


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait for `seconds`, or until `stop` is set."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
