"""Questions that are due: those leased by this worker, those leased by none, and all deadlines."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from random import Random

from bot.clock import Clock
from bot.store.dynamodb import schema
from bot.store.dynamodb.items import QUESTION, key_of, questions_of, read_question
from bot.store.dynamodb.leases import (
    PAGE,
    IndexPlace,
    Key,
    LeasedRow,
    Leases,
    Schedule,
    is_stale,
    query_until,
    read_key,
    read_moment,
)
from bot.store.dynamodb.table import Item, Table
from bot.store.records.damage import skip_damaged
from bot.triage.asking_rules import CLAIM_LEASE, row_key
from bot.triage.model import Question, State, TrailEvent, Work

#: If several kinds of work are due for a row now, the index lists it under the first of these.
_ORDER = (Work.REDRAW, Work.CARD, Work.ASK, Work.REMIND)

_NEVER = datetime.max.replace(tzinfo=UTC)

#: Attempts to get more rows when other workers were faster.
_ROUNDS = 3

#: How far ahead the index is read, so that each deadline is known before it passes.
AHEAD = timedelta(seconds=30)

#: The most deadlines kept in memory.
_KEPT_MAX = 10_000


class DueQuestions:
    """The work on questions that this worker is to do, and when. `StoreError` if DynamoDB fails."""

    def __init__(self, table: Table, *, clock: Clock, random: Random) -> None:
        self._table = table
        self._leases: Leases[Question] = Leases(table, list(Work), self._read, clock=clock, random=random)
        self._moments = {work: Schedule[datetime]() for work in Work}
        self._deadlines = Deadlines(table)

    def place(self, question: Question, now: datetime) -> IndexPlace | None:
        """Return a question's place in the index; None if it needs no work."""
        next_work = find_next_work(question, now)
        if next_work is None:
            return None
        work, due_at = next_work
        return self._leases.place(work, (key_of(question), QUESTION), due_at, now)

    def note_written(self, question: Question, place: IndexPlace | None, now: datetime) -> None:
        """Record that this worker has written a question at this place."""
        self.forget(question)
        if place is not None and place.is_leased:
            self._keep(LeasedRow(row=question, hint=place.hint, ends=place.ends))
        self._deadlines.note(question, now)

    def note_read(self, question: Question) -> None:
        """Record a question as read: if this worker held an older version, the later writer has the lease."""
        held = self._leases.held.get((key_of(question), QUESTION))
        if held is not None and held.row.version < question.version:
            self.forget(question)

    def note_event(self, event: TrailEvent) -> None:
        """Record that this worker has added an event to a question, and changed nothing else in it."""
        held = self._leases.held.get((row_key(event.identifier), QUESTION))
        if held is not None and held.row.version == event.version - 1:
            row = replace(held.row, version=event.version, trail_hash=event.hash)
            self._leases.held.put(replace(held, row=row))

    def forget(self, question: Question) -> None:
        """Drop a question's lease and its moments."""
        key = (key_of(question), QUESTION)
        self._leases.held.drop(key)
        for schedule in self._moments.values():
            schedule.put(key, None)

    async def due(
        self, work: Work, now: datetime, *, limit: int, exclude: frozenset[str]
    ) -> Sequence[Question]:
        """See `triage.ports.Store`; leaves out what other workers hold."""
        self._release_lapsed(now)
        for _ in range(_ROUNDS):
            missing = limit - len(self._list_leased(work, now, limit, exclude))
            taken = await self._leases.take(work, now, missing) if missing > 0 else ()
            for held in taken:
                self._keep(held)
            if not taken:
                break
        return self._list_leased(work, now, limit, exclude)

    async def overdue(self, now: datetime, *, limit: int) -> Sequence[Question]:
        """See `triage.ports.Store`."""
        for _ in range(_ROUNDS):
            keys = await self._deadlines.find_passed(now, limit)
            rows = await questions_of(self._table, [key for key, _ in keys])
            self._deadlines.correct(keys, rows)
            overdue = [row for row in rows if row.deadline is not None and row.deadline <= now]
            if len(overdue) == len(keys):
                break
            # Some have changed, or cannot be read: others take their places.
        return sorted(overdue, key=lambda row: row.deadline or now)

    def next_due(self, after: datetime) -> datetime | None:
        """Return the earliest known moment after this one; None if there is none."""
        moments = [schedule.after(after) for schedule in self._moments.values()]
        return min((each for each in (*moments, self._deadlines.after(after)) if each), default=None)

    async def look(self, now: datetime) -> bool:
        """Read the index for work that others left and for coming deadlines; return whether there is any."""
        return any(await asyncio.gather(self._leases.look(now), self._deadlines.look(now)))

    def _list_leased(self, work: Work, now: datetime, limit: int, exclude: frozenset[str]) -> list[Question]:
        found = (self._leases.held.get(key) for key in self._moments[work].until(now))
        rows = (held.row for held in found if held is not None and held.row.ref not in exclude)
        return list(islice(rows, max(limit, 0)))

    async def _read(self, item: Item) -> Question:
        """Return the leased row. A claim that another worker made and did not follow up is due now."""
        question = await read_question(self._table, item)
        return replace(question, due_at=question.in_doubt_since) if _is_claim(question) else question

    def _keep(self, held: LeasedRow[Question]) -> None:
        self._leases.held.put(held)
        moments = _list_moments(held.row)
        for work, schedule in self._moments.items():
            schedule.put(held.hint.key, moments.get(work))

    def _release_lapsed(self, now: datetime) -> None:
        for key in self._leases.release_lapsed(now):
            for schedule in self._moments.values():
                schedule.put(key, None)


class Deadlines:
    """The deadlines of all workers' questions within the next `AHEAD`.

    Deadlines are not leased: the first save wins.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._moments = Schedule[datetime]()
        self._looked_at: datetime | None = None
        self._may_be_more = False

    def note(self, question: Question, now: datetime) -> None:
        """Record the deadline of a question that was just written."""
        self._set((key_of(question), QUESTION), question.deadline, now)

    async def look(self, now: datetime) -> bool:
        """Read the near deadlines from the index; return whether there are any."""
        pages = await asyncio.gather(*(self._look_at(number, now) for number in range(schema.SHARDS)))
        for key, deadline in skip_damaged(_read_deadline, chain.from_iterable(pages)):
            self._set(key, deadline, now)
        self._may_be_more = any(len(page) == PAGE for page in pages)
        self._looked_at = now
        return any(pages)

    async def find_passed(self, now: datetime, limit: int) -> Sequence[Key]:
        """Return up to `limit` keys whose deadline seems to have passed, earliest first."""
        found = list(islice(self._moments.until(now), limit))
        if is_stale(self._looked_at, now) or (self._may_be_more and len(found) < limit):
            await self.look(now)
            found = list(islice(self._moments.until(now), limit))
        return found

    def correct(self, keys: Sequence[Key], rows: Sequence[Question]) -> None:
        """Record the current deadlines of `keys`, of which `rows` still exist."""
        deadlines = {key_of(row): row.deadline for row in rows}
        for key in keys:
            self._moments.put(key, deadlines.get(key[0]))

    def after(self, moment: datetime) -> datetime | None:
        """Return the first known deadline after this moment; None if there is none."""
        return self._moments.after(moment)

    def _set(self, key: Key, deadline: datetime | None, now: datetime) -> None:
        is_near = deadline is not None and deadline <= now + AHEAD and len(self._moments) < _KEPT_MAX
        self._moments.put(key, deadline if is_near else None)

    async def _look_at(self, shard: int, now: datetime) -> list[Item]:
        return await self._table.first(PAGE, **query_until(schema.DEADLINES, str(shard), now + AHEAD))


def _read_deadline(item: Item) -> tuple[Key, datetime]:
    return read_key(item), read_moment(item, schema.DEADLINE)


def find_next_work(question: Question, now: datetime) -> tuple[Work, datetime] | None:
    """Return the work that the index lists a question under, and since when it is due; None if none is."""
    moments = _list_moments(question)
    if not moments:
        return None
    work = min(_ORDER, key=lambda each: max(moments.get(each, _NEVER), now))
    # Others need not wait for a claim to age: it is old enough by the time the lease expires.
    due_at = question.in_doubt_since if _is_claim(question) else None
    return work, due_at or moments[work]


def _list_moments(question: Question) -> dict[Work, datetime]:
    moments = {Work.CARD: question.card_due_at}
    if question.work is not None:
        moments[question.work] = question.due_at
    return {work: moment for work, moment in moments.items() if moment is not None}


def _is_claim(question: Question) -> bool:
    """Whether nothing was written since the claim: the post is in progress, or its worker has died."""
    doubt = question.in_doubt_since
    return question.state is State.POSTING and doubt is not None and question.due_at == doubt + CLAIM_LEASE
