"""The nouns: frozen, keyword-only, and how a question is made and changed. Times are aware and in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bot.triage.outcomes import Outcome


class Confidence(StrEnum):
    """How sure MozDef is that the address is the right person's."""

    HIGHEST = "highest"
    HIGH = "high"
    MODERATE = "moderate"
    LOW = "low"
    LOWEST = "lowest"


class Choice(StrEnum):
    """A button of the question."""

    YES = "yes"
    NO = "no"
    WRONG_USER = "wrongUser"
    NOT_SURE = "notSure"


class State(StrEnum):
    """How far a question got. Forward only; two ways lead out of CLOSED.

    A human answer makes it ASKED, and a valid request makes one ACCEPTED that an invalid request closed.
    """

    ACCEPTED = "accepted"
    POSTING = "posting"
    ASKED = "asked"
    CLOSED = "closed"


class Work(StrEnum):
    """What the sweeper has to do for a question, the most urgent first."""

    REDRAW = "redraw"
    ASK = "ask"
    REMIND = "remind"
    CARD = "card"  #: has a moment of its own: it goes on beside the others


@dataclass(frozen=True, kw_only=True, slots=True)
class TriageRequest:
    """What MozDef asks: one alert, one person. `identifier` is the idempotency key."""

    identifier: str
    alert: str
    summary: str
    user: str
    confidence: Confidence


@dataclass(frozen=True, kw_only=True, slots=True)
class InvalidBody:
    """A body that breaks the contract. `salvaged` has what met its own rule, where the identifier did."""

    reason: str
    salvaged: TriageRequest | None
    fault: str = "other"  #: in one word: `not_json`, `not_an_object`, `several_fields` or a field's name


@dataclass(frozen=True, kw_only=True, slots=True)
class Conflict:
    """A request about which nobody is asked: its identifier is that of an earlier one, which differs."""

    fields: tuple[str, ...]  #: in which they differ, as requests call them

    @property
    def reason(self) -> str:
        """The sentence that goes with the copy of the request."""
        return (
            f"another request with this identifier came first, with another {', another '.join(self.fields)}"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """Somebody in Slack, with the facts that decide whether they may be asked."""

    slack_id: str
    slack_name: str
    deactivated: bool = False
    is_bot: bool = False
    is_guest: bool = False
    is_external: bool = False
    unconfirmed: bool = False
    time_zone: str = ""  #: of the profile, as tz database names it


@dataclass(frozen=True, kw_only=True, slots=True)
class Posted:
    """Where a question stands in Slack."""

    channel: str
    ts: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Bookmark:
    """Where a look in a person's conversation goes on: what stands before its next page was read."""

    channel: str
    cursor: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A choice, by whom, where and when: a click, before anybody has judged it."""

    ref: str
    choice: Choice
    slack_id: str
    ours: bool  #: the clicker belongs to this workspace or its organisation
    posted: Posted | None  #: the clicked message; None: the person's own Home
    at: datetime
    clicked_at: datetime | None = None  #: by Slack's clock


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """What a person wrote about their answer."""

    ref: str
    text: str
    slack_id: str
    ours: bool
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Take:
    """Somebody of the security team takes an alert over."""

    ref: str
    slack_id: str
    slack_name: str
    ours: bool
    posted: Posted | None  #: the clicked card
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """An alert was taken over: what its card's thread tells of a `Take`."""

    slack_id: str
    slack_name: str


@dataclass(frozen=True, kw_only=True)  # without slots, which `changed` could not copy at once
class Question:
    """A request as put to the person. `state`: how far it got, `standing`: how it ended (None: not yet)."""

    request: TriageRequest
    ref: str
    state: State = State.ACCEPTED
    version: int = 0  #: raised by every save: a save of an older version is refused
    accepted_at: datetime
    due_at: datetime | None  #: when its `work` is to be done; None: there is none
    deadline: datetime | None = None  #: when it ends without an answer; None: never, or it has ended
    attempts: int = 0  #: failures since the last success: sets the next back-off
    paced: bool = False  #: whether `due_at` is the moment that its person's pace gave it
    slack_id: str = ""
    slack_name: str = ""
    time_zone: str = ""  #: of the person's profile; working hours are counted in it
    offered: tuple[Choice, ...] = ()
    claimed_at: datetime | None = None  #: the first claim; where a look-up starts
    in_doubt_since: datetime | None = None  #: set by a claim, cleared by a definite end
    channel: str = ""
    ts: str = ""
    asked_at: datetime | None = None
    reminders: int = 0  #: sent, or perhaps sent: none is ever repeated
    standing: Outcome | None = None
    reason: str = ""  #: of a standing: see `outcomes.Reason`
    said: Choice | None = None  #: the last choice, which `standing` may outrank
    answered_at: datetime | None = None
    clicked_at: datetime | None = None  #: when that choice was clicked, by Slack's clock
    first_answered_at: datetime | None = None  #: stays, however often the person changes their mind
    answers: int = 0  #: choices recorded, each unlike the one before
    idle_changes: int = 0  #: those that did not raise the standing
    settled_at: datetime | None = None  #: when the last report was written
    reports: int = 0  #: written so far: the next report's sequence
    shown: int = 0  #: how many of them the message shows
    note: str = ""  #: what the person wrote last
    notes: int = 0  #: how often they wrote
    card_due_at: datetime | None = None  #: when the security team's card is to be posted or updated
    card_ts: str = ""  #: the card's name in the security channel
    card_shown: int = 0  #: how many of its events the card shows, and its thread has told
    taken_by: str = ""  #: the Slack id of whoever of the security team took the alert
    taken_name: str = ""
    taken_at: datetime | None = None

    @property
    def posted(self) -> Posted | None:
        """Where its message is, once that is known."""
        return Posted(channel=self.channel, ts=self.ts) if self.ts else None

    @property
    def retracted(self) -> bool:
        """Whether the person took back an answer that outranks the last choice."""
        return self.said is not None and self.standing is not None and self.said.value != self.standing.value

    @property
    def events(self) -> int:
        """How much has happened that the security team hears of: reports, and that somebody took it."""
        return self.reports + bool(self.taken_by)

    @property
    def outdated(self) -> bool:
        """Whether its message shows less than is stored."""
        return bool(self.ts) and self.shown < self.reports

    @property
    def work(self) -> Work | None:
        """What the sweeper has to do for it when it is due."""
        if self.outdated:
            return Work.REDRAW
        if self.state in (State.ACCEPTED, State.POSTING):
            return Work.ASK
        return Work.REMIND if self.state is State.ASKED and self.standing is None and self.due_at else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """An outcome, or a note about one, as MozDef is told. Absent facts are empty."""

    identifier: str
    sequence: int
    outcome: Outcome
    response: str  #: the word MozDef reads, by the profile
    note: bool  #: indexed only: the alert's status stays as it is
    at: datetime
    email: str
    slack_id: str
    slack_name: str
    confidence: Confidence
    alert: str
    reason: str = ""
    asked_at: datetime | None = None
    answered_at: datetime | None = None
    asked_slack_id: str = ""
    said: Choice | None = None
    retracted: bool = False
    comment: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """What a decision makes of a question, and the report that goes with it."""

    question: Question
    report: Report | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class OutboxRow:
    """A report as stored: its body is frozen, so that a repeat is byte-identical.

    `report` is what the body was written from; None where that was not kept (see `ports.ReadReport`).
    """

    identifier: str
    sequence: int
    event_id: str
    body: str
    due_at: datetime
    sent_at: datetime | None = None
    parked_at: datetime | None = None  #: refused for good by the queue; a person must look
    replays: int = 0  #: how often somebody asked to have it sent again
    report: Report | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One durable step: the question as it is now, and what the response queue must learn of it."""

    question: Question
    report: OutboxRow | None = None
    before: Question | None = None  #: as it is stored now, if that is known


# How a question is made and changed: on its way an alert takes a dozen changes, of forty fields each.
# `Question` and `dataclasses.replace` do the same field by field: making one takes them three times as long,
# changing one thirteen times.
if TYPE_CHECKING:  # where they are the dataclasses' own, whose arguments are checked
    from dataclasses import replace

    made, changed = Question, replace
else:
    #: Whatever a question is not told, it has from here.
    _BLANK = Question(
        request=TriageRequest(identifier="", alert="", summary="", user="", confidence=Confidence.LOWEST),
        ref="",
        accepted_at=datetime.min.replace(tzinfo=UTC),
        due_at=None,
    )

    def made(**fields: object) -> Question:
        """Return a question of these fields, which must be fields of a question, and all that it requires."""
        return changed(_BLANK, **fields)

    def changed(question: Question, **fields: object) -> Question:
        """Return a question with other values in some fields, which must be fields of a question."""
        twin = object.__new__(Question)
        object.__setattr__(twin, "__dict__", question.__dict__ | fields)  # past what keeps it frozen
        return twin


def about(question: Question, event: str, **fields: object) -> dict[str, object]:
    """Return the `extra` of a log record: the event (noun.past) and its fields. No address, no alert text."""
    return {"event": event, "fields": {"identifier": question.request.identifier, **fields}}


def utc_now() -> datetime:
    """Return the time of this machine's clock."""
    return datetime.now(UTC)
