"""An event loop whose clock is virtual: as soon as nobody has anything left to do, it is later."""

# What asyncio's loop is made of has no public types.
# mypy: disable-error-code="override,assignment,attr-defined,no-any-return,arg-type"

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
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


class _Handle:
    """A callback that is to run in a context: what asyncio needs of an `asyncio.TimerHandle`, and no more."""

    __slots__ = ("_args", "_callback", "_cancelled", "_context", "_when")

    def __init__(self, callback: Any, args: Any, context: contextvars.Context, when: float = 0.0) -> None:
        self._callback = callback
        self._args = args
        self._context = context
        self._when = when
        self._cancelled = False

    def cancel(self) -> None:
        """Leave it where it is: it is dropped when its turn comes."""
        self._cancelled = True
        self._callback = self._args = None

    def cancelled(self) -> bool:
        return self._cancelled

    def when(self) -> float:
        return self._when


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs what is ready first in, first out, as asyncio promises. Nothing in it waits for a socket.

    What belongs to a process that has died does not run any more. What belongs to a machine that is suspended
    waits, and its timers run later by as long.
    """

    _ready: deque[_Handle]
    _scheduled: list[tuple[float, int, _Handle]]  #: a heap: when by the true time, and in which order
    _stopping: bool

    get_debug = bool  # False, and asked with each task and future

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0  #: seconds that have really passed
        self.steps = 0
        self.run_thread: Callable[[Callable[[], Any]], asyncio.Future[Any]] = lambda _: self.create_future()
        self.on_step_limit: Callable[[Life], None] = lambda _: None
        self._numbers = itertools.count()
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
    ) -> _Handle:
        handle = _Handle(callback, args, contextvars.copy_context() if context is None else context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> _Handle:
        life = LIFE.get()
        true = when if life is None else life.machine.true(when)
        timer = _Handle(callback, args, contextvars.copy_context() if context is None else context, true)
        heapq.heappush(self._scheduled, (true, next(self._numbers), timer))
        return timer

    def call_in_world(self, delay: float, callback: Callable[..., object], *args: Any) -> None:
        """Call something of the world's after this many true seconds, from any context."""
        handle = _Handle(callback, args, WORLD.copy(), self.now + delay)
        if delay:
            heapq.heappush(self._scheduled, (handle._when, next(self._numbers), handle))
        else:
            self._ready.append(handle)

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> _Handle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def create_task(self, coroutine: Coroutine[Any, Any, T], **options: Any) -> asyncio.Task[T]:
        task = NumberedTask(coroutine, loop=self, **options)
        context = options.get("context")
        life = LIFE.get() if context is None else context.get(LIFE)
        if life is not None:
            life.note_task(task)
        task.life = life
        return task

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        assert executor is None
        return self.run_thread(lambda: func(*args))

    def add_signal_handler(self, sig: int, callback: Any, *args: Any) -> None:
        life = LIFE.get()
        assert life is not None
        context = contextvars.copy_context()
        life.on_signal[sig] = lambda: self.call_soon(callback, *args, context=context)

    def resume(self, life: Life, seconds: float) -> None:
        """Resume a process whose machine was suspended for this long."""
        held, life.held = life.held or deque(), None
        life.machine.suspended += life.machine.boottime(seconds)
        for number, (when, order, timer) in enumerate(self._scheduled):
            if timer._context.get(LIFE) is life:
                timer._when += seconds
                self._scheduled[number] = (when + seconds, order, timer)
        heapq.heapify(self._scheduled)
        self._ready.extend(held)

    def _run_once(self) -> None:
        ready, scheduled = self._ready, self._scheduled
        while not self._stopping:
            if ready:
                handle = ready.popleft()
                if handle._cancelled:
                    continue
            else:
                if not scheduled:
                    raise RuntimeError("everybody waits for somebody else")
                when, _, handle = heapq.heappop(scheduled)
                if handle._cancelled:
                    continue
                # In whole microseconds, as the program counts: nobody is early by half of one.
                self.now = max(self.now, ceil(when * 1e6 - 0.01) / 1e6)
            life = handle._context.get(LIFE)
            if life is not None and not self._may_run(life, handle):
                continue
            self.steps += 1
            try:
                handle._context.run(handle._callback, *handle._args)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:  # noqa: BLE001 - as asyncio does
                self.call_exception_handler({"message": f"in {handle._callback!r}", "exception": error})

    def _may_run(self, life: Life, handle: _Handle) -> bool:
        """Count a step of a process; return whether it can take it."""
        if life.is_over:
            return False
        if life.held is not None:
            life.held.append(handle)
            return False
        life.steps += 1
        if life.steps == life.dies_after:
            self.on_step_limit(life)
            return False
        return True

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


#: The context in which the world runs, from wherever it is called.
WORLD: Final = contextvars.Context()


def in_world(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Start something of the world's: it goes on when the process that caused it dies."""
    return loop.create_task(coroutine, context=WORLD.copy())


def reset_numbers() -> None:
    """Count tasks and futures from 0 again, for a new run."""
    global _numbers  # noqa: PLW0603
    _numbers = itertools.count()
