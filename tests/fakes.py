"""What stands behind the triage's ports in its tests: a store in memory, a Slack that does as it is told."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from bot.errors import StoreError
from bot.triage.model import Confidence, Person, Posted, TriageRequest
from bot.triage.ports import Archive, Backlog, Outbox, Store
from bot.triage.rules import row_key
from bot.triage.statistics import Tally

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from bot.triage.model import Change, OutboxRow, Question
    from bot.triage.statistics import AlertStatistics

T = TypeVar("T")

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
ADA = Person(slack_id="U0ADA", slack_name="ada")
ADDRESS = "ada@example.com"
APART = timedelta(seconds=5)


def a_request(
    identifier: str = "9Zo02m4B7gIfixq3c4Xh", *, user: str = ADDRESS, summary: str = "Codes were made."
) -> TriageRequest:
    return TriageRequest(
        identifier=identifier,
        alert="duo_bypass_codes_generated",
        summary=summary,
        user=user,
        confidence=Confidence.LOWEST,
    )


@dataclass(kw_only=True)
class SteppedClock:
    """Stands still until it is moved."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now

    def advance(self, *, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class AnyStore(Store, Outbox, Archive, Backlog, Protocol):
    """All that a store must be."""


class MemoryStore:
    """Keeps what a store must keep, in dictionaries. `fails` are raised by the next saves, one each."""

    def __init__(self) -> None:
        self.questions: dict[str, Question] = {}
        self.reports: dict[str, list[OutboxRow]] = defaultdict(list)
        self.fails: list[StoreError] = []

    async def add(self, changes: Sequence[Change]) -> Sequence[bool | StoreError]:
        return [self._add(change) for change in changes]

    async def save(self, change: Change) -> bool:
        if self.fails:
            raise self.fails.pop(0)
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

    async def due(self, now: datetime, *, limit: int) -> Sequence[Question]:
        due = [(each.due_at, each) for each in self.questions.values() if each.due_at and each.due_at <= now]
        return [each for _, each in sorted(due, key=lambda pair: pair[0])][:limit]

    async def next_due(self, after: datetime) -> datetime | None:
        moments = [each.due_at for each in self.questions.values() if each.due_at and each.due_at > after]
        return min(moments, default=None)

    async def sendable(self, now: datetime, *, limit: int) -> Sequence[OutboxRow]:
        ready = [row for moment, row in self._ready() if moment <= now]
        return sorted(ready, key=lambda row: row.due_at)[:limit]

    async def next_sendable(self, now: datetime) -> datetime | None:
        return min((moment for moment, _ in self._ready() if moment > now), default=None)

    async def mark_sent(self, rows: Sequence[OutboxRow], at: datetime) -> None:
        for row in rows:
            self.reports[row.identifier][row.sequence] = replace(row, sent_at=at)

    async def mark_parked(self, rows: Sequence[OutboxRow], at: datetime) -> None:
        for row in rows:
            self.reports[row.identifier][row.sequence] = replace(row, parked_at=at)

    async def list_questions(self, *, limit: int) -> Sequence[Question]:
        return sorted(self.questions.values(), key=lambda each: each.accepted_at, reverse=True)[:limit]

    async def reports_of(self, identifier: str) -> Sequence[OutboxRow]:
        return list(self.reports[identifier])

    async def statistics(self, since: datetime) -> Sequence[AlertStatistics]:
        tally = Tally()
        for each in self.questions.values():
            if each.asked_at and each.asked_at >= since:
                taken = each.first_answered_at - each.asked_at if each.first_answered_at else None
                tally.add(each.request.alert, standing=each.standing, taken=taken)
        return tally.result()

    async def oldest_open(self) -> datetime | None:
        return min((each.accepted_at for each in self.questions.values() if not each.standing), default=None)

    async def oldest_unsent(self) -> datetime | None:
        rows = [row for reports in self.reports.values() for row in reports]
        waiting = [row.due_at for row in rows if row.sent_at is None and row.parked_at is None]
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

    def _ready(self) -> list[tuple[datetime, OutboxRow]]:
        """Each first report that waits, and when it may go."""
        ready = []
        for rows in list(self.reports.values()):
            waiting = [row for row in rows if row.sent_at is None and row.parked_at is None]
            if waiting:
                sent = [row.sent_at + APART for row in rows if row.sent_at]
                ready.append((max([waiting[0].due_at, *sent]), waiting[0]))
        return ready


@dataclass(kw_only=True)
class ScriptedMessenger:
    """Does what the lists say, one entry a call: raises an error, returns anything else; else succeeds."""

    clock: Callable[[], datetime]
    people: dict[str, Person | Exception] = field(default_factory=lambda: {ADDRESS: ADA})
    can_look_up: bool = True
    post_ends: list[Exception | Posted] = field(default_factory=list)
    look_ends: list[Exception | Posted | None] = field(default_factory=list)
    redraw_ends: list[Exception | None] = field(default_factory=list)
    tell_ends: list[Exception | None] = field(default_factory=list)
    before: dict[Literal["find", "post", "redraw"], Callable[[Question | None], Awaitable[None]]] = field(
        default_factory=dict
    )  #: run inside a call, before it ends
    posts: list[tuple[datetime, Question]] = field(default_factory=list)
    looks: list[datetime] = field(default_factory=list)
    redraws: list[tuple[Question, str]] = field(default_factory=list)
    told: list[tuple[str, str]] = field(default_factory=list)

    async def find_person(self, email: str) -> Person:
        await self._before("find", None)
        return _play(self.people[email])

    async def post(self, question: Question) -> Posted:
        self.posts.append((self.clock(), question))
        await self._before("post", question)
        place = Posted(channel="D0ADA", ts=f"17640000{len(self.posts):02}.000100")
        return _play(self.post_ends.pop(0) if self.post_ends else place)

    async def look_up(self, question: Question) -> Posted | None:
        assert question.slack_id
        self.looks.append(self.clock())
        return _play(self.look_ends.pop(0) if self.look_ends else None)

    async def redraw(self, question: Question, *, response_url: str = "") -> None:
        self.redraws.append((question, response_url))
        await self._before("redraw", question)
        _play(self.redraw_ends.pop(0) if self.redraw_ends else None)

    async def tell(self, response_url: str, message: str) -> None:
        self.told.append((response_url, message))
        _play(self.tell_ends.pop(0) if self.tell_ends else None)

    async def _before(self, call: Literal["find", "post", "redraw"], question: Question | None) -> None:
        if call in self.before:
            await self.before[call](question)


def _play(end: T | Exception) -> T:
    if isinstance(end, Exception):
        raise end
    return end
