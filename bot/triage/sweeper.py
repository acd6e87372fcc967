"""The Sweeper: hands out whatever falls due, when it falls due."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from bot.errors import StoreError
from bot.triage.model import Work, about
from bot.triage.rate_limits import ABREAST_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from bot.triage.model import Question
    from bot.triage.ports import Clock, Store
    from bot.triage.rate_limits import Gate

log = logging.getLogger(__name__)

#: Questions worked on at a time.
IN_PROGRESS_MAX = ABREAST_MAX

#: How many of a kind are worked on at a time: what fell due while the worker was down must not burst.
ABREAST = {Work.REDRAW: 32, Work.CARD: 8, Work.ASK: IN_PROGRESS_MAX, Work.REMIND: 8}

#: What people and the security team wait for goes before new questions, those before reminders.
ORDER = (Work.REDRAW, Work.CARD, Work.ASK, Work.REMIND)

#: What puts messages into conversations: none of it is begun while Slack has us wait.
GATED = frozenset({Work.ASK, Work.REMIND})

#: How long to leave the store alone after it failed.
STORE_PAUSE = timedelta(seconds=1)

#: How long to sleep if nothing is due: a clock that was set must not be noticed too late.
SLEEP_MAX = timedelta(seconds=60)


class Desk(Protocol):
    """Who does the work: `triage.service.TriageService`."""

    async def work_on(self, question: Question, work: Work) -> None:
        """Do what is due for a question."""

    async def expire(self, question: Question) -> None:
        """End a question whose deadline has come."""


class Sweeper:
    """Works on due questions, many at a time, no question twice at a time."""

    def __init__(self, store: Store, service: Desk, gate: Gate, *, clock: Clock) -> None:
        self._store = store
        self._service = service
        self._gate = gate
        self._clock = clock
        self._woken = asyncio.Event()
        self._in_progress: dict[str, asyncio.Task[None]] = {}
        self._abreast: Counter[Work] = Counter()

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

    async def keep_deadlines(self) -> None:
        """End what falls due, and do nothing else, until broken off: while Slack cannot be reached."""
        while True:
            with contextlib.suppress(StoreError):
                await self._expire(await self._store.overdue(self._clock(), limit=IN_PROGRESS_MAX))
            await asyncio.sleep(STORE_PAUSE.total_seconds())

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
        now, under_way = self._clock(), frozenset(self._in_progress)
        # All at once, for the store answers them together.
        overdue, next_due, found = await asyncio.gather(
            self._store.overdue(now, limit=IN_PROGRESS_MAX),
            self._store.next_due(now),
            asyncio.gather(*(self._find(work, now, under_way) for work in ORDER)),
        )
        await self._expire(overdue)
        for work, questions in zip(ORDER, found, strict=True):
            # One may have been begun as something else just now, and taken somebody's room.
            free = [question for question in questions if question.ref not in self._in_progress]
            self._start(free[: self._room_for(work, now)], work)
        # Whatever is due already is in progress or waits for room: either wakes this loop by ending.
        wake_at = [next_due, self._gate.opens_at(now), now + SLEEP_MAX]
        return min(moment for moment in wake_at if moment is not None) - now

    async def _expire(self, overdue: Sequence[Question]) -> None:
        await asyncio.gather(*(self._service.expire(question) for question in overdue))
        if len(overdue) == IN_PROGRESS_MAX:
            self.wake()

    async def _find(self, work: Work, now: datetime, under_way: frozenset[str]) -> Sequence[Question]:
        room = self._room_for(work, now)
        # Those in progress are still due in the store.
        return await self._store.due(work, now, limit=room, but=under_way) if room > 0 else ()

    def _room_for(self, work: Work, now: datetime) -> int:
        """Return how many of a kind may be begun now. It shrinks with each that is begun, of any kind."""
        under_way = len(self._in_progress)
        room = min(IN_PROGRESS_MAX - under_way, ABREAST[work] - self._abreast[work])
        if work not in GATED:
            return room
        return self._gate.room(now, room, under_way=sum(self._abreast[each] for each in GATED))

    def _start(self, questions: Sequence[Question], work: Work) -> None:
        for question in questions:
            task = asyncio.create_task(self._work(question, work), name=f"{work} {question.ref}")
            self._in_progress[question.ref] = task
            self._abreast[work] += 1

    async def _work(self, question: Question, work: Work) -> None:
        try:
            await self._service.work_on(question, work)
        except StoreError as error:
            log.error("work failed: %s", error, extra=about(question, "question.failed"))
            await asyncio.sleep(STORE_PAUSE.total_seconds())
        except Exception:
            log.exception("work failed", extra=about(question, "question.failed"))
            await asyncio.sleep(STORE_PAUSE.total_seconds())
        finally:
            del self._in_progress[question.ref]
            self._abreast[work] -= 1
            self.wake()
