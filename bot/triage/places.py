"""Nouns for a flood of alerts about one person: places of open questions, and the burst of waiting ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A place that is reserved for a question."""

    ref: str
    identifier: str
    label: str  #: of its alert
    is_extra: bool = False  #: one of the extra places, for a label that has no question open


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """The line that tells a person, once, that more questions wait.

    It is claimed and looked up like a question.
    """

    ref: str  #: by which its message is known
    claimed_at: datetime | None = None  #: the first claim; a look-up searches from then on
    in_doubt_since: datetime | None = None  #: set by a claim, cleared by a definite result
    due_at: datetime | None = None  #: when to try again; None: at once
    attempts: int = 0
    is_over: bool = False  #: it was posted, or never will be


@dataclass(frozen=True, kw_only=True, slots=True)
class Burst:
    """The questions of one person that wait for a place, from when the first one does until none does."""

    since: datetime
    line: Line
    card_secret: str = field(repr=False)  #: 128 random bits in hex
    card_ts: str = ""
    card_due_at: datetime | None = None  #: when the card must be posted or updated; None: it is up to date
    waiting: int = 0  #: how many wait, as of the last count
    called: Mapping[str, int] = field(default_factory=dict)  #: how many have got a place, by label
    kinds: Mapping[str, int] = field(default_factory=dict)  #: how many have waited in all, by label
    first: Sequence[str] = ()  #: the identifiers of those that waited first
    denied: Sequence[str] = ()  #: the identifiers of those that the person answered with *no* first
    taken_by: str = ""  #: the Slack id of who took the whole burst; "": nobody
    taken_name: str = ""
    taken_at: datetime | None = None
    idle_since: datetime | None = None  #: since when no question was found waiting
    ended_at: datetime | None = None  #: when it ended; its card is updated once more then


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """The places of one person, and the burst if questions wait for one. Each person has one stored row."""

    person: str  #: see `place_rules.person_key`
    slack_id: str = ""  #: the id under which they were last asked
    other_slack_id: str = ""  #: on Enterprise Grid people have two
    slack_name: str = ""
    version: int = 0  #: increased by every save; saving an older version fails
    held: tuple[Place, ...] = ()
    burst: Burst | None = None
    due_at: datetime | None = None  #: when the burst must be looked at next; None: there is none
    touched_at: datetime  #: when it was last saved

    def holds(self, ref: str) -> bool:
        """Whether a place is reserved for this question."""
        return any(each.ref == ref for each in self.held)

    def is_for(self, slack_id: str) -> bool:
        """Whether this is an id of the person."""
        return bool(slack_id) and slack_id in {self.person, self.slack_id, self.other_slack_id}

    @property
    def card(self) -> str:
        """What the button of the burst's card carries; "" if there is no burst."""
        return f"{self.person}.{self.burst.card_secret}" if self.burst else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitingCount:
    """How many of a person's questions wait, by label, and which came first."""

    kinds: Mapping[str, int]
    first: Sequence[str]  #: identifiers, the oldest first
