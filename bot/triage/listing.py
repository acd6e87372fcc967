"""What is asked of all questions at once: which there are of a kind, and how many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.triage.model import Question
from bot.triage.outcomes import Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class Filter:
    """Which questions are wanted: those that meet every condition that is given."""

    is_open: bool = False  #: they have no outcome yet
    user: str = ""  #: they are for this address, in capitals or not
    alert: str = ""  #: their alert has this label
    outcome: Outcome | None = None  #: this outcome stands
    taken_by: str = ""  #: the person with this Slack id has taken their alert
    since: datetime | None = None  #: they were accepted then, or later

    def matches(self, question: Question) -> bool:
        """Whether a question is wanted."""
        return (
            not (self.is_open and question.standing)
            and (not self.user or question.request.user.lower() == self.user.lower())
            and self.alert in ("", question.request.alert)
            and self.outcome in (None, question.standing)
            and self.taken_by in ("", question.taken_by)
            and (self.since is None or question.accepted_at >= self.since)
        )


#: Leaves nothing out.
EVERYTHING = Filter()


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """What a person's Home lists."""

    unanswered: Sequence[Question] = ()
    answered: Sequence[Question] = ()
    taken: Sequence[Question] = ()  #: for the security team


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """How many of each kind a store has."""

    open_questions: int  #: without an outcome
    unsent_reports: int  #: that wait for the response queue, now or later
    parked_reports: int  #: that the response queue refused for good
    invalid_requests: int  #: that broke the contract, and whose identifier could be used
