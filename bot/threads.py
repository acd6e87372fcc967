"""Daemon threads that make blocking calls for the event loop."""

from __future__ import annotations

import asyncio
import queue
import threading
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")

_Job = tuple["Future[Any]", "Callable[[], Any]"]


class DaemonThreads:
    """Runs callables on `count` threads, of which each call starts one until all are there.

    With one thread they run in the order in which they were handed over. No executor: the interpreter joins
    those at exit, and a long poll would hold it for up to 20 s. These threads die with the process instead,
    whatever they wait for.
    """

    def __init__(self, name: str, *, count: int = 1) -> None:
        self._name = name
        self._count = count
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._started = 0

    async def run(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Return what the call returns, or raise what it raises.

        Cancelling the wait keeps a call that has not begun from ever beginning; one that has begun goes
        on to its end, and nobody learns of it.
        """
        job: Future[R] = Future()
        self._jobs.put((job, partial(call, *args, **kwargs)))
        if self._started < self._count:
            self._started += 1
            threading.Thread(target=self._work, name=self._name, daemon=True).start()
        return await asyncio.wrap_future(job)

    def close(self) -> None:
        """Let the threads end after the calls handed over so far, without waiting for them."""
        for _ in range(self._started):
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            _carry_out(*job)
            del job  # while it waits for the next one, the thread must not keep the last result alive


def _carry_out(job: Future[Any], call: Callable[[], Any]) -> None:
    if not job.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits; the thread lives on
        job.set_exception(error)
    else:
        job.set_result(result)
