"""The Sweeper: starts work when it falls due."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import IntEnum, auto
from typing import Protocol

from bot.backoff import pause, when_set
from bot.clock import Clock
from bot.errors import StoreError
from bot.triage.log_events import log_event, log_question
from bot.triage.model import Question, Work
from bot.triage.people_finder import LOOK_UPS_MAX
from bot.triage.ports import Store
from bot.triage.rate_limits import CONCURRENCY_MAX, ConcurrencyLimiter
from bot.triage.strangers import Strangers

log = logging.getLogger(__name__)

#: The most questions in progress at a time, not counting look-ups of people.
IN_PROGRESS_MAX = CONCURRENCY_MAX


class Lane(IntEnum):  # not an `Enum`, whose hash is no function of C
    """A kind of work on a question. Each lane has a limit of its own, so that none holds up another."""

    REDRAW = auto()
    CARD = auto()
    POST = auto()  #: ask somebody who is known
    REMIND = auto()
    LOOK = auto()  #: find out in Slack whether it was asked
    FIND = auto()  #: find out in Slack whom it is for
    END = auto()  #: end it, because there is nobody to ask


#: The most questions in each lane: what fell due while the worker was down must not be sent in one burst.
CONCURRENCY = {
    Lane.REDRAW: 32,
    Lane.CARD: 8,
    Lane.POST: IN_PROGRESS_MAX,
    Lane.REMIND: 8,
    Lane.LOOK: 32,
    Lane.FIND: LOOK_UPS_MAX,
    Lane.END: 32,
}

#: What people and the security team are waiting for comes first, then new questions, then reminders.
ORDER = (Work.REDRAW, Work.CARD, Work.ASK, Work.REMIND)

#: The lanes of all work except asking, which has several.
LANES = {Work.REDRAW: Lane.REDRAW, Work.CARD: Lane.CARD, Work.REMIND: Lane.REMIND}

#: The service's work in each lane; FIND and END have a method of their own.
WORK_OF = {**{lane: work for work, lane in LANES.items()}, Lane.POST: Work.ASK, Lane.LOOK: Work.ASK}

#: The lanes of questions that may have waited in line.
STRANGERS_LANES = frozenset({Lane.POST, Lane.FIND, Lane.END})

#: The lanes that post messages: nothing starts in them while Slack asks to wait.
LIMITED = frozenset({Lane.POST, Lane.REMIND})

#: How long to wait for the first answer that says what time it is; `ClockWatch` ends that wait, too.
CLOCK_PAUSE = timedelta(seconds=1)

#: How long to wait after the store failed.
STORE_PAUSE = timedelta(seconds=1)

#: The least time between two sweeps: what comes meanwhile shares the next one. A sweep costs as much as a
#: tenth of a question, however little is due.
SWEEPS_APART = timedelta(milliseconds=10)

#: The longest sleep. `ClockWatch` wakes the sweeper when the time jumps.
SLEEP_MAX = timedelta(seconds=60)


class QuestionHandler(Protocol):
    """The methods of `triage.service.TriageService` that the sweeper calls."""

    async def work_on(self, question: Question, work: Work) -> None:
        """Do the work that is due for a question. Raises `StoreError`."""

    async def find_person(self, question: Question) -> None:
        """Find out whom a question is for; end it if there is nobody. Raises `StoreError`."""

    async def expire(self, question: Question) -> None:
        """End a question whose deadline has passed. Raises `StoreError`."""


class Sweeper:
    """Works on due questions concurrently, but never twice at the same time on one question."""

    def __init__(
        self,
        store: Store,
        service: QuestionHandler,
        limiter: ConcurrencyLimiter,
        strangers: Strangers,
        *,
        clock: Clock,
    ) -> None:
        self._store = store
        self._service = service
        self._limiter = limiter
        self._strangers = strangers
        self._clock = clock
        self._wake_event = asyncio.Event()
        self._in_progress: dict[str, asyncio.Task[None]] = {}
        self._running: Counter[Lane] = Counter()
        self._met_strangers = False

    def wake(self) -> None:
        """Check again now, because something new may be due."""
        self._wake_event.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then finish what is in progress. Failures are logged; raises nothing."""
        with when_set(stop, self.wake):
            await self._work_until(stop)
        await asyncio.gather(*self._in_progress.values())

    async def keep_deadlines(self) -> None:
        """Only end questions whose deadline has passed, until cancelled: used while Slack is unreachable."""
        while True:
            with contextlib.suppress(StoreError):
                await self._expire(await self._read_overdue(self._clock()))
            await asyncio.sleep(STORE_PAUSE.total_seconds())

    async def _work_until(self, stop: asyncio.Event) -> None:
        has_failed = False
        while not stop.is_set():
            self._wake_event.clear()
            sleep = STORE_PAUSE
            try:
                sleep = await self._start_due()
                if has_failed:
                    log_event(log.info, "sweep.recovered", "the store says again what is due")
                has_failed = False
            except StoreError as error:
                has_failed = True
                log_event(log.error, "sweep.failed", "sweep failed: %s", error)
            await asyncio.sleep(SWEEPS_APART.total_seconds())
            await pause(self._wake_event, seconds=(sleep - SWEEPS_APART).total_seconds())

    async def _start_due(self) -> timedelta:
        """Start work on what is due, within the limits; return how long to sleep.

        Until the time is known it starts nothing: what a wrong clock puts off may be due in a month.
        """
        if not self._clock.is_known:
            return CLOCK_PAUSE
        now, steady, under_way = self._clock(), self._clock.monotonic(), frozenset(self._in_progress)
        # Concurrently, because the store batches them.
        overdue, next_due, found = await asyncio.gather(
            self._read_overdue(now),
            self._store.next_due(now),
            asyncio.gather(*(self._read(work, now, under_way) for work in ORDER)),
        )
        await self._expire(overdue)
        for work, questions in zip(ORDER, found, strict=True):
            if work is Work.ASK:
                await self._start_asking(questions, steady)
            else:
                self._start(questions, LANES[work], steady)
        # Everything due is in progress or waits for a free slot; whenever work ends, this loop wakes up.
        opens_at = [self._limiter.opens_at(steady), self._strangers.opens_at(steady)]
        waits = [moment - steady for moment in opens_at if moment is not None]
        return min([*waits, SLEEP_MAX, *([next_due - now] if next_due else [])])

    async def _read_overdue(self, now: datetime) -> Sequence[Question]:
        """Return the questions whose deadline has passed; none before the time is known."""
        return await self._store.overdue(now, limit=IN_PROGRESS_MAX) if self._clock.is_known else ()

    async def _start_asking(self, due: Sequence[Question], now: timedelta) -> None:
        """Start questions for known people. Look strangers up or postpone them, so that others can be
        read.
        """
        released = await self._strangers.take_released(
            found=self._count_free_slots(Lane.POST, now), missing=self._count_free_slots(Lane.END, now)
        )
        questions = {question.ref: question for question in (*due, *released)}
        not_due = {question.ref for question in released}
        strangers = [each for each in questions.values() if self._strangers.is_stranger(each)]
        for each in strangers:
            questions.pop(each.ref)
        for each in questions.values():
            if not self._start([each], self._lane(each), now) and each.ref in not_due:
                self._strangers.keep(each)
        self._met_strangers = bool(strangers)
        await self._find_people([each for each in strangers if each.ref not in self._in_progress], now)

    async def _find_people(self, strangers: Sequence[Question], now: timedelta) -> None:
        """Start the next look-ups, of these strangers or of others, and let the rest wait."""
        called = await self._strangers.call(strangers, under_way=self._running[Lane.FIND])
        for question in called:
            if not self._start([question], Lane.FIND, now):
                self._strangers.finish(question)
                self._strangers.keep(question)
        if strangers or self._strangers.count_free_slots(now, under_way=self._running[Lane.FIND]):
            self.wake()

    def _lane(self, question: Question) -> Lane:
        """Return the lane of a question that must be asked and whose person is known."""
        if self._strangers.is_for_nobody(question):
            return Lane.END
        posts = question.in_doubt_since is None and not question.waits_for
        return Lane.POST if posts else Lane.LOOK

    async def _expire(self, overdue: Sequence[Question]) -> None:
        await asyncio.gather(*(self._service.expire(question) for question in overdue))
        if len(overdue) == IN_PROGRESS_MAX:
            self.wake()

    async def _read(self, work: Work, now: datetime, under_way: frozenset[str]) -> Sequence[Question]:
        steady = self._clock.monotonic()
        room = self._count_free_slots(LANES.get(work, Lane.POST), steady)
        if work is Work.ASK and (self._met_strangers or self._limiter.opens_at(steady)):
            room = IN_PROGRESS_MAX  # strangers and rows in doubt can still be worked on
        # The store still lists those in progress as due.
        return await self._store.due(work, now, limit=room, exclude=under_way) if room > 0 else ()

    def _count_free_slots(self, lane: Lane, now: timedelta) -> int:
        """Return how many may start in a lane now. Each start, in any lane but `FIND`, reduces it."""
        room = CONCURRENCY[lane] - self._running[lane]
        if lane is not Lane.FIND:
            others = len(self._in_progress) - self._running[Lane.FIND]
            room = min(room, IN_PROGRESS_MAX - others)
        if lane not in LIMITED:
            return room
        return self._limiter.count_free_slots(
            now, room, under_way=sum(self._running[each] for each in LIMITED)
        )

    def _start(self, questions: Sequence[Question], lane: Lane, now: timedelta) -> int:
        """Start as many as the lane takes, except those in progress; return how many."""
        started = 0
        for question in questions:
            # A question may just have been started for other work, and that may have used up the room.
            if question.ref not in self._in_progress and self._count_free_slots(lane, now) > 0:
                task = asyncio.create_task(self._work(question, lane), name=f"{lane.name} {question.ref}")
                self._in_progress[question.ref] = task
                self._running[lane] += 1
                started += 1
        return started

    async def _work(self, question: Question, lane: Lane) -> None:
        try:
            if lane in (Lane.FIND, Lane.END):
                await self._service.find_person(question)
            else:
                await self._service.work_on(question, WORK_OF[lane])
        except StoreError as error:
            log_question(log.error, "question.failed", question, "question failed: %s", error)
            await asyncio.sleep(STORE_PAUSE.total_seconds())
        except Exception:  # noqa: BLE001 - it is logged, with its traceback
            log_question(log.exception, "question.failed", question)
            await asyncio.sleep(STORE_PAUSE.total_seconds())
        finally:
            if lane in STRANGERS_LANES:
                await self._strangers.keep_unchanged(question)
            if lane is Lane.FIND:
                self._strangers.finish(question)
            del self._in_progress[question.ref]
            self._running[lane] -= 1
            self.wake()
