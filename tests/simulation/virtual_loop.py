"""An event loop whose clock is virtual: as soon as nobody has anything left to do, it is later."""

# What asyncio's loop is made of has no public types.
# mypy: disable-error-code="override,attr-defined,no-any-return,arg-type"

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from math import ceil
from typing import Any, Final, TypeVar

from .machines import LIFE, Died, Life

T = TypeVar("T")

_numbers = itertools.count()


def _hash_by_number(self: Any) -> int:
    """Return a number that is given when it is first asked for: in the same order every time."""
    try:
        return self.number
    except AttributeError:
        self.number = next(_numbers)
        return self.number


class NumberedFuture(asyncio.Future[T]):
    """A future that hashes by number, so that a set of them is the same in every process."""

    __hash__ = _hash_by_number


class NumberedTask(asyncio.Task[T]):
    """A task that hashes by number, and knows whose it is."""

    life: Life | None
    __hash__ = _hash_by_number


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs what is ready first in, first out, as asyncio promises. Nothing in it waits for a socket.

    What belongs to a process that has died does not run any more. What belongs to a machine that is suspended
    waits, and its timers run later by as long.
    """

    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]
    _stopping: bool

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0  #: seconds that have truly passed
        self.steps = 0
        self.run_thread: Callable[[Callable[[], Any]], asyncio.Future[Any]] = lambda _: self.create_future()
        self.on_step_limit: Callable[[Life], None] = lambda _: None
        self.set_task_factory(_make_task)
        self.set_exception_handler(self._note_exception)
        self.strays: list[str] = []  #: what was raised where nobody waits for it

    def time(self) -> float:
        """Return the CLOCK_MONOTONIC of the machine that asks."""
        life = LIFE.get()
        return self.now if life is None else life.machine.monotonic(self.now)

    def create_future(self) -> asyncio.Future[Any]:
        return NumberedFuture(loop=self)

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = events.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        life = LIFE.get()
        true = when if life is None else life.machine.true(when)
        timer = events.TimerHandle(true, callback, args, self, context)
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True
        return timer

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        assert executor is None
        return self.run_thread(lambda: func(*args))

    def add_signal_handler(self, sig: int, callback: Any, *args: Any) -> None:
        life = LIFE.get()
        assert life is not None
        context = contextvars.copy_context()
        life.on_signal[sig] = lambda: self.call_soon(callback, *args, context=context)

    def resume(self, life: Life, seconds: float) -> None:
        """Let a process go on whose machine was suspended for so long."""
        held, life.held = life.held or deque(), None
        life.machine.suspended += life.machine.boottime(seconds)
        for timer in self._scheduled:
            if timer._context.get(LIFE) is life:
                timer._when += seconds
        heapq.heapify(self._scheduled)
        self._ready.extend(held)

    def _run_once(self) -> None:
        ready, scheduled = self._ready, self._scheduled
        while not self._stopping:
            if ready:
                handle = ready.popleft()
            else:
                if not scheduled:
                    raise RuntimeError("everybody waits for somebody else")
                timer = heapq.heappop(scheduled)
                timer._scheduled = False
                if timer._cancelled:
                    continue
                # In whole microseconds, as the program counts: nobody is early by half of one.
                self.now = max(self.now, ceil(timer._when * 1e6 - 0.01) / 1e6)
                handle = timer
            if handle._cancelled:
                continue
            life = handle._context.get(LIFE)
            if life is not None:
                if life.is_over:
                    continue
                if life.held is not None:
                    life.held.append(handle)
                    continue
                life.steps += 1
                if life.steps == life.dies_after:
                    self.on_step_limit(life)
                    continue
            self.steps += 1
            handle._run()

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Leave a cancelled timer where it is: it is dropped when its time comes."""

    def _note_exception(self, _: Any, context: dict[str, Any]) -> None:
        error = context.get("exception")
        whose = context.get("task") or context.get("future")
        life = getattr(whose, "life", None) or LIFE.get()
        if isinstance(error, Died) or (life is not None and life.is_over):
            return
        if life is None and error is None:  # what is left of the world at its end
            return
        self.strays.append(f"{context.get('message')}: {error!r}")

    def _asyncgen_finalizer_hook(self, agen: Any) -> None:
        """Let it go: only those of dead lives and of the end of a run are left unfinished."""

    def _process_events(self, _: Any) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody sleeps who would have to be woken."""


def _make_task(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
) -> asyncio.Task[Any]:
    task = NumberedTask(coroutine, loop=loop, **options)
    context = options.get("context")
    task.life = LIFE.get() if context is None else context.get(LIFE)
    return task


#: What the world runs in, whoever has set it in motion.
WORLD: Final = contextvars.Context()


def in_world(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Start something of the world's: it goes on when the process that caused it dies."""
    return loop.create_task(coroutine, context=WORLD.copy())


def reset_numbers() -> None:
    """Count tasks and futures from 0 again, for a new run."""
    global _numbers  # noqa: PLW0603
    _numbers = itertools.count()
