"""The interfaces to the outside world, in the terms of the domain.

Methods of stores raise `StoreError`; those of the messenger `TransientError`, `AmbiguousError` and
`Undeliverable`. Adapters raise nothing else. All times are aware, in UTC.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from enum import Enum, auto
from pathlib import Path
from typing import Protocol

from bot.errors import StoreError
from bot.triage.answer_rules import Notice
from bot.triage.assignments import Assignment
from bot.triage.factor import Attempt, PollResult, Push
from bot.triage.inquiry import Inquiry
from bot.triage.listing import EVERYTHING, Counts, Filter
from bot.triage.model import (
    Bookmark,
    Change,
    FoundQuestion,
    HistoryPage,
    InvalidBody,
    MessageRef,
    OutboxRow,
    Person,
    Question,
    Report,
    Restore,
    Trail,
    Work,
)
from bot.triage.places import Places, WaitingCount
from bot.triage.statistics import AlertStatistics

#: Renders a report as a row of the outbox, due at the given time and after the report with the given hash
#: ("": none). Its body is never rendered again.
WriteReport = Callable[[Report, datetime, str], OutboxRow]

#: Returns the report that a row of the outbox was rendered from: as stored, or else parsed from its body.
ReadReport = Callable[[OutboxRow], Report]


class SendDecision(Enum):
    """Whether to send a report that waits."""

    SEND = auto()
    WAIT = auto()  #: it is not known yet whether it was overtaken
    DROP = auto()  #: overtaken: a harsher report was sent since, or may have been


#: Decides whether to send a report that waits. Raises `StoreError`.
JudgeReport = Callable[[OutboxRow], Awaitable[SendDecision]]

#: Whether a report is among those that are replayed.
SelectReport = Callable[[OutboxRow], bool]


async def send_all(_: OutboxRow) -> SendDecision:
    """Decide to send every report."""
    return SendDecision.SEND


def select_all(_: OutboxRow) -> bool:
    """Select every report for a replay."""
    return True


class Probeable(Protocol):
    """A store as far as its health is concerned."""

    async def probe(self) -> None:
        """Test whether the store accepts writes. Raises `StoreError` if it does not."""


class QuestionReader(Protocol):
    """The questions and reports of an identifier."""

    async def find(self, identifier: str) -> Question | None:
        """Return the question of this identifier."""

    async def reports_of(self, identifier: str) -> Sequence[OutboxRow]:
        """Return all reports of this identifier, in order."""


class RestoreRecord(Protocol):
    """What a store remembers about its last restore."""

    async def restored(self) -> Restore | None:
        """Return the window of what may be missing; None if the store was never restored."""

    async def conversation_read_at(self, slack_id: str) -> datetime | None:
        """Return when this person's conversation was read after a restore; None if it was not."""

    async def keep_conversation(self, slack_id: str, found: Sequence[FoundQuestion], at: datetime) -> None:
        """Record that a conversation was read, and the questions that were found there.

        Of two with the same key, the last is kept.
        """

    async def found_question(self, key: str) -> FoundQuestion | None:
        """Return the found question whose ref begins with this key; None if there is none."""


class AttemptRecord(Protocol):
    """The last attempt of each person to prove a *yes*."""

    async def find_attempt(self, subject: str) -> Attempt | None:
        """Return the last attempt of a subject, in whatever ASCII case; None if there was none."""

    async def save_attempt(self, attempt: Attempt) -> bool:
        """Replace an attempt if the stored version is `attempt.version - 1`; return whether it was."""

    async def due_attempts(self, now: datetime, *, limit: int) -> Sequence[Attempt]:
        """Return attempts that need work, the longest due first."""


class InquiryRecord(Protocol):
    """Inquiries. A new one is written with its question: see `Store.save`."""

    async def inquiries_of(self, ref: str) -> Sequence[Inquiry]:
        """Return the inquiries about the alert with this ref, ordered by number."""

    async def save_inquiry(self, inquiry: Inquiry) -> bool:
        """Replace an inquiry if the stored version is `inquiry.version - 1`; return whether it was."""

    async def due_inquiries(self, now: datetime, *, limit: int) -> Sequence[Inquiry]:
        """Return inquiries that need work, the longest due first."""


class PlaceReader(Protocol):
    """The places of each person, read-only."""

    async def find_places(self, person: str) -> Places | None:
        """Return the places of a person; None if they have no row."""


class PlaceRecord(PlaceReader, Protocol):
    """The places of each person, and which of their questions wait for one."""

    async def save_places(self, places: Places) -> bool:
        """Replace a row if the stored version is `places.version - 1`; return whether it was."""

    async def due_places(self, now: datetime, *, limit: int) -> Sequence[Places]:
        """Return the rows whose burst must be looked at, the longest due first."""

    async def first_waiting(self, person: str) -> Sequence[Question]:
        """Return the oldest question of each label that waits for a place of this person, in no order."""

    async def count_waiting(self, person: str, *, limit: int) -> WaitingCount:
        """Return how many wait for a place of this person, and the identifiers of the oldest."""


class Store(QuestionReader, RestoreRecord, AttemptRecord, InquiryRecord, PlaceRecord, Probeable, Protocol):
    """Where questions are stored. A write is durable when it returns, and may be repeated.

    Each write that the trail records stores its event with it: all or nothing.
    """

    async def add(self, changes: Sequence[Change]) -> Sequence[bool | StoreError]:
        """Add new questions with their reports; return for each whether its identifier was new.

        For one that cannot be stored, its `StoreError` is returned instead; the others are stored.
        """

    async def save(self, change: Change) -> bool:
        """Replace a question if the stored version is `question.version - 1`, and add its report and event.

        All of it or nothing. The secret part of its ref may differ from that of `before`. Return False, and
        write nothing, if another writer was faster, also with the change's attempt, inquiry or places. Raises
        `StoreError`.
        """

    async def load(self, ref: str) -> Question | None:
        """Return the question with this ref; None if it is unknown, or if its secret part differs."""

    async def load_by_key(self, key: str) -> Question | None:
        """Return the question whose ref begins with this key; None if there is none."""

    async def due(
        self, work: Work, now: datetime, *, limit: int, exclude: frozenset[str] = frozenset()
    ) -> Sequence[Question]:
        """Return the questions with due work of this kind, the longest due first, except the refs
        `exclude`.
        """

    async def overdue(self, now: datetime, *, limit: int) -> Sequence[Question]:
        """Return the questions whose deadline has passed, the oldest first."""

    async def next_due(self, after: datetime) -> datetime | None:
        """Return the earliest time after this one at which work is due or a deadline passes; None if none."""

    async def open_for(self, slack_id: str, *, limit: int) -> Sequence[Question]:
        """Return the questions that this person was asked and has not answered, the newest first."""

    async def asked_as(self, other_slack_id: str) -> str:
        """Return the Slack id under which somebody with this other id was asked; "" if nobody was."""

    async def answered_by(self, slack_id: str, since: datetime, *, limit: int) -> Sequence[Question]:
        """Return the questions that this person has answered since then, the latest answer first."""

    async def taken_by(self, slack_id: str, *, limit: int) -> Sequence[Question]:
        """Return the questions whose alert this person has taken, those accepted last first."""

    async def remove_ended(self, before: datetime, *, limit: int) -> int:
        """Remove questions that ended before this time, with all that belongs to them; return how many.

        Attempts that were started before this time and are over go as well, uncounted; so do places that
        were last saved before it and need no look.
        Questions stay if a report is parked, unsent or was sent later, or if work is left.
        """


class Outbox(Protocol):
    """The reports that wait for the response queue."""

    async def sendable(self, now: datetime, *, limit: int) -> Sequence[OutboxRow]:
        """Return the reports to send now, at most one per identifier and in order.

        A report waits until the one before it is parked, or was sent at least 5 s ago.
        """

    async def next_sendable(self, now: datetime) -> datetime | None:
        """Return the earliest time at which `sendable` may return more than now; None if there is none."""

    async def mark_sent(self, rows: Sequence[OutboxRow], at: datetime) -> None:
        """Record that the queue has accepted these reports; each becomes an event, and a new version."""

    async def mark_parked(self, rows: Sequence[OutboxRow], at: datetime) -> None:
        """Record that the queue has permanently rejected these reports, as `mark_sent` does."""


class Archive(QuestionReader, PlaceReader, Protocol):
    """What the commands read and replay."""

    async def list_questions(self, *, limit: int, only: Filter = EVERYTHING) -> Sequence[Question]:
        """Return the questions accepted last that `only` wants, the newest first.

        Other calls run meanwhile, however many questions there are.
        """

    async def identifiers_sent_since(self, since: datetime) -> Sequence[str]:
        """Return the identifiers with a report sent since then, the oldest first."""

    async def identifiers_unsent(self) -> Sequence[str]:
        """Return the identifiers with a report that waits or is parked, the oldest first."""

    async def replay(
        self, identifiers: Sequence[str], now: datetime, *, select: SelectReport = select_all
    ) -> None:
        """Put the selected reports of these identifiers into the outbox again, unchanged and due now.

        For each identifier that has any, this is an event, and a new version of its question. Those of one
        identifier are put back all or none.
        """

    async def trail_of(self, identifier: str) -> Trail | None:
        """Return an alert with its events and reports; None if there is no such alert."""

    def trails(self, since: datetime, until: datetime) -> AsyncIterator[Trail]:
        """Yield each alert that was accepted, or has an event, from `since` on and before `until`."""

    async def statistics(self, since: datetime) -> Sequence[AlertStatistics]:
        """Return statistics of the questions asked since then, by alert; see `triage.statistics.Tally`."""

    async def copy_to(self, path: Path) -> None:
        """Write a consistent copy to a new file, without blocking other calls. Raises `StoreError`."""


class Backlog(Probeable, Protocol):
    """What each kind of store reports for the health of the worker."""

    @property
    def head_trouble(self) -> str:
        """Why the head, the file next to the store's own, cannot be written; "" if it can."""

    async def oldest_open(self) -> datetime | None:
        """Return when the oldest question without an outcome was accepted; None if there is none."""

    async def oldest_unsent(self) -> datetime | None:
        """Return when the oldest unsent report was, or will be, due; None if there is none."""

    async def count(self) -> Counts:
        """Return how many of each kind there are, as of the last minute: it takes no scan of the store."""


class Meter:
    """Counts events; this one counts nothing. Never blocks, never raises."""

    def count_stored(self, before: Question | None, after: Question) -> None:
        """Count a step that was stored; `before` is None for a new question."""

    def count_rejected(self, body: InvalidBody) -> None:
        """Count an invalid request that is finished."""

    def count_conflicted(self) -> None:
        """Count a request that differs from an earlier one with its identifier, and is finished."""

    def count_sent(self, reports: int) -> None:
        """Count reports that the queue has accepted."""

    def count_parked(self, reports: int) -> None:
        """Count reports that the queue has permanently rejected."""

    def count_retried(self, method: str) -> None:
        """Count a failed call that will be retried; `method` is its name."""

    def count_untold(self) -> None:
        """Count a person who clicked and could not be told the result."""


#: It has no state, so one is enough.
NO_METER = Meter()


class Messenger(Protocol):
    """How people are asked, reminded and answered."""

    @property
    def can_look_up(self) -> bool:
        """Whether the app may read its own conversations, to look up a question there."""

    async def find_person(self, wanted: str) -> Person:
        """Return the person with this address or Slack id, as Slack knows them now.

        `Undeliverable` if there is none.
        """

    async def post(self, question: Question, *, channel: str = "") -> MessageRef:
        """Post the question to its person, or into `channel` if their conversation had to be opened.

        Raises `NoConversation` if it has to be opened first, and `AmbiguousError` if the question may have
        been posted.
        """

    async def post_line(self, line: Question, *, channel: str = "") -> MessageRef:
        """Post the line about waiting questions: see `place_rules.line_of`. Raises as `post` does."""

    async def open_conversation(self, question: Question) -> str:
        """Open the conversation with the question's person; return its channel. Never ambiguous."""

    async def post_inquiry(self, inquiry: Inquiry, question: Question) -> MessageRef:
        """Post an inquiry into its conversation. Raises as `post` does."""

    async def look_up(
        self, question: Question | Inquiry, *, after: Bookmark | None = None
    ) -> MessageRef | Bookmark | None:
        """Look for the question on a page of its conversation: the first, or the one that `after` marks.

        Return where it is, or a bookmark of the next page; None if it is not there and this page was the
        last.
        """

    async def read_message(self, message_ref: MessageRef) -> FoundQuestion | None:
        """Read the question at this place; None if there is none."""

    async def read_conversation(
        self, slack_id: str, since: datetime, *, after: Bookmark | None = None
    ) -> HistoryPage:
        """Read a page of a person's conversation since then: the first, or the one that `after` marks."""

    async def redraw(self, question: Question, *, response_url: str = "") -> None:
        """Update the message to the state of the question. May be repeated."""

    async def link_to(self, question: Question) -> str:
        """Return a link to the question's message; "" if there is none. Raises nothing."""

    async def remind(self, question: Question, *, link: str) -> None:
        """Remind the person of the question. Raises `AmbiguousError` if the reminder may have been posted."""

    async def tell(self, response_url: str, notice: Notice) -> None:
        """Tell only the person who clicked. Raises `AmbiguousError` if they may have been told."""


class SecurityTeam(Protocol):
    """How the security team is told about alerts, in its channel."""

    async def show(self, question: Question) -> str:
        """Post the question's card, or update the one at `card_ts`; return the `ts` of the card.

        Raises `PermanentError` if the channel does not exist or the bot is not in it.
        """

    async def tell(self, question: Question, event: Report | Assignment) -> None:
        """Add a line about an event to the thread of the question's card.

        Raises `AmbiguousError` if it may have been posted.
        """

    async def show_burst(self, places: Places) -> str:
        """Post the card of a burst, or update the one at its `card_ts`; return the `ts` of the card.

        Raises as `show` does.
        """


class SecondFactor(Protocol):
    """The provider of the second factor: asks people for a proof on their own device."""

    @property
    def name(self) -> str:
        """The provider's name, for people."""

    async def push(self, subject: str, code: str) -> Push:
        """Ask the person whom the provider knows as `subject` to confirm; their device shows the code.

        Raises `TransientError` if the push was not accepted, `AmbiguousError` if it may have been, `NoDevice`
        if the person has no device, and another `PermanentError` if the provider refuses or cannot be used.
        """

    async def poll(self, push_id: str, subject: str) -> PollResult:
        """Ask for the result of a push. Raises `TransientError` if it is not known: ask again.

        The verdict is `APPROVED` only if the provider proves that this very subject approved this very push.
        """
