"""How a request can end, in which words MozDef is told, and why: the tables that all else is derived from.

A new outcome is a member of `Outcome` with its row in `OUTCOMES`; its texts in `messages.toml` ([card], and
[answer] if its row says `told`), its key in `alerts.toml`, and its line in the documentation follow, and
something fails until they are there. A new profile is a member of `Profile` with its row in `PROFILES`, and
a new reason of ours a member of `Reason`. Importing this module fails while a row or a column is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NewType, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Word = TypeVar("Word", bound=StrEnum)
Row = TypeVar("Row")


class Outcome(StrEnum):
    """How a request ended: what the person chose, or what the bot had to decide."""

    YES = "yes"
    NO = "no"
    WRONG_USER = "wrongUser"
    NOT_SURE = "notSure"
    TIMED_OUT = "timedOut"
    UNDELIVERABLE = "undeliverable"


class Profile(StrEnum):
    """In whose words outcomes are written."""

    MOZDEF = "mozdef"
    VERBATIM = "verbatim"


class Reason(StrEnum):
    """Why an outcome of the bot's came about, in words of ours."""

    USERS_NOT_FOUND = "users_not_found"  # Slack's own code, too
    USER_DEACTIVATED = "user_deactivated"
    USER_IS_BOT = "user_is_bot"
    USER_IS_GUEST = "user_is_guest"
    USER_UNCONFIRMED = "user_unconfirmed"
    USER_EXTERNAL = "user_external"
    INVALID_REQUEST = "invalid_request"
    DELIVERY_UNKNOWN = "delivery_unknown"
    NOT_ASKED_IN_TIME = "not_asked_in_time"


#: A reason that is an error code of Slack's. Its list is not ours, so any word may be one.
SlackCode = NewType("SlackCode", str)


class Status(StrEnum):
    """What MozDef makes of the alert; from the mildest to the sternest."""

    ACKNOWLEDGED = "acknowledged"
    MANUAL = "manual"
    ESCALATED = "escalated"


#: The only words that a stock MozDef keeps, by the status that each of them sets.
_MOZDEF_WORDS: Final = {Status.ACKNOWLEDGED: "yes", Status.MANUAL: "wrongUser", Status.ESCALATED: "no"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """What the statistics count an outcome as. Outcomes that mean the same to their reader may share one."""

    key: str  #: in `stats --json`
    label: str  #: in the legends of the table and of its plot
    heading: str  #: of its column
    mark: str  #: in the table's bar: one character
    colour: str  #: in the plot: apart from the others for the colour-blind too (after Okabe and Ito)


@dataclass(frozen=True, kw_only=True, slots=True)
class EndingCounter:
    """The metric that counts how often a question ends so, without its prefix `triage_`."""

    name: str
    text: str
    by_reason: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class OutcomeFacts:
    """What is to be known of an outcome: a row has every column."""

    status: Status
    chosen: bool  #: a person chose it; else the bot had to decide
    label: str  #: what a page says of it by itself
    ending: Ending
    counter: EndingCounter | None  #: None: as a choice it is counted with each click that makes it
    card: bool  #: whether the security team gets a card where `alerts.toml` says nothing
    told: bool  #: whether the question's message says so: it has a text in [answer]

    @property
    def rank(self) -> int:
        """How stern it is: an answer that ranks below the one that stands does not replace it."""
        return _RANKS[self.status]


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileFacts:
    """What is to be known of a profile."""

    about: str  #: for whoever chooses between them, after "its words are"
    word: Callable[[Outcome], str]  #: the word that MozDef reads for an outcome


def _table(kind: type[Word], rows: Mapping[Word, Row]) -> Mapping[Word, Row]:
    """Return a table that has a row for each word. `TypeError` if one is missing."""
    missing = [word.value for word in kind if word not in rows]
    if missing:
        raise TypeError(f"{kind.__name__} has no row for {', '.join(missing)}")
    return MappingProxyType(dict(rows))


_RANKS: Final = {status: rank for rank, status in enumerate(Status)}

_UNANSWERED: Final = Ending(key="unanswered", label="no answer", heading="NONE", mark="·", colour="#bbbbbb")

OUTCOMES: Final = _table(
    Outcome,
    {
        Outcome.YES: OutcomeFacts(
            status=Status.ACKNOWLEDGED,
            chosen=True,
            label="It was them",
            ending=Ending(key="yes", label="yes", heading="YES", mark="█", colour="#56b4e9"),
            counter=None,
            card=False,
            told=True,
        ),
        Outcome.NO: OutcomeFacts(
            status=Status.ESCALATED,
            chosen=True,
            label="It was not them",
            ending=Ending(key="no", label="no", heading="NO", mark="▓", colour="#d55e00"),
            counter=None,
            card=True,
            told=True,
        ),
        Outcome.WRONG_USER: OutcomeFacts(
            status=Status.MANUAL,
            chosen=True,
            label="Wrong person",
            ending=Ending(key="wrongUser", label="wrong person", heading="WRONG", mark="▒", colour="#e69f00"),
            counter=None,
            card=True,
            told=True,
        ),
        Outcome.NOT_SURE: OutcomeFacts(
            status=Status.MANUAL,
            chosen=True,
            label="They are not sure",
            ending=Ending(key="notSure", label="not sure", heading="UNSURE", mark="░", colour="#f0e442"),
            counter=None,
            card=True,
            told=True,
        ),
        Outcome.TIMED_OUT: OutcomeFacts(
            status=Status.MANUAL,
            chosen=False,
            label="Nobody answered in time",
            ending=_UNANSWERED,
            counter=EndingCounter(name="questions_expired", text="Questions that nobody answered in time."),
            card=True,
            told=True,
        ),
        Outcome.UNDELIVERABLE: OutcomeFacts(
            status=Status.MANUAL,
            chosen=False,
            label="Nobody could be asked",
            ending=_UNANSWERED,
            counter=EndingCounter(
                name="questions_undeliverable",
                text="Requests about which nobody could be asked, by reason.",
                by_reason=True,
            ),
            card=True,
            told=False,
        ),
    },
)

PROFILES: Final = _table(
    Profile,
    {
        Profile.MOZDEF: ProfileFacts(
            about="words that a stock MozDef keeps",
            word=lambda outcome: _MOZDEF_WORDS[OUTCOMES[outcome].status],
        ),
        Profile.VERBATIM: ProfileFacts(
            about="the bot's own words",
            word=lambda outcome: outcome.value,
        ),
    },
)

#: Profile → outcome → word. Asked for all of them here, so that a profile without one cannot be imported.
RESPONSES: Final = {
    profile: {outcome: facts.word(outcome) for outcome in Outcome} for profile, facts in PROFILES.items()
}

#: All endings, in the order in which the statistics show them.
ENDINGS: Final = tuple(dict.fromkeys(facts.ending for facts in OUTCOMES.values()))

#: The outcomes whose cards the security team gets where `alerts.toml` says nothing.
CARDS: Final = frozenset(outcome for outcome, facts in OUTCOMES.items() if facts.card)

#: The texts that `messages.toml` must have because of an outcome: table → keys.
TEXTS: Final[Mapping[str, tuple[str, ...]]] = {
    "button": tuple(outcome.value for outcome, facts in OUTCOMES.items() if facts.chosen),
    "answer": tuple(outcome.value for outcome, facts in OUTCOMES.items() if facts.told),
    "card": tuple(outcome.value for outcome in OUTCOMES),
}

_OWN_REASONS: Final = frozenset(Reason)


def is_own(reason: str) -> bool:
    """Whether a reason is a word of ours, which is known to be harmless; else it is Slack's."""
    return reason in _OWN_REASONS


def reason_of(code: str) -> Reason | SlackCode:
    """Return a reason by its word: ours, or else a code of Slack's."""
    return Reason(code) if is_own(code) else SlackCode(code)
