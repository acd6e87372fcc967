"""A machine and the process on it: what time it believes it is, and when it has to die."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

#: When every run begins, in seconds since 1970: noon in UTC on a Tuesday.
BEGINNING: Final = 1795521600.0


#: How many tasks a process may have before those that are done are left out.
_TASKS_KEPT: Final = 64


class Died(BaseException):
    """The process ends here. Nothing of it may run any more, and nothing of it reaches the world."""


@dataclass(kw_only=True, eq=False)
class Machine:
    """One machine. Its clock is `offset` seconds ahead, and all its clocks gain `drift` in each second."""

    name: str
    offset: float = 0.0
    drift: float = 0.0
    suspended: float = 0.0  #: seconds for which it was suspended until now, as it counts them

    def wall(self, now: float) -> float:
        """Return what its clock shows, as seconds since 1970, after this many true seconds."""
        return BEGINNING + self.boottime(now) + self.offset

    def monotonic(self, now: float) -> float:
        """Return its CLOCK_MONOTONIC, which stands still while the machine is suspended."""
        return self.boottime(now) - self.suspended

    def boottime(self, now: float) -> float:
        """Return its CLOCK_BOOTTIME."""
        return now * (1 + self.drift)

    def true(self, monotonic: float) -> float:
        """Return how many seconds have really passed when its CLOCK_MONOTONIC shows this."""
        return (monotonic + self.suspended) / (1 + self.drift)


@dataclass(kw_only=True, eq=False)
class Life:
    """One process. It is killed at its step number `dies_after`, or at its commit `dies_at_commit`."""

    machine: Machine
    number: int
    dies_after: int = 0
    steps: int = 0
    commits: int = 0
    dies_at_commit: int = 0
    dies_before_commit: bool = False
    committed: asyncio.Event | None = None  #: set with the next commit
    claimed: asyncio.Event | None = None  #: set with the next claim in a table, of a question or a reminder
    offline_until: float = 0.0  #: by the true time: until then nothing of it gets through
    opened: asyncio.Event | None = None  #: set when it has opened its store
    is_over: bool = False
    exit_code: int | None = None
    on_signal: dict[int, Callable[[], object]] = field(default_factory=dict)
    held: deque[Any] | None = None  #: what waits for the end of a suspension
    on_death: list[Callable[[], None]] = field(default_factory=list)
    _tasks_max: int = 0
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)  #: all that are not done, and some that are

    def note_task(self, task: asyncio.Task[Any]) -> None:
        """Note a task of this process, and forget those that are done when there are twice as many."""
        self.tasks.append(task)
        if len(self.tasks) >= self._tasks_max:
            self.tasks = [each for each in self.tasks if not each.done()]
            self._tasks_max = 2 * len(self.tasks) + _TASKS_KEPT

    def die(self) -> None:
        """Stop everything of it for good."""
        self.is_over = True
        for each in self.on_death:
            each()
        self.on_death.clear()

    def require_alive(self) -> None:
        """Raise `Died` where something of a dead process would reach the world."""
        if self.is_over:
            raise Died


#: The process that is running; None: the world around it.
LIFE: Final[ContextVar[Life | None]] = ContextVar("life", default=None)
