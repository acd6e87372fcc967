"""The nouns of a flood for one person: the places of open questions, and the burst of those that wait."""

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
    is_further: bool = False  #: one of the further places, for a label that has none open


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """The one line that tells a person that more questions wait: claimed and looked up like a question."""

    ref: str  #: by which its message is known
    claimed_at: datetime | None = None  #: the first claim; a look-up searches from then on
    in_doubt_since: datetime | None = None  #: set by a claim, cleared by a definite result
    due_at: datetime | None = None  #: when to try again; None: at once
    attempts: int = 0
    is_over: bool = False  #: it was posted, or never will be


@dataclass(frozen=True, kw_only=True, slots=True)
class Burst:
    """A person's questions that wait for a place, from the first that does until none does."""

    since: datetime
    line: Line
    card_secret: str = field(repr=False)  #: 128 random bits in hex
    card_ts: str = ""
    card_due_at: datetime | None = None  #: when the card is to be posted or updated; None: it shows all
    waiting: int = 0  #: how many wait, as of the last count
    called: Mapping[str, int] = field(default_factory=dict)  #: how many got a place, by label
    kinds: Mapping[str, int] = field(default_factory=dict)  #: how many have waited, by label
    first: Sequence[str] = ()  #: the first identifiers that waited
    denied: Sequence[str] = ()  #: the first identifiers that the person answered with *no*
    taken_by: str = ""  #: the Slack id of the person who took all of it
    taken_name: str = ""
    taken_at: datetime | None = None
    idle_since: datetime | None = None  #: since when none was found waiting
    ended_at: datetime | None = None  #: then its card is updated once more


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """The places of one person, and the burst, if anybody waits for one: a stored row a person."""

    person: str  #: see `place_rules.person_key`
    slack_id: str = ""  #: under which they were last asked
    other_slack_id: str = ""  #: on Enterprise Grid people have two
    slack_name: str = ""
    version: int = 0  #: increased by every save; saving an older version fails
    held: tuple[Place, ...] = ()
    burst: Burst | None = None
    due_at: datetime | None = None  #: when somebody must look at the burst; None: there is none
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
    """How many of a person's questions wait, by label, and the first of them."""

    kinds: Mapping[str, int]
    first: Sequence[str]  #: identifiers, the oldest first
