"""What stands behind the triage's ports in its tests: a clock, a Slack that does as it is told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeVar

from bot.clock import Clock, Machine, Service
from bot.triage.answer_rules import Notice
from bot.triage.asking_rules import AS_SHOWN
from bot.triage.assignments import Assignment
from bot.triage.inquiry import Inquiry
from bot.triage.model import (
    Bookmark,
    Confidence,
    FoundQuestion,
    HistoryPage,
    MessageRef,
    Person,
    Question,
    Report,
    Shown,
    TriageRequest,
)
from bot.triage.places import Places
from bot.triage.ports import Meter

T = TypeVar("T")
Call = Literal["find", "post", "open", "look", "redraw", "remind", "ask back", "line"]

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
#: How long the machine has been up at noon.
UPTIME = timedelta(days=100)
ADA = Person(slack_id="U0ADA", slack_name="ada")
ADDRESS = "ada@example.com"


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


def a_message(
    question: Question, *, ts: str = "1764000000.000100", shown: Shown | None = None
) -> FoundQuestion:
    """Return a question's message as Slack has it; one of an earlier release does not say what it shows."""
    return FoundQuestion(
        ref=question.ref,
        message_ref=MessageRef(channel="D0ADA", ts=question.ts or ts),
        posted_at=NOON,
        shown=shown,
        request=replace(question.request, summary="", left_out=(AS_SHOWN,)),
    )


def apart_from_trail(question: Question | None) -> Question | None:
    """Return a question without what events change in it that tell of nothing else in it."""
    return question and replace(question, version=0, trail_hash="", refusals=0)


class ToldClock(Clock):
    """Says what it is told. The time is known, and all clocks of the machine go by it."""

    is_known = True

    def __init__(self, tell: Callable[[], datetime]) -> None:
        super().__init__(Machine(wall=lambda: tell().timestamp()))
        self._tell = tell

    def __call__(self) -> datetime:
        return self._tell()

    def monotonic(self) -> timedelta:
        return self._tell() - NOON + UPTIME

    boottime = monotonic

    def note(self, service: Service, date: object, *, sent: timedelta) -> None:
        """Believe no answer: it is told what time it is."""


def running_clock() -> Clock:
    """Return a clock that knows the time from the start on."""
    return ToldClock(lambda: datetime.now(UTC))


class SteppedClock(ToldClock):
    """Stands still until it is moved."""

    def __init__(self, *, now: datetime = NOON) -> None:
        self.now = now
        super().__init__(lambda: self.now)

    def advance(self, *, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class CountingMeter(Meter):
    """Counts the people who clicked and could not be told the result, and nothing else."""

    clickers_untold = 0

    def count_untold(self) -> None:
        self.clickers_untold += 1


@dataclass(kw_only=True)
class ScriptedMessenger:
    """Does what the lists say, one entry a call: raises an error, returns anything else; else succeeds."""

    clock: Callable[[], datetime]
    people: dict[str, Person | Exception] = field(default_factory=lambda: {ADDRESS: ADA})
    can_look_up: bool = True
    post_ends: list[Exception | MessageRef] = field(default_factory=list)
    refused: dict[str, Exception] = field(default_factory=dict)  #: who may not be written to, and why not
    open_ends: list[Exception | str] = field(default_factory=list)
    look_ends: list[Exception | MessageRef | Bookmark | None] = field(default_factory=list)
    redraw_ends: list[Exception | None] = field(default_factory=list)
    shown: dict[str, FoundQuestion | Exception] = field(default_factory=dict)  #: what messages say, by ref
    pages: list[HistoryPage | Exception] = field(
        default_factory=list
    )  #: of conversations; else all of `shown`
    reads: list[tuple[datetime, str]] = field(
        default_factory=list
    )  #: of messages, by ts, and of conversations
    tell_ends: list[Exception | None] = field(default_factory=list)
    remind_ends: list[Exception | None] = field(default_factory=list)
    #: Run inside a call, before it ends.
    before: dict[Call, Callable[[Question | None], Awaitable[None]]] = field(default_factory=dict)
    finds: list[str] = field(default_factory=list)  #: who was looked up
    posts: list[tuple[datetime, Question]] = field(default_factory=list)
    ask_back_ends: list[Exception | MessageRef] = field(default_factory=list)
    asked_back: list[tuple[datetime, Inquiry]] = field(default_factory=list)
    lines: list[tuple[datetime, Question]] = field(default_factory=list)
    line_ends: list[Exception | MessageRef] = field(default_factory=list)
    channels: list[str] = field(default_factory=list)  #: of the posts; "": the person
    looks: list[datetime] = field(default_factory=list)
    bookmarks: list[Bookmark | None] = field(default_factory=list)  #: with which each of them went on
    redraws: list[tuple[Question, str]] = field(default_factory=list)
    reminders: list[tuple[datetime, Question]] = field(default_factory=list)
    told: list[tuple[str, str]] = field(default_factory=list)

    async def find_person(self, wanted: str) -> Person:
        self.finds.append(wanted)
        await self._before("find", None)
        by_id = {each.slack_id: each for each in self.people.values() if isinstance(each, Person)}
        return _play(self.people[wanted] if wanted in self.people else by_id[wanted])

    async def post(self, question: Question, *, channel: str = "") -> MessageRef:
        self.posts.append((self.clock(), question))
        self.channels.append(channel)
        await self._before("post", question)
        if question.slack_id in self.refused:
            raise self.refused[question.slack_id]
        place = MessageRef(channel="D0ADA", ts=f"17640000{len(self.posts):02}.000100")
        return _play(self.post_ends.pop(0) if self.post_ends else place)

    async def post_line(self, line: Question, *, channel: str = "") -> MessageRef:
        self.lines.append((self.clock(), line))
        await self._before("line", line)
        place = MessageRef(channel=channel or "D0ADA", ts=f"17640001{len(self.lines):02}.000100")
        return _play(self.line_ends.pop(0) if self.line_ends else place)

    async def open_conversation(self, question: Question) -> str:
        await self._before("open", question)
        return _play(self.open_ends.pop(0) if self.open_ends else "D0ADA")

    async def post_inquiry(self, inquiry: Inquiry, question: Question) -> MessageRef:
        self.asked_back.append((self.clock(), inquiry))
        await self._before("ask back", question)
        place = MessageRef(channel=inquiry.channel, ts=f"17640000{len(self.asked_back):02}.000300")
        return _play(self.ask_back_ends.pop(0) if self.ask_back_ends else place)

    async def look_up(
        self, question: Question | Inquiry, *, after: Bookmark | None = None
    ) -> MessageRef | Bookmark | None:
        assert question.slack_id
        await self._before("look", question if isinstance(question, Question) else None)
        self.looks.append(self.clock())
        self.bookmarks.append(after)
        return _play(self.look_ends.pop(0) if self.look_ends else None)

    async def read_message(self, message_ref: MessageRef) -> FoundQuestion | None:
        self.reads.append((self.clock(), message_ref.ts))
        known = [_play(each) for each in self.shown.values()]
        return next((each for each in known if each.message_ref == message_ref), None)

    async def read_conversation(
        self, slack_id: str, since: datetime, *, after: Bookmark | None = None
    ) -> HistoryPage:
        self.reads.append((self.clock(), slack_id))
        self.bookmarks.append(after)
        found = tuple(_play(each) for each in self.shown.values()) if not self.pages else ()
        theirs = (each for each in found if each.message_ref.channel == f"D{slack_id[1:]}")
        questions = (replace(each, slack_id=slack_id) for each in theirs if each.posted_at >= since)
        whole = HistoryPage(questions=tuple(questions), next=None)
        return _play(self.pages.pop(0) if self.pages else whole)

    async def redraw(self, question: Question, *, response_url: str = "") -> None:
        self.redraws.append((question, response_url))
        await self._before("redraw", question)
        _play(self.redraw_ends.pop(0) if self.redraw_ends else None)

    async def link_to(self, question: Question) -> str:
        return f"https://example.slack.com/archives/{question.channel}/p{question.ts}"

    async def remind(self, question: Question, *, link: str) -> None:
        assert link
        self.reminders.append((self.clock(), question))
        await self._before("remind", question)
        _play(self.remind_ends.pop(0) if self.remind_ends else None)

    async def tell(self, response_url: str, notice: Notice) -> None:
        self.told.append((response_url, notice))
        _play(self.tell_ends.pop(0) if self.tell_ends else None)

    async def _before(self, call: Call, question: Question | None) -> None:
        if call in self.before:
            await self.before[call](question)


@dataclass(kw_only=True)
class ScriptedSecurityTeam:
    """Takes each card as the list says, one entry a call; else it is shown."""

    show_ends: list[Exception | None] = field(default_factory=list)
    tell_ends: list[Exception | None] = field(default_factory=list)
    before_end: Callable[[Question], Awaitable[None]] | None = None  #: run inside a call
    gone: bool = False  #: somebody deleted the card that was there
    cards: list[Question] = field(default_factory=list)
    bursts: list[Places] = field(default_factory=list)  #: of which a card was shown
    told: list[Report | Assignment] = field(default_factory=list)

    async def show(self, question: Question) -> str:
        self.cards.append(question)
        if self.before_end:
            await self.before_end(question)
        _play(self.show_ends.pop(0) if self.show_ends else None)
        known = "" if self.gone else question.card_ts
        return known or f"17640000{len(self.cards):02}.000200"

    async def show_burst(self, places: Places) -> str:
        assert places.burst
        self.bursts.append(places)
        _play(self.show_ends.pop(0) if self.show_ends else None)
        return places.burst.card_ts or f"17640000{len(self.bursts):02}.000300"

    async def tell(self, question: Question, event: Report | Assignment) -> None:
        assert question.card_ts
        self.told.append(event)
        _play(self.tell_ends.pop(0) if self.tell_ends else None)


def _play(end: T | Exception) -> T:
    if isinstance(end, Exception):
        raise end
    return end
