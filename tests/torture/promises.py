"""What must not happen, and what it is called where it did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Promise(StrEnum):
    """What must not happen."""

    LOST = "accepted requests lost"
    TWICE = "questions asked twice"
    MISDIRECTED = "questions put to the wrong person"
    MISTOLD = "questions without the facts of their request"
    GIVEN_UP = "people given up who can be asked"
    UNREPORTED = "acknowledged answers without a report"
    FORGED = "reported answers that nobody gave"
    CONFLICTING = "conflicting first outcomes"
    ALTERED = "repeats that are not byte-identical"
    DISORDERLY = "reports out of order or too close"
    UNHEARD = "reports that a stock MozDef would lose"
    MISJUDGED = "valid requests in the dead-letter queue"
    UNCOPIED = "invalid requests without a copy"
    LEFT = "requests left in the queue"
    UNSHOWN = "answers that the message does not show"
    NAGGED = "reminders too many, too early or misplaced"
    REMINDED_LATE = "reminders after an answer or the deadline"
    EARLY = "deadlines that came too early"
    LATE = "deadlines that came too late"
    OVERRULED = "answers that a deadline overruled"
    OPEN = "questions that never ended"
    UNREPLACED = "late answers that replaced nothing"
    SILENCED = "stern answers that a milder one silenced"
    UNAPPROVED = "answers that nobody has approved"
    PESTERED = "pushes repeated, or too soon after one another"
    UNNOTED = "notes lost or made up"
    CARDLESS = "alerts without their card"
    STALE = "cards that do not show what counts"
    DOUBLED = "cards unwanted, or doubled without a reason"
    ECHOED = "questions asked back twice"
    UNSPOKEN = "questions asked back and replies lost or made up"
    INTRUDED = "alerts handled by the person asked, from elsewhere, or by a stranger"
    LEAKED = "secrets or addresses in the log"
    UNEXPECTED = "errors in the log that nobody expected"
    CROWDED = "more questions of one person open than allowed"
    UNANNOUNCED = "bursts without their line or card, or with a line too many"
    UNPROVED = "trails that do not prove what happened"
    UNNOTICED = "losses of the store that nobody noticed"
    FALLEN = "lives that ended in the wrong way"


#: What time may still cure while the worker runs.
CURABLE: Final = frozenset(
    {
        Promise.LOST,
        Promise.UNREPORTED,
        Promise.UNCOPIED,
        Promise.LEFT,
        Promise.UNSHOWN,
        Promise.OPEN,
        Promise.UNNOTED,
        Promise.CARDLESS,
        Promise.STALE,
        Promise.UNSPOKEN,
        Promise.UNANNOUNCED,
    }
)

#: Each broken promise with how that was seen.
Findings = Iterator[tuple[Promise, str]]


@dataclass(frozen=True, kw_only=True)
class Violation:
    """A promise that was broken, for which alert, and how that was seen."""

    promise: Promise
    identifier: str
    evidence: str
