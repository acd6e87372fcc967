"""A store in memory: small enough to be believed, and held to the same contract as the real ones."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from bot.errors import StoreError
from bot.triage import restore_rules
from bot.triage.asking_rules import row_key
from bot.triage.event_kinds import EventFacts, EventKind
from bot.triage.factor import Attempt, attempt_key
from bot.triage.inquiry import Inquiry
from bot.triage.listing import EVERYTHING, Counts, Filter
from bot.triage.model import (
    RESTORE_SETTLES,
    Change,
    FoundQuestion,
    OutboxRow,
    Question,
    Restore,
    State,
    Trail,
    TrailEvent,
    Work,
)
from bot.triage.outcomes import Reason
from bot.triage.places import Places, WaitingCount
from bot.triage.ports import Archive, Backlog, Outbox, SelectReport, Store, select_all
from bot.triage.statistics import AlertStatistics, Tally
from bot.triage.trail import make_event

APART = timedelta(seconds=5)

_NEVER = datetime.min.replace(tzinfo=UTC)


class AnyStore(Store, Outbox, Archive, Backlog, Protocol):
    """All that a store must be."""

    async def reset_after_restore(
        self, now: datetime, *, longest: timedelta | None = None, since: datetime | None = None
    ) -> None:
        """Make up for what a restored backup cannot know."""


class MemoryStore:
    """Keeps what a store must keep, in dictionaries. `fails` are raised by the next writes, one each."""

    head_trouble = ""

    def __init__(self) -> None:
        self.questions: dict[str, Question] = {}
        self.reports: dict[str, list[OutboxRow]] = defaultdict(list)
        self.events: dict[str, list[TrailEvent]] = defaultdict(list)
        self.fails: list[StoreError] = []
        self.restore: Restore | None = None
        self.conversations: dict[str, datetime] = {}
        self.found: dict[str, FoundQuestion] = {}
        self.attempts: dict[str, Attempt] = {}
        self.inquiries: dict[tuple[str, int], Inquiry] = {}
        self.places: dict[str, Places] = {}

    # Store

    async def add(self, changes: Sequence[Change]) -> Sequence[bool | StoreError]:
        if self.fails:
            return [self.fails.pop(0)] * len(changes)
        return [self._add(change) for change in changes]

    async def save(self, change: Change) -> bool:
        self._fail()
        stored = await self.load((change.before or change.question).ref)
        if stored is None or stored.version != change.question.version - 1:
            return False
        if change.attempt is not None and not self._put_attempt(change.attempt):
            return False
        if change.inquiry is not None and not self._put_inquiry(change.inquiry):
            return False
        if change.places is not None and not self._put_places(change.places):
            return False
        self._put(change)
        return True

    async def find_attempt(self, subject: str) -> Attempt | None:
        return self.attempts.get(attempt_key(subject))

    async def save_attempt(self, attempt: Attempt) -> bool:
        self._fail()
        return self._put_attempt(attempt)

    async def due_attempts(self, now: datetime, *, limit: int) -> Sequence[Attempt]:
        due = [each for each in self.attempts.values() if each.due_at and each.due_at <= now]
        return sorted(due, key=lambda each: each.due_at or _NEVER)[:limit]

    async def inquiries_of(self, ref: str) -> Sequence[Inquiry]:
        found = {number: each for (key, number), each in self.inquiries.items() if ref.startswith(key)}
        return [found[number] for number in sorted(found)]

    async def save_inquiry(self, inquiry: Inquiry) -> bool:
        self._fail()
        return self._put_inquiry(inquiry)

    async def due_inquiries(self, now: datetime, *, limit: int) -> Sequence[Inquiry]:
        due = [each for each in self.inquiries.values() if each.due_at and each.due_at <= now]
        return sorted(due, key=lambda each: each.due_at or _NEVER)[:limit]

    def _put_inquiry(self, inquiry: Inquiry) -> bool:
        stored = self.inquiries.get((inquiry.key, inquiry.number))
        if (stored.version if stored else 0) != inquiry.version - 1:
            return False
        self.inquiries[inquiry.key, inquiry.number] = inquiry
        return True

    def _put_attempt(self, attempt: Attempt) -> bool:
        stored = self.attempts.get(attempt.key)
        if (stored.version if stored else 0) != attempt.version - 1:
            return False
        self.attempts[attempt.key] = attempt
        return True

    async def find_places(self, person: str) -> Places | None:
        return self.places.get(person)

    async def save_places(self, places: Places) -> bool:
        self._fail()
        return self._put_places(places)

    async def due_places(self, now: datetime, *, limit: int) -> Sequence[Places]:
        due = [each for each in self.places.values() if each.due_at and each.due_at <= now]
        return sorted(due, key=lambda each: each.due_at or _NEVER)[:limit]

    async def first_waiting(self, person: str) -> Sequence[Question]:
        return list({each.request.alert: each for each in reversed(self._waiting(person))}.values())

    async def count_waiting(self, person: str, *, limit: int) -> WaitingCount:
        waiting = self._waiting(person)
        first = [each.identifier for each in waiting[:limit]]
        return WaitingCount(kinds=Counter(each.request.alert for each in waiting), first=first)

    def _waiting(self, person: str) -> list[Question]:
        found = [each for each in self.questions.values() if each.waits_for == person]
        return sorted(found, key=lambda each: each.accepted_at)

    def _put_places(self, places: Places) -> bool:
        stored = self.places.get(places.person)
        if (stored.version if stored else 0) != places.version - 1:
            return False
        self.places[places.person] = places
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

    async def load_by_key(self, key: str) -> Question | None:
        return next((each for each in self.questions.values() if each.ref.startswith(f"{key}.")), None)

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

    async def taken_by(self, slack_id: str, *, limit: int) -> Sequence[Question]:
        taken = [each for each in self.questions.values() if slack_id and each.taken_by == slack_id]
        return sorted(taken, key=lambda each: each.accepted_at, reverse=True)[:limit]

    async def probe(self) -> None:
        self._fail()

    async def remove_ended(self, before: datetime, *, limit: int) -> int:
        ended = [
            (each.settled_at, key)
            for key, each in self.questions.items()
            if each.settled_at and each.settled_at < before and self._is_at_rest(each, before)
        ]
        removed = [key for _, key in sorted(ended)[:limit]]
        kept = {key: each for key, each in self.attempts.items() if each.due_at or each.started_at >= before}
        self.attempts = kept
        self.places = {
            person: each for person, each in self.places.items() if each.due_at or each.touched_at >= before
        }
        for key in removed:
            identifier = self.questions.pop(key).request.identifier
            self.reports.pop(identifier, None)
            self.events.pop(identifier, None)
        self.inquiries = {place: each for place, each in self.inquiries.items() if place[0] not in removed}
        return len(removed)

    async def restored(self) -> Restore | None:
        return self.restore

    async def conversation_read_at(self, slack_id: str) -> datetime | None:
        return self.conversations.get(slack_id)

    async def keep_conversation(self, slack_id: str, found: Sequence[FoundQuestion], at: datetime) -> None:
        self._fail()
        self.found |= {each.ref.partition(".")[0]: each for each in found}
        self.conversations[slack_id] = at

    async def found_question(self, key: str) -> FoundQuestion | None:
        return self.found.get(key)

    async def reset_after_restore(
        self, now: datetime, *, longest: timedelta | None = None, since: datetime | None = None
    ) -> None:
        self.restore = restore_rules.restore_window(self.restore, since, now)
        for key, each in self.questions.items():
            since = each.asked_at or each.accepted_at
            span = each.deadline - since if each.deadline else None
            open_till = now + min(span, longest or span) if span else None
            self.questions[key] = replace(each, deadline=open_till)
            if each.state is State.ASKED and not each.standing and each.ts and not each.outdated:
                self.questions[key] = replace(
                    each, deadline=open_till, due_at=now + RESTORE_SETTLES, attempts=0
                )
            if each.state in (State.ACCEPTED, State.POSTING):
                doubted = replace(each, deadline=open_till, in_doubt_since=now, due_at=now, paced=False)
                self.questions[key] = doubted
            kept = self.questions[key]
            self.questions[key] = replace(kept, accepted_at=min(kept.accepted_at, now))
        for place, inquiry in self.inquiries.items():
            self.inquiries[place] = restore_rules.put_inquiry_in_doubt(inquiry, now) or inquiry
        for person, places in self.places.items():
            self.places[person] = restore_rules.put_line_in_doubt(places, now) or places

    # Outbox

    async def sendable(self, now: datetime, *, limit: int) -> Sequence[OutboxRow]:
        ready = [row for moment, row in self._ready() if moment <= now]
        return sorted(ready, key=lambda row: row.due_at)[:limit]

    async def next_sendable(self, now: datetime) -> datetime | None:
        return min((moment for moment, _ in self._ready() if moment > now), default=None)

    async def mark_sent(self, rows: Sequence[OutboxRow], at: datetime) -> None:
        for row in rows:
            self._replace(replace(row, sent_at=at))
            self._tell(row.identifier, EventKind.SENT, {"sequence": row.sequence}, at)

    async def mark_parked(self, rows: Sequence[OutboxRow], at: datetime) -> None:
        for row in rows:
            self._replace(replace(row, parked_at=at))
            self._tell(row.identifier, EventKind.PARKED, {"sequence": row.sequence}, at)

    # Archive

    async def list_questions(self, *, limit: int, only: Filter = EVERYTHING) -> Sequence[Question]:
        wanted = filter(only.matches, self.questions.values())
        return sorted(wanted, key=lambda each: each.accepted_at, reverse=True)[:limit]

    async def reports_of(self, identifier: str) -> Sequence[OutboxRow]:
        return list(self.reports.get(identifier, ()))

    async def identifiers_sent_since(self, since: datetime) -> Sequence[str]:
        return self._identifiers(
            {row.identifier for row in self._rows() if row.sent_at and row.sent_at >= since}
        )

    async def identifiers_unsent(self) -> Sequence[str]:
        return self._identifiers({row.identifier for row in self._rows() if row.sent_at is None})

    async def replay(
        self, identifiers: Sequence[str], now: datetime, *, select: SelectReport = select_all
    ) -> None:
        for identifier in identifiers:
            selected = [row for row in self.reports[identifier] if select(row)]
            for row in selected:
                again = replace(row, sent_at=None, parked_at=None, due_at=max(row.due_at, now))
                self._replace(replace(again, replays=row.replays + 1))
            if selected:
                self._tell(identifier, EventKind.REPLAYED, {"reports": len(selected)}, now)

    async def trail_of(self, identifier: str) -> Trail | None:
        question = await self.find(identifier)
        if question is None:
            return None
        events, reports = self.events.get(identifier, ()), self.reports.get(identifier, ())
        inquiries = await self.inquiries_of(question.ref)
        return Trail(question=question, events=list(events), reports=list(reports), inquiries=list(inquiries))

    async def trails(self, since: datetime, until: datetime) -> AsyncIterator[Trail]:
        for question in list(self.questions.values()):
            moments = [question.accepted_at, *(each.at for each in self.events.get(question.identifier, ()))]
            if any(since <= each < until for each in moments):
                trail = await self.trail_of(question.identifier)
                assert trail
                yield trail

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

    async def count(self) -> Counts:
        unsent = [row for row in self._rows() if row.sent_at is None]
        questions = self.questions.values()
        return Counts(
            open_questions=sum(not each.standing for each in questions),
            unsent_reports=sum(not row.parked_at for row in unsent),
            parked_reports=sum(bool(row.parked_at) for row in unsent),
            invalid_requests=sum(each.reason == Reason.INVALID_REQUEST for each in questions),
        )

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
        if change.event:
            self.events[change.event.identifier].append(change.event)

    def _tell(self, identifier: str, kind: EventKind, facts: EventFacts, at: datetime) -> None:
        question = self.questions[row_key(identifier)]
        event = make_event(
            identifier, question.version + 1, question.trail_hash, kind=kind, facts=facts, at=at
        )
        self.events[identifier].append(event)
        self.questions[row_key(identifier)] = replace(question, version=event.version, trail_hash=event.hash)

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
        rows = self.reports[row.identifier]
        rows[[each.sequence for each in rows].index(row.sequence)] = row

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
