"""Daemon threads that make blocking calls for the event loop, several at a time."""

from __future__ import annotations

import asyncio
import queue
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

R = TypeVar("R")


class CallingThreads:
    """Runs calls on up to `count` threads, which are started as they are needed.

    No executor: the interpreter joins those at exit, and one call that hangs would hold it up. These threads
    die with the process instead.
    """

    def __init__(self, name: str, count: int) -> None:
        self._name = name
        self._count = count
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._started = 0
        self._under_way = 0

    async def run(self, call: Callable[[], R]) -> R:
        """Return what the call returns, or raise what it raises. Cancelling does not break a call off."""
        job: Future[R] = Future()
        self._under_way += 1
        job.add_done_callback(self._note_end)
        self._jobs.put((job, call))
        if self._started < min(self._count, self._under_way):
            self._started += 1
            threading.Thread(target=self._work, name=f"{self._name}-{self._started}", daemon=True).start()
        return await asyncio.wrap_future(job)

    def close(self) -> None:
        """Let the threads end after the calls handed over so far, without waiting for them."""
        for _ in range(self._started):
            self._jobs.put(None)

    def _note_end(self, _: Future[Any]) -> None:
        self._under_way -= 1

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
