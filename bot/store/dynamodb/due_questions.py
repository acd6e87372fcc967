"""Questions that are due: those that this worker holds, those that nobody does, and all deadlines."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from bot.store.dynamodb import schema
from bot.store.dynamodb.agenda import Held, Schedule
from bot.store.dynamodb.items import QUESTION, key_of, question_from, questions_of
from bot.store.dynamodb.leases import Leases
from bot.store.dynamodb.lookout import PAGE, is_stale, key_in, moment_in, until
from bot.triage.asking_rules import CLAIM_LEASE
from bot.triage.model import State, Work

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from bot.store.dynamodb.agenda import Key
    from bot.store.dynamodb.leases import Place
    from bot.store.dynamodb.table import Table
    from bot.store.dynamodb.values import Item
    from bot.triage.model import Question

#: Where a row has more than one thing to be done by now: under which of them the index has it.
_ORDER = (Work.REDRAW, Work.CARD, Work.ASK, Work.REMIND)

_NEVER = datetime.max.replace(tzinfo=UTC)

#: How often to try for more rows where other workers were faster.
_ROUNDS = 3

#: How far ahead a look goes, so that each deadline is known before it comes.
AHEAD = timedelta(seconds=30)

#: Deadlines that are kept in memory at the most.
_KEPT_MAX = 10_000


class DueQuestions:
    """What is to be done for questions, when, and by this worker."""

    def __init__(self, table: Table, *, random: Random) -> None:
        self._table = table
        self._leases: Leases[Question] = Leases(table, list(Work), _read, random=random)
        self._moments = {work: Schedule() for work in Work}
        self._deadlines = Deadlines(table)

    def place(self, question: Question, now: datetime) -> Place | None:
        """Return where a question is to stand in the index; None: there is nothing to be done for it."""
        next_work = next_work_of(question, now)
        if next_work is None:
            return None
        work, due_at = next_work
        return self._leases.place(work, (key_of(question), QUESTION), due_at, now)

    def note_written(self, question: Question, place: Place | None, now: datetime) -> None:
        """Take note of a row that this worker has written there."""
        self.forget(question)
        if place is not None and place.is_leased:
            self._hold(Held(row=question, hint=place.hint))
        self._deadlines.note(question, now)

    def note_read(self, question: Question) -> None:
        """Take note of a row as it is: what was held of an older version is its writer's now."""
        held = self._leases.held.get((key_of(question), QUESTION))
        if held is not None and held.row.version < question.version:
            self.forget(question)

    def forget(self, question: Question) -> None:
        """Let go of a question."""
        key = (key_of(question), QUESTION)
        self._leases.held.drop(key)
        for schedule in self._moments.values():
            schedule.put(key, None)

    async def due(self, work: Work, now: datetime, *, limit: int, but: frozenset[str]) -> Sequence[Question]:
        """See `triage.ports.Store`; the longest due first, but for what other workers hold."""
        self._release_lapsed(now)
        for _ in range(_ROUNDS):
            lacking = limit - len(self._held(work, now, limit, but))
            taken = await self._leases.take(work, now, lacking) if lacking > 0 else ()
            for held in taken:
                self._hold(held)
            if not taken:
                break
        return self._held(work, now, limit, but)

    async def overdue(self, now: datetime, *, limit: int) -> Sequence[Question]:
        """See `triage.ports.Store`."""
        while True:
            keys = await self._deadlines.passed(now, limit)
            rows = await questions_of(self._table, [key for key, _ in keys])
            self._deadlines.correct(keys, rows)
            overdue = [row for row in rows if row.deadline is not None and row.deadline <= now]
            if len(overdue) == len(keys):  # else some have changed, and others take their places
                return sorted(overdue, key=lambda row: row.deadline or now)

    def next_due(self, after: datetime) -> datetime | None:
        """Return the earliest moment after this one that is known of."""
        moments = [schedule.after(after) for schedule in self._moments.values()]
        return min((each for each in (*moments, self._deadlines.after(after)) if each), default=None)

    async def look(self, now: datetime) -> bool:
        """Look for what others have left, and which deadlines come; tell whether there is anything new."""
        return any(await asyncio.gather(self._leases.look(now), self._deadlines.look(now)))

    def _held(self, work: Work, now: datetime, limit: int, but: frozenset[str]) -> list[Question]:
        found = (self._leases.held.get(key) for key in self._moments[work].until(now))
        rows = (held.row for held in found if held is not None and held.row.ref not in but)
        return list(islice(rows, max(limit, 0)))

    def _hold(self, held: Held[Question]) -> None:
        self._leases.held.put(held)
        moments = _moments_of(held.row)
        for work, schedule in self._moments.items():
            schedule.put(held.hint.key, moments.get(work))

    def _release_lapsed(self, now: datetime) -> None:
        for key in self._leases.release_lapsed(now):
            for schedule in self._moments.values():
                schedule.put(key, None)


class Deadlines:
    """The deadlines of all workers' questions, as far as they are near.

    Nobody has a lease on one: the first save wins.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._moments = Schedule()
        self._looked_at: datetime | None = None
        self._may_be_more = False

    def note(self, question: Question, now: datetime) -> None:
        """Take note of a row that was just written."""
        self._set((key_of(question), QUESTION), question.deadline, now)

    async def look(self, now: datetime) -> bool:
        """Look which deadlines are near; tell whether there are any."""
        pages = await asyncio.gather(*(self._look_at(number, now) for number in range(schema.SHARDS)))
        for item in (item for page in pages for item in page):
            self._set(key_in(item), moment_in(item, schema.DEADLINE), now)
        self._may_be_more = any(len(page) == PAGE for page in pages)
        self._looked_at = now
        return any(pages)

    async def passed(self, now: datetime, limit: int) -> Sequence[Key]:
        """Return up to so many rows whose deadline seems to have come, the oldest first."""
        found = list(islice(self._moments.until(now), limit))
        if is_stale(self._looked_at, now) or (self._may_be_more and len(found) < limit):
            await self.look(now)
            found = list(islice(self._moments.until(now), limit))
        return found

    def correct(self, keys: Sequence[Key], rows: Sequence[Question]) -> None:
        """Note what has become of these, of which `rows` are left."""
        deadlines = {key_of(row): row.deadline for row in rows}
        for key in keys:
            self._moments.put(key, deadlines.get(key[0]))

    def after(self, moment: datetime) -> datetime | None:
        """Return the next deadline that is known of."""
        return self._moments.after(moment)

    def _set(self, key: Key, deadline: datetime | None, now: datetime) -> None:
        is_near = deadline is not None and deadline <= now + AHEAD and len(self._moments) < _KEPT_MAX
        self._moments.put(key, deadline if is_near else None)

    async def _look_at(self, shard: int, now: datetime) -> list[Item]:
        return await self._table.first(PAGE, **until(schema.DEADLINES, str(shard), now + AHEAD))


def next_work_of(question: Question, now: datetime) -> tuple[Work, datetime] | None:
    """Return under which work a question is to stand in the index, and since when that is due."""
    moments = _moments_of(question)
    if not moments:
        return None
    work = min(_ORDER, key=lambda each: max(moments.get(each, _NEVER), now))
    # Others need not wait for a claim to grow old: it is as old as their patience when the lease is over.
    due_at = question.in_doubt_since if _is_claim(question) else None
    return work, due_at or moments[work]


def _read(item: Item) -> Question:
    """Return the row that was taken. A claim that somebody else made and did not follow up is due now."""
    question = question_from(item)
    return replace(question, due_at=question.in_doubt_since) if _is_claim(question) else question


def _moments_of(question: Question) -> dict[Work, datetime]:
    moments = {Work.CARD: question.card_due_at}
    if question.work is not None:
        moments[question.work] = question.due_at
    return {work: moment for work, moment in moments.items() if moment is not None}


def _is_claim(question: Question) -> bool:
    """Whether nothing has been written since the claim: its post is under way, or whoever posts is dead."""
    doubt = question.in_doubt_since
    return question.state is State.POSTING and doubt is not None and question.due_at == doubt + CLAIM_LEASE
