"""What the engineer decided, and what it means for one question: when it is asked, reminded of and ended.

Pure. Clocks run in the person's own working hours, by the time zone of their profile.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from bot.triage.outcomes import Outcome, Profile
from bot.triage.policies import AlertPolicies, AskWhen, NoteRule
from bot.triage.working_time import WorkingHours, after_working_time, next_working_moment, time_zone

if TYPE_CHECKING:
    from datetime import datetime

    from bot.triage.model import Choice, Person, Question
    from bot.triage.policies import AlertPolicy


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """The settings, and the policy of each alert."""

    profile: Profile = Profile.MOZDEF
    hold: timedelta = timedelta(seconds=90)  #: a request's reports wait until it is this old
    remind_after: timedelta | None = timedelta(hours=4)  #: None: never
    remind_times: int = 1
    expire_after: timedelta | None = timedelta(hours=24)  #: None: never
    hours: WorkingHours | None = None  #: None: every hour counts
    default_zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    alerts: AlertPolicies = field(default_factory=AlertPolicies)
    has_channel: bool = False  #: whether the security team has a channel for its cards
    allow_deescalation: bool = False
    ask_guests: bool = False

    def of(self, question: Question) -> AlertPolicy:
        """Return the policy of the question's alert."""
        return self.alerts.of(question.request.alert)

    @property
    def longest_wait(self) -> timedelta | None:
        """The longest that any question may stay open, by the clock on the wall; None: nobody can say."""
        policies = [self.alerts.default, *self.alerts.by_label.values()]
        waits = [policy.expire_after.over(self.expire_after) for policy in policies]
        return None if self.hours else max((wait for wait in waits if wait), default=None)

    def ask_at(self, question: Question, person: Person, now: datetime) -> datetime:
        """Return when the question may be put to this person: now, or when they work next."""
        if self.of(question).ask is AskWhen.AT_ONCE:
            return now
        return next_working_moment(now, self.hours, time_zone(person.time_zone, self.default_zone))

    def deadline(self, question: Question, since: datetime) -> datetime | None:
        """Return when the question ends without an answer; None: never."""
        return self._after(question, since, self.of(question).expire_after.over(self.expire_after))

    def remind_at(self, question: Question, since: datetime) -> datetime | None:
        """Return when to remind of a question next, if that is before its deadline; None: never (more)."""
        if question.reminders >= self.remind_times:
            return None
        moment = self._after(question, since, self.of(question).remind_after.over(self.remind_after))
        pointless = moment is None or (question.deadline is not None and moment >= question.deadline)
        return None if pointless else moment

    def note_rule(self, question: Question, choice: Choice) -> NoteRule:
        """Return whether a note is asked for with this choice."""
        return self.of(question).notes.get(choice, NoteRule.NEVER)

    def wants_card(self, question: Question, outcome: Outcome) -> bool:
        """Return whether the security team wants to see this outcome in its channel."""
        return self.has_channel and outcome in self.of(question).cards

    def _after(self, question: Question, since: datetime, wait: timedelta | None) -> datetime | None:
        return None if wait is None else after_working_time(since, wait, self.hours, self.zone(question))

    def zone(self, question: Question) -> ZoneInfo:
        """Return the time zone of the question's person, as far as it is known."""
        return time_zone(question.time_zone, self.default_zone)
