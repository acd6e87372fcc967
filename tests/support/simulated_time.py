"""Time that passes as soon as nobody has anything left to do: an hour takes as long as what is done in it."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar

from fakes import NOON, ToldClock

from bot.clock import Clock

T = TypeVar("T")


class _Leap(selectors.SelectSelector):
    """Never waits: a sleep ends at once, and moves the time on."""

    def __init__(self) -> None:
        super().__init__()
        self.passed = 0.0  #: seconds

    def select(self, timeout: float | None = None) -> Any:
        assert timeout is not None, "everybody waits for somebody else"
        self.passed += timeout
        return super().select(0)


class SimulatedLoop(asyncio.SelectorEventLoop):
    """A loop whose time is that of its sleepers. Nothing in it may wait for a socket or a thread."""

    def __init__(self) -> None:
        self._leap = _Leap()
        super().__init__(self._leap)

    def time(self) -> float:
        return self._leap.passed


def run_simulated(scenario: Callable[[Clock], Coroutine[Any, Any, T]]) -> T:
    """Run something in simulated time; it is given the clock, which stands at noon."""
    loop = SimulatedLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(scenario(ToldClock(lambda: NOON + timedelta(seconds=loop.time()))))
