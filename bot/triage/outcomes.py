"""How a request can end, what MozDef is told, and why: the tables that everything else is derived from.

To add an outcome, add a member of `Outcome` and its row in `OUTCOMES`; then its texts in `messages.toml`
([card], and [answer] if its row says `has_answer_text`), its key in `alerts.toml`, and its line in the
documentation: tests fail until they are there. To add a profile, add a member of `Profile` and its row in
`PROFILES`; to add a reason of our own, add a member of `Reason`. Importing this module raises `TypeError` if
a row is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NewType, TypeVar

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
    UNPROVEN = "unproven"


class Profile(StrEnum):
    """The words in which outcomes are reported."""

    MOZDEF = "mozdef"
    VERBATIM = "verbatim"


class Reason(StrEnum):
    """Why the bot decided an outcome, in our own words."""

    USERS_NOT_FOUND = "users_not_found"  # also a code of Slack's
    USER_DEACTIVATED = "user_deactivated"
    USER_IS_BOT = "user_is_bot"
    USER_IS_GUEST = "user_is_guest"
    USER_UNCONFIRMED = "user_unconfirmed"
    USER_EXTERNAL = "user_external"
    INVALID_REQUEST = "invalid_request"
    DELIVERY_UNKNOWN = "delivery_unknown"
    NOT_ASKED_IN_TIME = "not_asked_in_time"
    TOO_MANY_OPEN = "too_many_open"
    NOT_MAPPED = "not_mapped"
    FACTOR_REFUSED = "factor_refused"
    FACTOR_TIMED_OUT = "factor_timed_out"
    FACTOR_NO_DEVICE = "factor_no_device"
    FACTOR_UNAVAILABLE = "factor_unavailable"
    FACTOR_FRAUD = "factor_fraud"  #: for a *no* that the person told the provider of the second factor


#: The result of an attempt to prove a *yes*.
FACTOR_REASONS: Final = frozenset(
    {
        Reason.FACTOR_REFUSED,
        Reason.FACTOR_TIMED_OUT,
        Reason.FACTOR_NO_DEVICE,
        Reason.FACTOR_UNAVAILABLE,
        Reason.FACTOR_FRAUD,
    }
)

#: What decides whether people with this reason are asked: a setting, or a file.
DECIDED_BY: Final = MappingProxyType(
    {
        Reason.USER_IS_GUEST: "ASK_GUESTS",
        Reason.USER_UNCONFIRMED: "ASK_UNCONFIRMED",
        Reason.NOT_MAPPED: "people.toml",
        Reason.TOO_MANY_OPEN: "OPEN_PER_PERSON",
    }
)


def explain(reason: str) -> str:
    """Return a reason as people read it: with the setting that decides about it, if there is one."""
    decided_by = DECIDED_BY.get(Reason(reason)) if is_own(reason) else None
    return f"{reason} (see {decided_by})" if decided_by else reason


def is_human(outcome: Outcome | None, reason: str) -> bool:
    """Whether a person answered so in Slack, and did not report it to the provider of the second factor."""
    return outcome is not None and OUTCOMES[outcome].chosen and reason != Reason.FACTOR_FRAUD


#: A reason that is an error code of Slack's. The list is Slack's, so any word may be one.
SlackCode = NewType("SlackCode", str)


class Status(StrEnum):
    """What MozDef sets the alert to, from the mildest to the most severe."""

    ACKNOWLEDGED = "acknowledged"
    MANUAL = "manual"
    ESCALATED = "escalated"


#: The only words that a stock MozDef keeps, by the status that each sets.
_MOZDEF_WORDS: Final = {Status.ACKNOWLEDGED: "yes", Status.MANUAL: "wrongUser", Status.ESCALATED: "no"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """How the statistics count an outcome. Outcomes that mean the same to the reader may share one."""

    key: str  #: in `stats --json`
    label: str  #: in the legends of the table and the plot
    heading: str  #: its column in the table
    mark: str  #: in the bars of the table: one character
    colour: str  #: in the plot: from the palette of Okabe and Ito, which the colour-blind can tell apart


@dataclass(frozen=True, kw_only=True, slots=True)
class EndingCounter:
    """The metric that counts how often a question ends so; `name` is without the prefix `triage_`."""

    name: str
    text: str
    by_reason: bool = False
    reasons: frozenset[Reason] = frozenset()  #: all that there are, if that is known


@dataclass(frozen=True, kw_only=True, slots=True)
class OutcomeFacts:
    """The properties of an outcome: the columns of its row."""

    status: Status
    chosen: bool  #: whether a person chose it; else the bot decided
    label: str  #: the text on the sandbox's page
    ending: Ending
    counter: EndingCounter | None  #: None: it is a choice, counted with each click
    card: bool  #: whether the security team gets a card, unless `alerts.toml` says otherwise
    has_answer_text: bool  #: whether the question's message shows it: then it has a text in [answer]

    @property
    def rank(self) -> int:
        """How severe it is, from 0: an answer that ranks below the one that stands does not replace it."""
        return _RANKS[self.status]


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileFacts:
    """The properties of a profile: the columns of its row."""

    about: str  #: explains it in an error message, after its name
    word: Callable[[Outcome], str]  #: the word that MozDef reads for an outcome


def _table(kind: type[Word], rows: Mapping[Word, Row]) -> Mapping[Word, Row]:
    """Return a read-only table with a row for each word. Raises `TypeError` if one is missing."""
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
            has_answer_text=True,
        ),
        Outcome.NO: OutcomeFacts(
            status=Status.ESCALATED,
            chosen=True,
            label="It was not them",
            ending=Ending(key="no", label="no", heading="NO", mark="▓", colour="#d55e00"),
            counter=None,
            card=True,
            has_answer_text=True,
        ),
        Outcome.WRONG_USER: OutcomeFacts(
            status=Status.MANUAL,
            chosen=True,
            label="Wrong person",
            ending=Ending(key="wrongUser", label="wrong person", heading="WRONG", mark="▒", colour="#e69f00"),
            counter=None,
            card=True,
            has_answer_text=True,
        ),
        Outcome.NOT_SURE: OutcomeFacts(
            status=Status.MANUAL,
            chosen=True,
            label="They are not sure",
            ending=Ending(key="notSure", label="not sure", heading="UNSURE", mark="░", colour="#f0e442"),
            counter=None,
            card=True,
            has_answer_text=True,
        ),
        Outcome.TIMED_OUT: OutcomeFacts(
            status=Status.MANUAL,
            chosen=False,
            label="Nobody answered in time",
            ending=_UNANSWERED,
            counter=EndingCounter(name="questions_expired", text="Questions that nobody answered in time."),
            card=True,
            has_answer_text=True,
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
            has_answer_text=False,
        ),
        Outcome.UNPROVEN: OutcomeFacts(
            status=Status.MANUAL,
            chosen=False,
            label="They said yes but did not confirm it",
            ending=_UNANSWERED,
            counter=EndingCounter(
                name="questions_unproven",
                text="Answers *yes* that were not proved, by reason.",
                by_reason=True,
                reasons=FACTOR_REASONS - {Reason.FACTOR_FRAUD},
            ),
            card=True,
            has_answer_text=True,
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

#: Profile → outcome → word. Computed for all of them, so that the import fails if a profile lacks one.
RESPONSES: Final = {
    profile: {outcome: facts.word(outcome) for outcome in Outcome} for profile, facts in PROFILES.items()
}

#: All endings, in the order in which the statistics show them.
ENDINGS: Final = tuple(dict.fromkeys(facts.ending for facts in OUTCOMES.values()))

#: The outcomes for which the security team gets a card, unless `alerts.toml` says otherwise.
CARDS: Final = frozenset(outcome for outcome, facts in OUTCOMES.items() if facts.card)

#: The texts that `messages.toml` must have for the outcomes: table → keys.
TEXTS: Final[Mapping[str, tuple[str, ...]]] = {
    "button": tuple(outcome.value for outcome, facts in OUTCOMES.items() if facts.chosen),
    "answer": tuple(outcome.value for outcome, facts in OUTCOMES.items() if facts.has_answer_text),
    "card": tuple(outcome.value for outcome in OUTCOMES),
}

_OWN_REASONS: Final = frozenset(Reason)


def is_own(reason: str) -> bool:
    """Whether a reason is one of our own words, which no plugin of MozDef reacts to; else it is Slack's."""
    return reason in _OWN_REASONS


def reason_of(code: str) -> Reason | SlackCode:
    """Return the reason for a code: one of our own, or else Slack's. Raises nothing."""
    return Reason(code) if is_own(code) else SlackCode(code)
