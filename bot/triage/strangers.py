"""Questions for strangers, who must be looked up in Slack first, wait here for their turn.

No task waits here: a waiting question is a row in the store, which is due again later, and an entry in the
queue, which is only an order. So strangers take no slots from known people, do not hide them from the
sweeper, and are found again after a restart.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import islice

from bot.errors import StoreError
from bot.triage import asking_rules
from bot.triage.model import Question
from bot.triage.people_finder import Finder
from bot.triage.people_queue import QUEUE_MAX, LookUpQueue, Waiting
from bot.triage.recorder import Recorder


class Strangers:
    """Decides who is looked up next, and keeps the questions that can continue after a look-up."""

    def __init__(self, recorder: Recorder, finder: Finder, *, jitter: Callable[[], float]) -> None:
        self._recorder = recorder
        self._finder = finder
        self._jitter = jitter
        self._queue = LookUpQueue()
        self._under_way: dict[
            str, dict[str, Waiting]
        ] = {}  #: what else waits for a look-up, by what is looked up
        self._found: dict[str, Waiting] = {}  #: what waited, and whose people are known now, by ref
        self._missing: dict[str, Waiting] = {}  #: likewise, but there is nobody

    def is_stranger(self, question: Question) -> bool:
        """Whether a question's person must be looked up before anything else can be done."""
        return asking_rules.needs_person(question) and not self._finder.knows(self._finder.wanted(question))

    def is_for_nobody(self, question: Question) -> bool:
        """Whether it is known that there is nobody to ask, so that a question can be ended without a call."""
        return asking_rules.needs_person(question) and self._finder.is_missing(self._finder.wanted(question))

    def opens_at(self, now: timedelta) -> timedelta | None:
        """Return when look-ups may start again; None if they may now, or if none is waiting.

        `now` and the result are `Clock.monotonic`.
        """
        return self._finder.limiter.opens_at(now) if self._queue else None

    def count_free_slots(self, now: timedelta, *, under_way: int) -> int:
        """Return how many of the waiting look-ups may start, with this many under way."""
        return self._finder.limiter.count_free_slots(now, len(self._queue), under_way=under_way)

    async def call(self, due: Sequence[Question], *, under_way: int) -> Sequence[Question]:
        """Queue strangers' questions; return those whose people are to be looked up now, one per person.

        All others of `due` are postponed. At most as many are returned as Slack allows with this many
        look-ups `under_way`; call `finish` for each. Raises `StoreError`; then nothing is returned.
        """
        for question in due:
            self._wait(self._waiting(question))
        slots = self.count_free_slots(self._recorder.clock.monotonic(), under_way=under_way)
        groups = [rows for _ in range(slots) if (rows := self._queue.take())]
        try:
            called = await self._load_first(groups, {question.ref: question for question in due})
            refs = {question.ref for question in called}
            await asyncio.gather(*(self._postpone(each) for each in due if each.ref not in refs))
        except StoreError:
            for row in (row for rows in groups for row in rows):
                self._wait(row)
            raise
        looked_up = {self._finder.wanted(question) for question in called}
        for first, *others in groups:
            if first.wanted in looked_up:
                self._under_way[first.wanted] = {row.ref: row for row in others}
            else:  # the first has been asked or has ended meanwhile, or its person is known by now
                self._release(first.wanted, others)
        return called

    def finish(self, question: Question) -> None:
        """Release what waited for the look-up of a question's person, however it ended."""
        wanted = self._finder.wanted(question)
        self._release(wanted, self._under_way.pop(wanted, {}).values())

    def keep(self, question: Question) -> None:
        """Take back a question that was called or released and could not be started."""
        self._release(self._finder.wanted(question), [self._waiting(question)])

    async def keep_unchanged(self, question: Question) -> None:
        """Take back a question that was postponed and is still due as late as before its work began.

        So it is after a look-up, if another writer was faster, and if the store failed: what waits here would
        be forgotten until it is due. Raises nothing.
        """
        if question.due_at is None or question.due_at <= self._recorder.clock():
            return  # the sweeper meets it again
        with contextlib.suppress(StoreError):
            stored = await self._recorder.store.load(question.ref)
            if stored is None or stored.due_at != question.due_at:
                return
        self.keep(question)

    async def take_released(self, *, found: int, missing: int) -> Sequence[Question]:
        """Return questions that waited: up to `found` that can be asked, up to `missing` for nobody.

        Raises `StoreError`: then none is taken.
        """
        refs = [*islice(self._found, max(found, 0)), *islice(self._missing, max(missing, 0))]
        loaded = await asyncio.gather(*(self._recorder.store.load(ref) for ref in refs))
        for ref in refs:
            self._found.pop(ref, None)
            self._missing.pop(ref, None)
        return [each for each in loaded if each is not None and asking_rules.needs_person(each)]

    def _waiting(self, question: Question) -> Waiting:
        wanted, label = self._finder.wanted(question), question.request.alert
        return Waiting(ref=question.ref, wanted=wanted, label=label, since=question.accepted_at)

    def _wait(self, row: Waiting) -> None:
        if row.wanted in self._under_way:
            _keep(self._under_way[row.wanted], row)
        else:
            self._queue.add(row, first=self._finder.has_met(row.wanted))

    def _release(self, wanted: str, rows: Iterable[Waiting]) -> None:
        """Release rows whose person is known by now, or known not to exist; let the others wait again."""
        for row in rows:
            if not self._finder.knows(wanted):
                self._wait(row)
            else:
                _keep(self._missing if self._finder.is_missing(wanted) else self._found, row)

    async def _load_first(
        self, groups: Sequence[Sequence[Waiting]], due: Mapping[str, Question]
    ) -> list[Question]:
        """Return the first question of each group that still needs a look-up."""
        refs = [rows[0].ref for rows in groups]
        unread = [ref for ref in refs if ref not in due]
        loaded = await asyncio.gather(*(self._recorder.store.load(ref) for ref in unread))
        known = {**due, **dict(zip(unread, loaded, strict=True))}
        firsts = [known[ref] for ref in refs]
        return [question for question in firsts if question is not None and self.is_stranger(question)]

    async def _postpone(self, question: Question) -> None:
        now, jitter = self._recorder.clock(), self._jitter()
        await self._recorder.decide(question, lambda row: asking_rules.wait_in_line(row, now, jitter=jitter))


def _keep(rows: dict[str, Waiting], row: Waiting) -> None:
    """Add a row, unless there are too many: then it is due again later, as the store has it."""
    if len(rows) < QUEUE_MAX:
        rows[row.ref] = row
