"""The Sweeper: hands out whatever falls due, when it falls due."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from bot.errors import StoreError
from bot.triage.events import about

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from bot.triage.model import Question
    from bot.triage.ports import Clock, Store

log = logging.getLogger(__name__)

#: Questions worked on at a time.
IN_PROGRESS_MAX = 128

#: How long to leave the store alone after it failed.
STORE_PAUSE = timedelta(seconds=1)

#: How long to sleep if nothing is due: a clock that was set must not be noticed too late.
SLEEP_MAX = timedelta(seconds=60)


class Sweeper:
    """Works on due questions, many at a time, no question twice at a time."""

    def __init__(self, store: Store, work_on: Callable[[Question], Awaitable[None]], *, clock: Clock) -> None:
        self._store = store
        self._work_on = work_on
        self._clock = clock
        self._woken = asyncio.Event()
        self._in_progress: dict[str, asyncio.Task[None]] = {}

    def wake(self) -> None:
        """Look again now: something may be due that was not."""
        self._woken.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then finish what is under way."""
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(lambda _: self.wake())
        try:
            await self._work_until(stop)
        finally:
            stopping.cancel()
        await asyncio.gather(*self._in_progress.values())

    async def _work_until(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self._woken.clear()
            sleep = STORE_PAUSE
            try:
                sleep = await self._start_due()
            except StoreError as error:
                log.error(
                    "cannot look for what is due: %s", error, extra={"event": "sweep.failed", "fields": {}}
                )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), sleep.total_seconds())

    async def _start_due(self) -> timedelta:
        """Start work on what is due, as far as there is room; return how long to sleep then."""
        now = self._clock()
        room = IN_PROGRESS_MAX - len(self._in_progress)
        if room > 0:
            # Those in progress are still due in the store: ask for as many more.
            due = await self._store.due(now, limit=IN_PROGRESS_MAX)
            self._start([each for each in due if each.ref not in self._in_progress][:room])
        next_due = await self._store.next_due(now)
        # Whatever is due already is in progress or waits for room: either wakes this loop by ending.
        return SLEEP_MAX if next_due is None else min(SLEEP_MAX, next_due - now)

    def _start(self, questions: Sequence[Question]) -> None:
        for question in questions:
            task = asyncio.create_task(self._work(question), name=f"work {question.ref}")
            self._in_progress[question.ref] = task

    async def _work(self, question: Question) -> None:
        try:
            await self._work_on(question)
        except StoreError as error:
            log.error("work failed: %s", error, extra=about(question, "question.failed"))
            await asyncio.sleep(STORE_PAUSE.total_seconds())
        except Exception:
            log.exception("work failed", extra=about(question, "question.failed"))
            await asyncio.sleep(STORE_PAUSE.total_seconds())
        finally:
            del self._in_progress[question.ref]
            self.wake()
