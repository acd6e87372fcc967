"""The nouns: frozen and keyword-only; and how a question is made and changed. Times are aware, in UTC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from bot.triage.assignments import Assignment, first_assignment
from bot.triage.event_kinds import EventFacts, EventKind
from bot.triage.factor import Attempt, Proof, Verdict
from bot.triage.inquiry import Inquiry, InquiryNote
from bot.triage.outcomes import Outcome, is_human
from bot.triage.places import Places


class Confidence(StrEnum):
    """How sure MozDef is that the address belongs to the right person."""

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
    """How far a question got: forward only, but a human answer or a valid request reopens CLOSED."""

    ACCEPTED = "accepted"
    POSTING = "posting"
    ASKED = "asked"
    CLOSED = "closed"


class Work(StrEnum):
    """What the sweeper does for a question, the most urgent first."""

    REDRAW = "redraw"
    ASK = "ask"
    REMIND = "remind"
    CARD = "card"  #: scheduled separately, in parallel with the others


#: Facts of one request, and characters of a fact's name and of its value.
FACTS_MAX = 8
FACT_NAME_MAX = 40
FACT_VALUE_MAX = 300

#: What the ref of a found line about waiting questions begins with: no key of an alert does.
FOUND_LINE = "line-"

#: How long Slack's history may lack what was sent before a restore: a call takes up to 20 s, and it lags.
RESTORE_SETTLES = timedelta(seconds=30)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """Something that helps the person to recognise what happened, such as the host. It may be hostile."""

    name: str  #: 1 to `FACT_NAME_MAX` characters, cleaned, one line
    value: str  #: 1 to `FACT_VALUE_MAX` characters, cleaned, one line


@dataclass(frozen=True, kw_only=True, slots=True)
class TriageRequest:
    """What MozDef asks: one alert, one person. `identifier` is the idempotency key."""

    identifier: str
    alert: str
    summary: str
    user: str
    confidence: Confidence
    occurred_at: datetime | None = None  #: when it happened
    facts: tuple[Fact, ...] = ()
    left_out: tuple[str, ...] = ()  #: which fields broke their rule, a clause each, one line
    is_cut: bool = False  #: whether the end of the summary was not kept


@dataclass(frozen=True, kw_only=True, slots=True)
class InvalidBody:
    """An invalid body."""

    reason: str
    salvaged: TriageRequest | None  #: its valid fields, and which are not; None if the identifier is not
    fault: str = "other"  #: `not_json`, `not_an_object`, `several_fields` or a field's name


@dataclass(frozen=True, kw_only=True, slots=True)
class Conflict:
    """The identifier of a request is that of an earlier, different one: nobody is asked about it."""

    fields: tuple[str, ...]  #: in which they differ, as requests call them

    @property
    def reason(self) -> str:
        """The reason that is stored with the copy of the request."""
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
    is_colleague: bool = False  #: of our organisation on Enterprise Grid, maybe of another workspace there
    unconfirmed: bool = False
    time_zone: str = ""  #: from the profile: a name in the tz database
    other_slack_id: str = ""  #: on Enterprise Grid people have two, and Slack uses either
    found_by: str = ""  #: see `Question.found_by`


@dataclass(frozen=True, kw_only=True, slots=True)
class MessageRef:
    """Where a message is in Slack: the id of its channel, and its `ts`."""

    channel: str
    ts: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Bookmark:
    """Where to continue a look-up in a conversation: everything before `cursor` has been read."""

    channel: str
    cursor: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Restore:
    """A restore of the store: what was posted from `since` to `until` may be missing from it."""

    since: datetime
    until: datetime

    @property
    def settled_at(self) -> datetime:
        """When Slack's history shows everything that was posted or redrawn before the restore."""
        return self.until + RESTORE_SETTLES


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """What a question's message shows of its row, as written by its last redraw."""

    reports: int  #: the sequence of the next report
    standing: Outcome | None = None
    said: Choice | None = None
    answered_at: datetime | None = None
    is_unsure: bool = False  #: see `Question.is_unsure`
    card_ts: str = ""
    proofs: int | None = None  #: see `Question.proofs`; None: a *yes* needs none
    reason: str = ""  #: why a proof failed, if that decided the standing


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundQuestion:
    """A question's message, as read in Slack; or a line about waiting questions, whose ref says so."""

    ref: str
    message_ref: MessageRef
    posted_at: datetime  #: by Slack's clock
    shown: Shown | None  #: None: it does not say, as one of an earlier release
    request: TriageRequest | None = None  #: as far as the message says; None: it does not
    slack_id: str = ""  #: of the person whose conversation was read; "": only the message was


@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryPage:
    """The questions on a page of a conversation, and where the next one begins; None: it was the last."""

    questions: tuple[FoundQuestion, ...]
    next: Bookmark | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A click on a choice, before it is accepted or refused: by whom, where and when."""

    ref: str
    choice: Choice
    slack_id: str
    same_workspace: bool  #: whether the person belongs to this workspace or its organisation
    message_ref: MessageRef | None  #: the message that was clicked; None: the person's Home
    at: datetime
    clicked_at: datetime | None = None  #: by Slack's clock


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """What a person wrote about their answer."""

    ref: str
    text: str
    slack_id: str
    same_workspace: bool
    at: datetime
    view_id: str = ""  #: of the window in which it was written


@dataclass(frozen=True, kw_only=True)  # without slots, which `change_question` could not copy at once
class Question:
    """A request as put to a person. `state` says how far it got, `standing` how it ended (None: not yet)."""

    request: TriageRequest
    ref: str
    state: State = State.ACCEPTED
    version: int = 0  #: increased by every save; saving an older version fails
    accepted_at: datetime
    due_at: datetime | None  #: when its `work` is due; None: there is none
    deadline: datetime | None = None  #: when it ends without an answer; None: never, or it has already ended
    attempts: int = 0  #: failures since the last success; determines the back-off
    paced: bool = False  #: whether `due_at` was set by the person's rate limit
    slack_id: str = ""
    slack_name: str = ""
    time_zone: str = ""  #: of the person's profile; working hours are counted in it
    offered: tuple[Choice, ...] = ()
    claimed_at: datetime | None = None  #: the first claim; look-ups search from then on
    in_doubt_since: datetime | None = None  #: set by a claim, cleared by a definite result
    channel: str = ""
    ts: str = ""
    asked_at: datetime | None = None
    reminders: int = 0  #: how many were sent, or may have been: none is repeated
    standing: Outcome | None = None
    reason: str = ""  #: for the standing; see `outcomes.Reason`
    said: Choice | None = None  #: the last choice, which may rank below `standing`
    answered_at: datetime | None = None
    clicked_at: datetime | None = None  #: when that choice was clicked, by Slack's clock
    first_answered_at: datetime | None = None  #: unchanged by later answers
    answers: int = 0  #: how many choices were recorded, each different from the one before
    idle_changes: int = 0  #: how many of them did not raise the standing
    settled_at: datetime | None = None  #: when the last report was written
    reports: int = 0  #: how many were written; the sequence of the next one
    shown: int = 0  #: how many of its `changes` the message shows
    note: str = ""  #: the last one that the person wrote
    notes: int = 0  #: how many they wrote
    note_keys: tuple[str, ...] = ()  #: of the notes with a known window: see `answer_rules.note_key`
    found_by: str = ""  #: the rule by which the person was found; "": by the request's address as it came
    other_slack_id: str = ""  #: of the same person, on Enterprise Grid; "": they have one
    card_due_at: datetime | None = None  #: when the security team's card must be posted or updated
    card_ts: str = ""  #: the card's `ts` in the security channel
    card_shown: int = 0  #: how many events are in the card and its thread
    card_secret: str = ""  #: 128 random bits in hex; "": none is drawn yet
    taken_by: str = ""  #: the Slack id of the person who has the alert; "": nobody has
    taken_name: str = ""
    taken_at: datetime | None = None
    assignments: tuple[Assignment, ...] = ()  #: use `handled`, which adds that of the previous release
    read_at: datetime | None = None  #: when its standing was made certain after the store was restored
    is_unsure: bool = False  #: its standing is unknown: MozDef may have any report, so only *no* counts
    needs_factor: bool = False  #: whether a *yes* needed a proof when it was accepted
    proofs: int = 0  #: how many attempts to prove a *yes* were started
    proof_code: str = ""  #: of the attempt in progress whose proof would count; "": none
    retry_at: datetime | None = None  #: when a further *yes* may start an attempt, if the last one did not
    proved_at: datetime | None = None  #: when the *yes* that stands was proved
    unreported: int = 0  #: how many changes of its message have no report
    waits_for: str = ""  #: whose place it waits for: see `Places.person`; "": it does not wait
    waited_since: datetime | None = None  #: when it first found no place
    refusals: int = 0  #: how many clicks on it were refused
    trail_hash: str = ""  #: of the last event of its trail; "": a release without a trail wrote the row
    report_hash: str = ""  #: of the last report; "": there is none, or such a release wrote it

    @property
    def identifier(self) -> str:
        """MozDef's identifier of the alert."""
        return self.request.identifier

    def after_assignments(self, at: datetime) -> datetime:
        """Return `at`, but not before the last assignment: events are ordered by their times alone."""
        return max(at, self.handled[-1].at + timedelta(microseconds=1)) if self.handled else at

    def is_for(self, slack_id: str) -> bool:
        """Whether this is an id of the person to whom the question is put."""
        return bool(slack_id) and slack_id in (self.slack_id, self.other_slack_id)

    @property
    def message_ref(self) -> MessageRef | None:
        """Where its message is; None if that is not known."""
        return MessageRef(channel=self.channel, ts=self.ts) if self.ts else None

    @property
    def retracted(self) -> bool:
        """Whether the last choice ranks below the answer that the person gave and that stands."""
        return (
            self.said is not None and is_human(self.standing, self.reason) and str(self.said) != self.standing
        )

    @property
    def card(self) -> str:
        """What the buttons of its card carry; the person asked knows the ref, and must not know this."""
        return f"{self.ref.partition('.')[0]}.{self.card_secret}"

    @property
    def handled(self) -> tuple[Assignment, ...]:
        """Who took the alert, handed it over or released it, the earliest first."""
        return self.assignments or first_assignment(self.taken_by, self.taken_name, self.taken_at)

    @property
    def events(self) -> int:
        """How many events the security team is told about: reports and assignments."""
        return self.reports + len(self.handled)

    @property
    def changes(self) -> int:
        """How many changes its message shows once it is up to date."""
        return self.reports + self.unreported

    @property
    def outdated(self) -> bool:
        """Whether its message shows less than is stored."""
        return bool(self.ts) and self.shown < self.changes

    @property
    def work(self) -> Work | None:
        """What the sweeper does for it when it is due; None: nothing. `Work.CARD` is scheduled separately."""
        if self.outdated:
            return Work.REDRAW
        if self.state in (State.ACCEPTED, State.POSTING):
            return Work.ASK
        is_open = self.state is State.ASKED and self.standing is None
        return Work.REMIND if is_open and self.due_at else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """An outcome, or a note about one, as reported to MozDef. What is unknown is empty or None."""

    identifier: str
    sequence: int
    outcome: Outcome
    response: str  #: the word that MozDef reads, according to the profile
    note: bool  #: only indexed: the alert's status does not change
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
    proof: Proof | None = None  #: of a *yes*, if it was proved
    inquiry: InquiryNote | None = None  #: of a note with an inquiry
    in_reply_to: int | None = None  #: the sequence of the note with the inquiry that this is about

    @property
    def is_exchange(self) -> bool:
        """Whether it is a note with an inquiry, or about one."""
        return self.inquiry is not None or self.in_reply_to is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class RefusedClick:
    """A click that changed nothing: whose it was, and why it was refused."""

    slack_id: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """The result of a decision: the changed question, and the report that goes with it, if any."""

    question: Question
    report: Report | None = None
    refused: RefusedClick | None = None  #: the click that is counted in `refusals`
    attempt: Attempt | None = None  #: written with it
    places: Places | None = None  #: written with it
    ignored: Verdict | None = None  #: what the provider said about an attempt that does not count any more
    inquiry: Inquiry | None = None  #: written with it


@dataclass(frozen=True, kw_only=True, slots=True)
class OutboxRow:
    """A report as stored. Its body never changes, so that a repeat is byte-identical.

    `report` is what the body was rendered from; None if that was not kept (see `ports.ReadReport`).
    """

    identifier: str
    sequence: int
    event_id: str
    body: str
    due_at: datetime
    sent_at: datetime | None = None
    parked_at: datetime | None = None  #: when the queue rejected it permanently; somebody must look
    replays: int = 0  #: how often it was replayed
    report: Report | None = None
    #: The hash in its body; "" in a row that was read from a store.
    hash: str = field(default="", compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrailEvent:
    """A decision about an alert, as the store keeps it. It contains no address and no text of a person.

    `hash` is the SHA-256, in hex, of the canonical JSON of an array of the other fields in their order: times
    in ISO 8601 and null for no `previous`.
    """

    identifier: str
    version: int  #: of the question, as stored with the event; events are ordered by it
    at: datetime
    kind: EventKind
    facts: EventFacts
    previous: str  #: the hash of the event before; "" for the first; `trail.UNKNOWN` after a gap
    hash: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Trail:
    """An alert with its events, reports and inquiries, all as of one moment and in order."""

    question: Question
    events: Sequence[TrailEvent]
    reports: Sequence[OutboxRow]
    inquiries: Sequence[Inquiry] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One atomic write: the new question, and the report for the response queue, if any."""

    question: Question
    report: OutboxRow | None = None
    before: Question | None = None  #: as stored before the change, if known
    event: TrailEvent | None = None  #: what the change adds to the trail
    attempt: Attempt | None = None  #: written as well, if its stored version is the one before
    inquiry: Inquiry | None = None  #: likewise
    places: Places | None = None  #: likewise


# How a question is made and changed: one alert takes a dozen changes. `Question(…)` takes three times as long
# as `make_question`, and `dataclasses.replace` 13 times as long as `change_question`.
if TYPE_CHECKING:  # so that mypy checks the arguments
    from dataclasses import replace

    make_question, change_question = Question, replace
else:
    #: The default of each field.
    _BLANK = Question(
        request=TriageRequest(identifier="", alert="", summary="", user="", confidence=Confidence.LOWEST),
        ref="",
        accepted_at=datetime.min.replace(tzinfo=UTC),
        due_at=None,
    )

    def make_question(**fields: object) -> Question:
        """Return a new question. Unlike with `Question(…)`, the names of the fields are not checked."""
        return change_question(_BLANK, **fields)

    def change_question(question: Question, **fields: object) -> Question:
        """Return a copy of a question with some fields changed. The names of the fields are not checked."""
        twin = object.__new__(Question)
        object.__setattr__(twin, "__dict__", question.__dict__ | fields)  # bypasses the freezing
        return twin
