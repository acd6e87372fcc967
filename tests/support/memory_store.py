"""A store in memory: small enough to be believed, and held to the same contract as the real ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from bot.errors import StoreError
from bot.triage.asking_rules import row_key
from bot.triage.model import Change, OutboxRow, Question, State, Work
from bot.triage.ports import Archive, Backlog, Outbox, Store
from bot.triage.statistics import AlertStatistics, Tally

APART = timedelta(seconds=5)

_NEVER = datetime.min.replace(tzinfo=UTC)


class AnyStore(Store, Outbox, Archive, Backlog, Protocol):
    """All that a store must be."""

    async def reset_after_restore(self, now: datetime, *, longest: timedelta | None = None) -> None:
        """Make up for what a restored backup cannot know."""


class MemoryStore:
    """Keeps what a store must keep, in dictionaries. `fails` are raised by the next writes, one each."""

    head_trouble = ""

    def __init__(self) -> None:
        self.questions: dict[str, Question] = {}
        self.reports: dict[str, list[OutboxRow]] = defaultdict(list)
        self.fails: list[StoreError] = []

    # Store

    async def add(self, changes: Sequence[Change]) -> Sequence[bool | StoreError]:
        if self.fails:
            return [self.fails.pop(0)] * len(changes)
        return [self._add(change) for change in changes]

    async def save(self, change: Change) -> bool:
        self._fail()
        stored = await self.load(change.question.ref)
        if stored is None or stored.version != change.question.version - 1:
            return False
        self._put(change)
        return True

    async def load(self, ref: str) -> Question | None:
        question = self.questions.get(ref.partition(".")[0])
        return question if question and question.ref == ref else None

    async def find(self, identifier: str) -> Question | None:
        return self.questions.get(row_key(identifier))

    async def due(
        self, work: Work, now: datetime, *, limit: int, exclude: frozenset[str] = frozenset()
    ) -> Sequence[Question]:
        found = [(_due_at(each, work), each) for each in self.questions.values() if each.ref not in exclude]
        return _oldest_first(found, now)[:limit]

    async def overdue(self, now: datetime, *, limit: int) -> Sequence[Question]:
        return _oldest_first([(each.deadline, each) for each in self.questions.values()], now)[:limit]

    async def next_due(self, after: datetime) -> datetime | None:
        due = [_due_at(each, work) for each in self.questions.values() for work in Work]
        deadlines = [each.deadline for each in self.questions.values()]
        return min((moment for moment in due + deadlines if moment and moment > after), default=None)

    async def open_for(self, slack_id: str, *, limit: int) -> Sequence[Question]:
        asked = [each for each in self.questions.values() if each.slack_id == slack_id]
        found = [each for each in asked if each.state is State.ASKED and each.answered_at is None]
        return sorted(found, key=lambda each: each.asked_at or _NEVER, reverse=True)[:limit]

    async def asked_as(self, other_slack_id: str) -> str:
        found = (each for each in self.questions.values() if each.other_slack_id == other_slack_id)
        return next((each.slack_id for each in found if other_slack_id), "")

    async def answered_by(self, slack_id: str, since: datetime, *, limit: int) -> Sequence[Question]:
        asked = [each for each in self.questions.values() if each.slack_id == slack_id]
        found = [each for each in asked if each.answered_at and each.answered_at >= since]
        return sorted(found, key=lambda each: each.answered_at or _NEVER, reverse=True)[:limit]

    async def probe(self) -> None:
        self._fail()

    async def remove_ended(self, before: datetime, *, limit: int) -> int:
        ended = [
            (each.settled_at, key)
            for key, each in self.questions.items()
            if each.settled_at and each.settled_at < before and self._is_at_rest(each, before)
        ]
        removed = [key for _, key in sorted(ended)[:limit]]
        for key in removed:
            del self.reports[self.questions.pop(key).request.identifier]
        return len(removed)

    async def reset_after_restore(self, now: datetime, *, longest: timedelta | None = None) -> None:
        for key, each in self.questions.items():
            since = each.asked_at or each.accepted_at
            later = now - since
            span = each.deadline - since if each.deadline else None
            open_till = now + min(span, longest or span) if span else None
            due_at = each.due_at + later if each.due_at and each.work is Work.REMIND else each.due_at
            self.questions[key] = replace(each, deadline=open_till, due_at=due_at)
            if each.state in (State.ACCEPTED, State.POSTING):
                doubted = replace(each, deadline=open_till, in_doubt_since=now, due_at=now, paced=False)
                self.questions[key] = doubted

    # Outbox

    async def sendable(self, now: datetime, *, limit: int) -> Sequence[OutboxRow]:
        ready = [row for moment, row in self._ready() if moment <= now]
        return sorted(ready, key=lambda row: row.due_at)[:limit]

    async def next_sendable(self, now: datetime) -> datetime | None:
        return min((moment for moment, _ in self._ready() if moment > now), default=None)

    async def mark_sent(self, rows: Sequence[OutboxRow], at: datetime) -> None:
        for row in rows:
            self._replace(replace(row, sent_at=at))

    async def mark_parked(self, rows: Sequence[OutboxRow], at: datetime) -> None:
        for row in rows:
            self._replace(replace(row, parked_at=at))

    # Archive

    async def list_questions(self, *, limit: int) -> Sequence[Question]:
        return sorted(self.questions.values(), key=lambda each: each.accepted_at, reverse=True)[:limit]

    async def reports_of(self, identifier: str) -> Sequence[OutboxRow]:
        return list(self.reports.get(identifier, ()))

    async def identifiers_sent_since(self, since: datetime) -> Sequence[str]:
        return self._identifiers(
            {row.identifier for row in self._rows() if row.sent_at and row.sent_at >= since}
        )

    async def identifiers_unsent(self) -> Sequence[str]:
        return self._identifiers({row.identifier for row in self._rows() if row.sent_at is None})

    async def replay(self, identifiers: Sequence[str], now: datetime) -> None:
        for identifier in identifiers:
            self.reports[identifier] = [
                replace(
                    row, sent_at=None, parked_at=None, due_at=max(row.due_at, now), replays=row.replays + 1
                )
                for row in self.reports[identifier]
            ]

    async def copy_to(self, path: Path) -> None:
        raise StoreError(f"a store in memory has no file that could be copied to {path}")

    def _fail(self) -> None:
        if self.fails:
            raise self.fails.pop(0)

    async def statistics(self, since: datetime) -> Sequence[AlertStatistics]:
        tally = Tally()
        for each in self.questions.values():
            if each.asked_at and each.asked_at >= since:
                taken = each.first_answered_at - each.asked_at if each.first_answered_at else None
                tally.add(each.request.alert, standing=each.standing, answer_time=taken)
        return tally.result()

    async def oldest_open(self) -> datetime | None:
        return min((each.accepted_at for each in self.questions.values() if not each.standing), default=None)

    async def oldest_unsent(self) -> datetime | None:
        waiting = [row.due_at for row in self._rows() if row.sent_at is None and row.parked_at is None]
        return min(waiting, default=None)

    def _add(self, change: Change) -> bool | StoreError:
        request = change.question.request
        try:
            request.summary.encode(), request.alert.encode()
        except UnicodeEncodeError as error:
            return StoreError(f"cannot be stored: {error}")
        if change.question.ref.partition(".")[0] in self.questions:
            return False
        self._put(change)
        return True

    def _put(self, change: Change) -> None:
        self.questions[change.question.ref.partition(".")[0]] = change.question
        if change.report:
            self.reports[change.report.identifier].append(change.report)

    def _is_at_rest(self, question: Question, before: datetime) -> bool:
        rows = self.reports.get(question.request.identifier, ())
        all_sent = all(row.sent_at and row.sent_at < before for row in rows)
        nothing_left = question.work is None and question.deadline is None and question.card_due_at is None
        return nothing_left and all_sent

    def _rows(self) -> list[OutboxRow]:
        return [row for rows in self.reports.values() for row in rows]

    def _identifiers(self, wanted: set[str]) -> list[str]:
        oldest_first = sorted(self.questions.values(), key=lambda each: each.accepted_at)
        return [each.request.identifier for each in oldest_first if each.request.identifier in wanted]

    def _replace(self, row: OutboxRow) -> None:
        self.reports[row.identifier][row.sequence] = row

    def _ready(self) -> list[tuple[datetime, OutboxRow]]:
        """Each first report that waits, and when it may go."""
        ready = []
        for rows in list(self.reports.values()):
            waiting = [row for row in rows if row.sent_at is None and row.parked_at is None]
            if waiting:
                sent = [row.sent_at + APART for row in rows if row.sent_at]
                ready.append((max([waiting[0].due_at, *sent]), waiting[0]))
        return ready


def _oldest_first(found: Sequence[tuple[datetime | None, Question]], now: datetime) -> list[Question]:
    """Return those of which the moment has come, in the order of their moments."""
    due = [(moment, each) for moment, each in found if moment and moment <= now]
    return [each for _, each in sorted(due, key=lambda pair: pair[0])]


def _due_at(question: Question, work: Work) -> datetime | None:
    """Return when this kind of work is due for a question; None: there is none of it."""
    if work is Work.CARD:
        return question.card_due_at
    return question.due_at if question.work is work else None
