"""Simulated threads: each is a greenlet, and where it would block, others continue.

So the program's own threads, queues and blocking calls run as they are. When one starts or goes on is drawn.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, TypeVar

import greenlet

from .machines import LIFE, Died, Life
from .virtual_loop import VirtualLoop, in_world

T = TypeVar("T")


class Threads:
    """All threads of a run."""

    def __init__(self, loop: VirtualLoop, random: Random) -> None:
        self._loop = loop
        self._random = random
        loop.run_thread = self.run
        self._running: dict[int, tuple[greenlet.greenlet, contextvars.Context]] = {}
        self._count = 0

    def start(self, target: Callable[[], Any]) -> None:
        """Run something in a new thread."""
        self._begin(target, contextvars.copy_context())

    def run(self, call: Callable[[], Any]) -> asyncio.Future[Any]:
        """Run a call in a new thread; return a future with its result."""
        result = self._loop.create_future()
        self._begin(lambda: _settle(result, call), contextvars.copy_context())
        return result

    def sleep(self, seconds: float) -> None:
        """Make a thread wait for this long."""
        self._block(lambda wake: self._loop.call_later(seconds, wake))

    def wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        """Block a thread until the world has done this; return the result, or raise what that raises."""
        task: list[asyncio.Task[T]] = []

        def begin(wake: Callable[[], None]) -> None:
            task.append(in_world(self._loop, work))
            context = contextvars.copy_context()
            task[0].add_done_callback(lambda _: wake(), context=context)

        self._block(begin)
        return task[0].result()

    def wait_in(self, waiting: deque[Callable[[], None]]) -> None:
        """Block a thread until somebody calls what it puts into `waiting`."""
        self._block(waiting.append)

    def end(self, life: Life) -> None:
        """Run the threads of a dead life to their end."""
        for number, (thread, context) in list(self._running.items()):
            if context.get(LIFE) is life:
                del self._running[number]
                if thread:
                    thread.throw(Died)

    def _begin(self, target: Callable[[], Any], context: contextvars.Context) -> None:
        thread = greenlet.greenlet(_until_death(target, context.get(LIFE)))
        thread.gr_context = context.copy()
        self._running = {number: each for number, each in self._running.items() if not each[0].dead}
        self._count += 1
        self._running[self._count] = thread, context
        self._loop.call_later(self._draw(), thread.switch, context=context)

    def _block(self, until: Callable[[Callable[[], None]], object]) -> None:
        thread, life = greenlet.getcurrent(), LIFE.get()
        if life is not None:
            life.require_alive()
        assert thread.parent is not None, "the event loop blocks"
        context = contextvars.copy_context()

        def wake() -> None:
            self._loop.call_later(self._draw(), thread.switch, context=context)

        until(wake)
        thread.parent.switch()
        if life is not None:
            life.require_alive()

    def _draw(self) -> float:
        return self._random.choice((0.0, 0.0, 0.0005, 0.003, self._random.random() * 0.05))


class VirtualQueue:
    """What the program takes for a `queue.SimpleQueue`."""

    threads: Threads

    def __init__(self) -> None:
        self._items: deque[Any] = deque()
        self._waiting: deque[Callable[[], None]] = deque()

    def put(self, item: Any) -> None:
        self._items.append(item)
        if self._waiting:
            self._waiting.popleft()()

    def get(self) -> Any:
        while not self._items:
            self.threads.wait_in(self._waiting)
        return self._items.popleft()

    def empty(self) -> bool:
        return not self._items


class VirtualLocal:
    """What the program takes for a `threading.local`: each thread has a context of its own."""

    def __init__(self) -> None:
        vars(self)["values"] = contextvars.ContextVar[dict[str, Any]]("values")

    def __getattr__(self, name: str) -> Any:
        try:
            return vars(self)["values"].get({})[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        values = vars(self)["values"]
        values.set({**values.get({}), name: value})


def _until_death(target: Callable[[], Any], life: Life | None) -> Callable[[], None]:
    def run() -> None:
        try:
            target()
        except (Died, greenlet.GreenletExit):
            if life is not None and not life.is_over:
                life.die()

    return run


def _settle(result: asyncio.Future[Any], call: Callable[[], Any]) -> None:
    try:
        value = call()
    except Exception as error:  # noqa: BLE001 - who waits gets it
        if not result.done():
            result.set_exception(error)
    else:
        if not result.done():
            result.set_result(value)
