"""What the triage needs of the outside world, in its own words.

Every method may raise `StoreError` (stores) or the Slack side's `TransientError`, `AmbiguousError` and
`Undeliverable` (messenger); nothing else escapes an adapter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from bot.errors import StoreError
    from bot.triage.answer_rules import Notice
    from bot.triage.model import (
        Bookmark,
        Change,
        InvalidBody,
        OutboxRow,
        Person,
        Posted,
        Question,
        Report,
        Taken,
        Work,
    )
    from bot.triage.statistics import AlertStatistics

#: Tells the time: aware, in UTC.
Clock = Callable[[], datetime]

#: Writes a report as a row of the outbox, due at the given time. Its body is never rendered again.
WriteReport = Callable[["Report", datetime], "OutboxRow"]

#: Returns the report that a row of the outbox was written from: as it was kept, or else as its body tells.
ReadReport = Callable[["OutboxRow"], "Report"]


class Store(Protocol):
    """Where questions live. Every write is durable when it returns; every write may be repeated."""

    async def add(self, changes: Sequence[Change]) -> Sequence[bool | StoreError]:
        """Add new questions, with their reports; tell for each whether its identifier was new.

        One that cannot be stored has its error in its place, and does not poison the others.
        """

    async def save(self, change: Change) -> bool:
        """Replace a question (and add its report) in one step, if the stored version is still the one before.

        The stored version is `change.question.version - 1`; False says that somebody else was first, and
        that nothing was written.
        """

    async def load(self, ref: str) -> Question | None:
        """Return the question of this ref; None for one that is unknown, or whose second part differs."""

    async def find(self, identifier: str) -> Question | None:
        """Return the question of this identifier."""

    async def reports_of(self, identifier: str) -> Sequence[OutboxRow]:
        """Return all reports of this identifier, in order."""

    async def due(
        self, work: Work, now: datetime, *, limit: int, but: frozenset[str] = frozenset()
    ) -> Sequence[Question]:
        """Return the questions whose work of this kind is due, the longest due first, but for these refs."""

    async def overdue(self, now: datetime, *, limit: int) -> Sequence[Question]:
        """Return the questions whose deadline has come, the oldest first."""

    async def next_due(self, after: datetime) -> datetime | None:
        """Return the earliest moment after this one at which work is due or a deadline comes."""

    async def probe(self) -> None:
        """Write something that nobody reads. `StoreError`: the store takes no writes."""

    async def open_for(self, slack_id: str, *, limit: int) -> Sequence[Question]:
        """Return the questions that were put to this person and have no answer, the newest first."""

    async def answered_by(self, slack_id: str, since: datetime, *, limit: int) -> Sequence[Question]:
        """Return the questions that this person answered since then, the latest answer first."""

    async def remove_ended(self, before: datetime, *, limit: int) -> int:
        """Remove questions that ended before this moment, with all reports sent before it; say how many.

        Those with a report that is parked, unsent or sent later stay, and so do those with work left.
        """


class Outbox(Protocol):
    """Where reports wait for the response queue."""

    async def sendable(self, now: datetime, *, limit: int) -> Sequence[OutboxRow]:
        """Return reports to send now, never two of one identifier, each after those before it.

        A report waits until the one before it is sent (and 5 s have passed) or parked.
        """

    async def next_sendable(self, now: datetime) -> datetime | None:
        """Return the earliest moment at which `sendable` may return something that it does not now."""

    async def mark_sent(self, rows: Sequence[OutboxRow], at: datetime) -> None:
        """Record that the queue has these."""

    async def mark_parked(self, rows: Sequence[OutboxRow], at: datetime) -> None:
        """Record that the queue refuses these for good."""


class Archive(Protocol):
    """What the commands ask."""

    async def list_questions(self, *, limit: int) -> Sequence[Question]:
        """Return the questions accepted last, the newest first."""

    async def find(self, identifier: str) -> Question | None:
        """Return the question of this identifier."""

    async def reports_of(self, identifier: str) -> Sequence[OutboxRow]:
        """Return all reports of this identifier, in order."""

    async def identifiers_sent_since(self, since: datetime) -> Sequence[str]:
        """Return the identifiers with a report that was sent since then, the oldest first."""

    async def identifiers_unsent(self) -> Sequence[str]:
        """Return the identifiers with a report that waits or is parked, the oldest first."""

    async def replay(self, identifiers: Sequence[str], now: datetime) -> None:
        """Put all reports of these identifiers into the outbox again, due now: byte for byte as they were."""

    async def statistics(self, since: datetime) -> Sequence[AlertStatistics]:
        """Sum up the questions that were asked since then, by alert: see `triage.statistics.Tally`."""

    async def copy_to(self, path: Path) -> None:
        """Write a consistent copy into a new file, while all else goes on. `StoreError` if it cannot be."""


class Backlog(Protocol):
    """What the health of the worker is judged by."""

    async def oldest_open(self) -> datetime | None:
        """Return when the oldest question that has no outcome was accepted."""

    async def oldest_unsent(self) -> datetime | None:
        """Return when the oldest report that waits for the queue was, or will be, due."""

    async def probe(self) -> None:
        """See `Store`."""


class Meter(Protocol):
    """Counts what happens. Never waits, never raises."""

    def stored(self, before: Question | None, after: Question) -> None:
        """Take note of a step that is durable now; `before` is None for a question that is new."""

    def rejected(self, body: InvalidBody) -> None:
        """Take note of a request that breaks the contract, and is done with."""

    def conflicted(self) -> None:
        """Take note of a request that differs from the one with its identifier, and is done with."""

    def sent(self, reports: int) -> None:
        """Take note of reports that the queue has now."""

    def parked(self, reports: int) -> None:
        """Take note of reports that the queue refuses for good."""

    def retried(self, method: str) -> None:
        """Take note of a call that came to nothing and will be made again; `method` is its name."""

    def untold(self) -> None:
        """Take note of a clicker who could not be told what came of their click."""


class NoMeter:
    """The Meter where nobody wants to know."""

    def stored(self, before: Question | None, after: Question) -> None:
        """See `Meter`."""

    def rejected(self, body: InvalidBody) -> None:
        """See `Meter`."""

    def conflicted(self) -> None:
        """See `Meter`."""

    def sent(self, reports: int) -> None:
        """See `Meter`."""

    def parked(self, reports: int) -> None:
        """See `Meter`."""

    def retried(self, method: str) -> None:
        """See `Meter`."""

    def untold(self) -> None:
        """See `Meter`."""


#: Knows nothing, so one is enough.
NO_METER: Meter = NoMeter()


class Messenger(Protocol):
    """How people are spoken to."""

    @property
    def can_look_up(self) -> bool:
        """Whether the app may read its own conversations, to look for a question there."""

    async def find_person(self, email: str) -> Person:
        """Return whom the workspace has under this address; `Undeliverable` if nobody."""

    async def post(self, question: Question, *, channel: str = "") -> Posted:
        """Put the question to its person; in this conversation with them, if it had to be opened.

        `NoConversation`: it has to be. `AmbiguousError`: perhaps the question is there.
        """

    async def open_conversation(self, question: Question) -> str:
        """Open the conversation with the question's person, and return it. Never ambiguous."""

    async def look_up(self, question: Question, *, after: Bookmark | None = None) -> Posted | Bookmark | None:
        """Look for the question on a page of its conversation: the first, or the one that `after` marks.

        Return where it is, or else where to go on; None if this page was the last and it is not there.
        """

    async def redraw(self, question: Question, *, response_url: str = "") -> None:
        """Make the message show what the question says."""

    async def link_to(self, question: Question) -> str:
        """Return a link to the question's message; "" where there is none. Never raises one of our errors."""

    async def remind(self, question: Question, *, link: str) -> None:
        """Remind the person of the question. `AmbiguousError`: perhaps it was done."""

    async def tell(self, response_url: str, notice: Notice) -> None:
        """Tell whoever clicked something, and nobody else. `AmbiguousError`: perhaps they were told."""


class SecurityTeam(Protocol):
    """How the security team hears of alerts, where it works."""

    async def show(self, question: Question) -> str:
        """Post the question's card, or update it (`card_ts`); return the ts of the card that shows it now.

        `PermanentError`: there is no such channel for us.
        """

    async def tell(self, question: Question, event: Report | Taken) -> None:
        """Add a line about an event to the thread of the question's card.

        `AmbiguousError`: perhaps it is there.
        """
