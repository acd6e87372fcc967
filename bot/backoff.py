"""Retry delays: exponential back-off with full jitter."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import timedelta
from random import Random
from typing import Any, TypeVar

Result = TypeVar("Result")

#: The ceiling of the first retry's wait. It doubles with every further failure …
RETRY_FIRST = timedelta(seconds=1)
#: … up to this.
RETRY_MAX = timedelta(seconds=30)
#: The shortest wait of a loop that has nothing else to do meanwhile.
RETRY_SHORTEST = timedelta(seconds=0.5)

#: A long wait is made of steps of at most this, so that a watchdog sees progress meanwhile.
WAIT_STEP = timedelta(seconds=2)


class Backoff:
    """Counts consecutive failures. Each wait is at least 0.5 s; its ceiling doubles from 1 s to 30 s."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._failures = 0

    def after_failure(self) -> float:
        """Count a failure; return the wait before the next attempt, in seconds."""
        delay = retry_delay(self._failures, self._random.random(), shortest=RETRY_SHORTEST)
        self._failures += 1
        return delay.total_seconds()

    def after_success(self) -> bool:
        """Reset the count, so that the next wait is short again; return whether there were failures."""
        failures, self._failures = self._failures, 0
        return failures > 0


def retry_delay(
    attempts: int,
    jitter: float,
    *,
    first: timedelta = RETRY_FIRST,
    shortest: timedelta = timedelta(0),
    longest: timedelta = RETRY_MAX,
) -> timedelta:
    """Return the wait before a retry, if `attempts` retries in a row have failed already.

    `jitter`, a random number in 0..1, draws it between `shortest` and a ceiling, so that workers which failed
    together do not retry together. The ceiling doubles with every attempt, from `first` to `longest`.
    """
    # Bound the exponent: a failure every half minute for a month would overflow.
    ceiling: timedelta = min(first * 2 ** min(attempts, 10), longest)
    return shortest + (ceiling - shortest) * jitter


def add_jitter(seconds: float, random: Random) -> float:
    """Return `seconds` varied by up to 10 % either way, so that workers do not run in step."""
    return seconds * random.uniform(0.9, 1.1)


async def pause(*events: asyncio.Event, seconds: float | None = None) -> None:
    """Wait for `seconds` (None: without a limit), or until one of the events is set."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


@contextmanager
def when_set(event: asyncio.Event, act: Callable[[], object]) -> Iterator[None]:
    """Call `act` when the event is set while the block runs, and once more at its end."""
    waiting = asyncio.create_task(event.wait())
    waiting.add_done_callback(lambda _: act())
    try:
        yield
    finally:
        waiting.cancel()


async def pause_to_beat(*events: asyncio.Event, every: timedelta) -> None:
    """Wait for the next beat of `every`, or until one of the events is set."""
    await pause(*events, seconds=seconds_to_beat(every.total_seconds()))


def seconds_to_beat(every: float) -> float:
    """Return the seconds until the loop's clock next shows a multiple of `every` seconds.

    Periodic checks wait for the same beat, so that an idle process wakes once for all of them. A beat that is
    less than a tenth of `every` away is skipped: a timer that fires a moment early must not make a loop spin.
    """
    left = every - asyncio.get_running_loop().time() % every
    return left if left >= every / 10 else left + every


def countdown(span: timedelta) -> Callable[[], timedelta]:
    """Return a function that says how much remains of a span that begins now."""
    ends_at = time.monotonic() + span.total_seconds()
    return lambda: timedelta(seconds=ends_at - time.monotonic())


async def wait_out(
    stop: asyncio.Event,
    remaining: Callable[[], timedelta],
    *,
    on_progress: Callable[[], None],
    step: timedelta = WAIT_STEP,
) -> None:
    """Wait until nothing remains, or until `stop` is set; `on_progress` is called before every step.

    What remains is asked for at every step, because others may prolong the wait.
    """
    while not stop.is_set() and (left := remaining()) > timedelta(0):
        on_progress()
        await pause(stop, seconds=min(left, step).total_seconds())


async def until_stopped(stop: asyncio.Event, work: Coroutine[Any, Any, Result]) -> Result | None:
    """Return the result of `work`. If `stop` is set first, cancel the work and return None."""
    task, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        task.cancel()
        stopping.cancel()
