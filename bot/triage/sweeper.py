"""The Sweeper: starts work when it falls due."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from bot.errors import StoreError
from bot.triage.log_events import log_event
from bot.triage.model import Work
from bot.triage.rate_limits import CONCURRENCY_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from bot.triage.model import Question
    from bot.triage.ports import Clock, Store
    from bot.triage.rate_limits import ConcurrencyLimiter

log = logging.getLogger(__name__)

#: The most questions in progress at a time.
IN_PROGRESS_MAX = CONCURRENCY_MAX

#: The most of each kind at a time: what fell due while the worker was down must not be sent in one burst.
CONCURRENCY = {Work.REDRAW: 32, Work.CARD: 8, Work.ASK: IN_PROGRESS_MAX, Work.REMIND: 8}

#: First what people and the security team are waiting for, then new questions, then reminders.
ORDER = (Work.REDRAW, Work.CARD, Work.ASK, Work.REMIND)

#: Work that posts messages: none of it is started while Slack asks us to wait.
LIMITED = frozenset({Work.ASK, Work.REMIND})

#: How long to wait after the store failed.
STORE_PAUSE = timedelta(seconds=1)

#: The longest sleep, so that a changed system clock is noticed in time.
SLEEP_MAX = timedelta(seconds=60)


class QuestionHandler(Protocol):
    """What does the work: `triage.service.TriageService`."""

    async def work_on(self, question: Question, work: Work) -> None:
        """Do the work that is due for a question. Raises `StoreError`."""

    async def expire(self, question: Question) -> None:
        """End a question whose deadline has passed. Raises `StoreError`."""


class Sweeper:
    """Works on due questions concurrently, but never twice at the same time on one question."""

    def __init__(
        self, store: Store, service: QuestionHandler, limiter: ConcurrencyLimiter, *, clock: Clock
    ) -> None:
        self._store = store
        self._service = service
        self._limiter = limiter
        self._clock = clock
        self._wake_event = asyncio.Event()
        self._in_progress: dict[str, asyncio.Task[None]] = {}
        self._running: Counter[Work] = Counter()

    def wake(self) -> None:
        """Check again now, because something new may be due."""
        self._wake_event.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then finish what is in progress. Failures are logged; raises nothing."""
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(lambda _: self.wake())
        try:
            await self._work_until(stop)
        finally:
            stopping.cancel()
        await asyncio.gather(*self._in_progress.values())

    async def keep_deadlines(self) -> None:
        """Only end questions whose deadline has passed, until cancelled: for while Slack is unreachable."""
        while True:
            with contextlib.suppress(StoreError):
                await self._expire(await self._store.overdue(self._clock(), limit=IN_PROGRESS_MAX))
            await asyncio.sleep(STORE_PAUSE.total_seconds())

    async def _work_until(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self._wake_event.clear()
            sleep = STORE_PAUSE
            try:
                sleep = await self._start_due()
            except StoreError as error:
                log_event(log.error, "sweep.failed", "sweep failed: %s", error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake_event.wait(), sleep.total_seconds())

    async def _start_due(self) -> timedelta:
        """Start work on what is due, within the limits; return how long to sleep."""
        now, under_way = self._clock(), frozenset(self._in_progress)
        # Concurrently, because the store batches them.
        overdue, next_due, found = await asyncio.gather(
            self._store.overdue(now, limit=IN_PROGRESS_MAX),
            self._store.next_due(now),
            asyncio.gather(*(self._find(work, now, under_way) for work in ORDER)),
        )
        await self._expire(overdue)
        for work, questions in zip(ORDER, found, strict=True):
            # A question may just have been started for other work, and that may have used up the room.
            free = [question for question in questions if question.ref not in self._in_progress]
            self._start(free[: self._count_free_slots(work, now)], work)
        # What is due by now is in progress or waits for room; any end of work wakes this loop.
        wake_at = [next_due, self._limiter.opens_at(now), now + SLEEP_MAX]
        return min(moment for moment in wake_at if moment is not None) - now

    async def _expire(self, overdue: Sequence[Question]) -> None:
        await asyncio.gather(*(self._service.expire(question) for question in overdue))
        if len(overdue) == IN_PROGRESS_MAX:
            self.wake()

    async def _find(self, work: Work, now: datetime, under_way: frozenset[str]) -> Sequence[Question]:
        room = self._count_free_slots(work, now)
        # The store still lists those in progress as due.
        return await self._store.due(work, now, limit=room, exclude=under_way) if room > 0 else ()

    def _count_free_slots(self, work: Work, now: datetime) -> int:
        """Return how many of a kind may start now. Each start, of any kind, reduces it."""
        under_way = len(self._in_progress)
        room = min(IN_PROGRESS_MAX - under_way, CONCURRENCY[work] - self._running[work])
        if work not in LIMITED:
            return room
        return self._limiter.count_free_slots(
            now, room, under_way=sum(self._running[each] for each in LIMITED)
        )

    def _start(self, questions: Sequence[Question], work: Work) -> None:
        for question in questions:
            task = asyncio.create_task(self._work(question, work), name=f"{work} {question.ref}")
            self._in_progress[question.ref] = task
            self._running[work] += 1

    async def _work(self, question: Question, work: Work) -> None:
        try:
            await self._service.work_on(question, work)
        except StoreError as error:
            log_event(
                log.error, "question.failed", "question failed: %s", error, identifier=question.identifier
            )
            await asyncio.sleep(STORE_PAUSE.total_seconds())
        except Exception:  # noqa: BLE001 - it is logged, with its traceback
            log_event(log.exception, "question.failed", "question failed", identifier=question.identifier)
            await asyncio.sleep(STORE_PAUSE.total_seconds())
        finally:
            del self._in_progress[question.ref]
            self._running[work] -= 1
            self.wake()
