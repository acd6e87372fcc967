"""Daemon threads that make blocking calls for the event loop."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_Job = tuple["Future[Any]", "Callable[[], Any]"]


class DaemonThreads:
    """Runs callables on up to `count` daemon threads; each call starts one until all are running.

    With one thread, calls run in the order of submission. This is no executor because the interpreter joins
    an executor's threads at exit, and a long poll would delay that by up to 20 s. Daemon threads die with
    the process, whatever they wait for.
    """

    def __init__(self, name: str, *, count: int = 1) -> None:
        self._name = name
        self._count = count
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._started = 0

    async def run(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Return what `call` returns, or raise what it raises.

        Cancelling the wait also cancels a call that has not begun. A call in progress runs to its end, and
        its result or exception is discarded.
        """
        job: Future[R] = Future()
        self._jobs.put((job, partial(call, *args, **kwargs)))
        if self._started < self._count:
            self._started += 1
            threading.Thread(target=self._work, name=self._name, daemon=True).start()
        return await asyncio.wrap_future(job)

    def close(self) -> None:
        """End the threads after the calls submitted so far. Returns at once."""
        for _ in range(self._started):
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            _carry_out(*job)
            del job  # the thread must not keep the last result alive while it waits for the next job


def _carry_out(job: Future[Any], call: Callable[[], Any]) -> None:
    if not job.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001 - the waiting caller gets it; the thread lives on
        job.set_exception(error)
    else:
        job.set_result(result)
