"""The Sweeper: hands out whatever falls due, when it falls due."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from bot.errors import StoreError
from bot.triage.events import about
from bot.triage.model import Work
from bot.triage.pacing import ABREAST_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from bot.triage.model import Question
    from bot.triage.pacing import Gate
    from bot.triage.ports import Clock, Store

log = logging.getLogger(__name__)

#: Questions worked on at a time.
IN_PROGRESS_MAX = ABREAST_MAX

#: How many of a kind are worked on at a time: what fell due while the worker was down must not burst.
ABREAST = {Work.REDRAW: 32, Work.CARD: 8, Work.ASK: IN_PROGRESS_MAX, Work.REMIND: 8}

#: What people and the security team wait for goes before new questions, those before reminders.
ORDER = (Work.REDRAW, Work.CARD, Work.ASK, Work.REMIND)

#: What puts messages into conversations: none of it is begun while Slack has us wait.
GATED = frozenset({Work.ASK, Work.REMIND})

#: Questions to be asked that a look brings beyond those that there is room for: a look for each is dear.
SPARE = IN_PROGRESS_MAX

#: How long they may wait for room before the store is looked at anew.
FRESH = timedelta(seconds=0.5)

#: How long to leave the store alone after a look: many calls are answered with one.
LOOK_INTERVAL = timedelta(milliseconds=20)

#: How long to leave the store alone after it failed.
STORE_PAUSE = timedelta(seconds=1)

#: How long to sleep if nothing is due: a clock that was set must not be noticed too late.
SLEEP_MAX = timedelta(seconds=60)


Found = list[tuple["Question", Work]]


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
        self._ended = asyncio.Event()
        self._in_progress: dict[str, asyncio.Task[None]] = {}
        self._abreast: Counter[Work] = Counter()

    def wake(self) -> None:
        """Look again now: something may be due that was not."""
        self._woken.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then finish what is under way."""
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(self._cut_short)
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

    def _cut_short(self, _: object) -> None:
        self._ended.set()
        self.wake()

    async def _work_until(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self._woken.clear()
            sleep = STORE_PAUSE
            try:
                found, sleep = await self._look()
                await self._begin(found, stop)
            except StoreError as error:
                log.error(
                    "cannot look for what is due: %s", error, extra={"event": "sweep.failed", "fields": {}}
                )
            await asyncio.sleep(LOOK_INTERVAL.total_seconds())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), sleep.total_seconds())

    async def _look(self) -> tuple[Found, timedelta]:
        """Find what is due and not under way, in order; return it, and how long to sleep once it is begun."""
        now, under_way = self._clock(), frozenset(self._in_progress)
        # All at once, for the store answers them together.
        overdue, next_due, due = await asyncio.gather(
            self._store.overdue(now, limit=IN_PROGRESS_MAX),
            self._store.next_due(now),
            asyncio.gather(*(self._due(work, now, under_way) for work in ORDER)),
        )
        await self._expire(overdue)
        found: dict[str, tuple[Question, Work]] = {}
        for work, questions in zip(ORDER, due, strict=True):
            # What is due for two things has them done one after the other.
            found |= {each.ref: (each, work) for each in questions if each.ref not in found}
        # Whatever is due already is in progress or waits for room: either wakes this loop by ending.
        wake_at = [next_due, self._gate.opens_at(now), now + SLEEP_MAX]
        return list(found.values()), min(moment for moment in wake_at if moment is not None) - now

    async def _begin(self, found: Found, stop: asyncio.Event) -> None:
        """Begin what was found, as room comes, while it is fresh: what is left then is looked for anew."""
        fresh_until = self._clock() + FRESH
        for question, work in found:
            if not await self._room_comes(work, fresh_until, stop):
                break
            self._start(question, work)
        if self._clock() >= fresh_until:
            self.wake()

    async def _room_comes(self, work: Work, until: datetime, stop: asyncio.Event) -> bool:
        """Wait until one more of this kind may be begun. False: not by then, or not before another look."""
        while not stop.is_set() and self._room_for(work, now := self._clock()) <= 0:
            if now >= until or not self._in_progress:
                return False
            self._ended.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout((until - now).total_seconds()):
                    await self._ended.wait()
        return not stop.is_set()

    async def _expire(self, overdue: Sequence[Question]) -> None:
        await asyncio.gather(*(self._service.expire(question) for question in overdue))
        if len(overdue) == IN_PROGRESS_MAX:
            self.wake()

    async def _due(self, work: Work, now: datetime, under_way: frozenset[str]) -> Sequence[Question]:
        room = self._room_for(work, now)
        if room <= 0:
            return ()
        wanted = room + (SPARE if work is Work.ASK else 0)
        # Those in progress are still due in the store: ask for as many more.
        due = await self._store.due(work, now, limit=wanted + len(under_way))
        return [question for question in due if question.ref not in under_way][:wanted]

    def _room_for(self, work: Work, now: datetime) -> int:
        """Return how many of a kind may be begun now. It shrinks with each that is begun, of any kind."""
        under_way = len(self._in_progress)
        room = min(IN_PROGRESS_MAX - under_way, ABREAST[work] - self._abreast[work])
        if work not in GATED:
            return room
        return self._gate.room(now, room, under_way=sum(self._abreast[each] for each in GATED))

    def _start(self, question: Question, work: Work) -> None:
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
            self._ended.set()
            self.wake()
