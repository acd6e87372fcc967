"""The policy from the settings and `alerts.toml`: when a question is asked, reminded of and ended.

Pure. All times are aware, in UTC; waiting times run in the working hours of the person's own time zone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from bot.triage.model import Choice, Person, Question
from bot.triage.outcomes import CARDS, Outcome, Profile
from bot.triage.people import PeopleRules
from bot.triage.working_time import WorkingHours, after_working_time, find_time_zone, next_working_moment

#: Table → key → text, as `messages.toml` has it.
Wording = Mapping[str, Mapping[str, str]]


class NoteRule(StrEnum):
    """Whether a person is asked for a note with their answer."""

    NEVER = "never"
    OFFERED = "offered"  #: with a button below the answer
    REQUIRED = "required"  #: with a form that opens at once


class Factor(StrEnum):
    """Whether a *yes* must be proved with a second factor."""

    OFF = "off"
    REQUIRED = "required"


class AskWhen(StrEnum):
    """When a question is asked."""

    AT_ONCE = "at-once"
    WORKING_HOURS = "working-hours"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wait:
    """How long an alert waits for something, if its policy says so."""

    is_set: bool = False  #: False: the policy says nothing, so the setting applies
    after: timedelta | None = None  #: if said, None means never

    def or_default(self, setting: timedelta | None) -> timedelta | None:
        """Return the waiting time, given the `setting` for all alerts; None: never."""
        return self.after if self.is_set else setting


#: The rules for notes, unless a file says otherwise.
NOTES: Final[Mapping[Choice, NoteRule]] = MappingProxyType(
    {
        Choice.YES: NoteRule.NEVER,
        Choice.NO: NoteRule.OFFERED,
        Choice.NOT_SURE: NoteRule.OFFERED,
        Choice.WRONG_USER: NoteRule.OFFERED,
    }
)

#: How much of the person's working time a question waits for a place before that is reported.
WAITS_LONG: Final = timedelta(hours=1)

#: How long it waits before it is given up, if questions may stay unanswered forever.
GIVEN_UP_AFTER: Final = timedelta(hours=24)

#: The texts of the question that an alert may override: name → table and key in `messages.toml`.
WORDS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "ask": ("question", "ask"),
        "notification": ("question", "notification"),
        **{f"button_{choice}": ("button", choice.value) for choice in Choice},
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class AlertPolicy:
    """How questions about one kind of alert are asked, and who is told the answers."""

    title: str = "Security alert"  #: one line of plain text, at most 150 characters
    wording: Mapping[str, str] = field(default_factory=dict)  #: its own texts, by the keys of `WORDS`
    remind_after: Wait = Wait()
    expire_after: Wait = Wait()
    ask: AskWhen = AskWhen.AT_ONCE
    factor: Factor = Factor.OFF
    notes: Mapping[Choice, NoteRule] = field(default_factory=lambda: NOTES)  #: a rule for each choice
    no_advice: str = ""  #: what the person should do after a *no*; "": no advice
    cards: frozenset[Outcome] = CARDS  #: the outcomes for which the security team gets a card

    def reword(self, wording: Wording) -> Wording:
        """Return the wording of all messages with this alert's texts in place of the defaults."""
        tables = dict(wording)
        for word, text in self.wording.items():
            table, key = WORDS[word]
            tables[table] = {**tables[table], key: text}
        return tables


@dataclass(frozen=True, kw_only=True, slots=True)
class AlertPolicies:
    """The policies of all alerts."""

    default: AlertPolicy = field(default_factory=AlertPolicy)
    by_label: Mapping[str, AlertPolicy] = field(default_factory=dict)

    def of(self, label: str) -> AlertPolicy:
        """Return the policy for this label; the default for an unknown one."""
        return self.by_label.get(label, self.default)


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """The settings, and the policy of each alert."""

    profile: Profile = Profile.MOZDEF
    hold: timedelta = timedelta(seconds=90)  #: reports wait until their request is this old
    remind_after: timedelta | None = timedelta(hours=4)  #: None: never
    remind_times: int = 1
    expire_after: timedelta | None = timedelta(hours=24)  #: None: never
    hours: WorkingHours | None = None  #: None: at all times
    default_zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    alerts: AlertPolicies = field(default_factory=AlertPolicies)
    security_channel: str = ""  #: the id of the channel for the security team's cards; "": there is none
    responders: frozenset[str] = frozenset()  #: Slack ids of who may act there; empty: everybody in it
    allow_deescalation: bool = False
    ask_guests: bool = False
    ask_unconfirmed: bool = False  #: also people whose address Slack has not confirmed
    people: PeopleRules = field(default_factory=PeopleRules)  #: who is meant by an address
    open_per_person: int = 3  #: how many questions of one person may be open at a time
    provider: str = ""  #: the name of the second factor's provider, as people see it; "": there is none

    def of(self, question: Question) -> AlertPolicy:
        """Return the policy of the question's alert."""
        return self.alerts.of(question.request.alert)

    @property
    def has_channel(self) -> bool:
        """Whether the security team has a channel for its cards."""
        return bool(self.security_channel)

    @property
    def longest_wait(self) -> timedelta | None:
        """The longest that any question may stay open; None: unlimited, or unknown due to working hours."""
        policies = [self.alerts.default, *self.alerts.by_label.values()]
        waits = [policy.expire_after.or_default(self.expire_after) for policy in policies]
        return None if self.hours else max((wait for wait in waits if wait), default=None)

    def needs_factor(self, question: Question) -> bool:
        """Return whether a *yes* must be proved: the stricter of the policy at acceptance and now."""
        return question.needs_factor or self.of(question).factor is Factor.REQUIRED

    @property
    def uses_factor(self) -> bool:
        """Whether any kind of alert needs a proof now."""
        policies = [self.alerts.default, *self.alerts.by_label.values()]
        return any(policy.factor is Factor.REQUIRED for policy in policies)

    def ask_at(self, question: Question, person: Person, now: datetime) -> datetime:
        """Return when the question may be asked: now, or at the start of the person's next working hours."""
        if self.of(question).ask is AskWhen.AT_ONCE:
            return now
        return next_working_moment(now, self.hours, find_time_zone(person.time_zone) or self.default_zone)

    def may_ask(self, question: Question, now: datetime) -> bool:
        """Return whether a question may be asked now, as far as its person's time zone is known."""
        return self._asked_from(question, now) <= now

    def asking_deadline(self, question: Question) -> datetime | None:
        """Return when a question ends without having been asked, had it never waited; None: never."""
        return self.deadline(question, self._asked_from(question, question.accepted_at))

    def _asked_from(self, question: Question, since: datetime) -> datetime:
        at_once = self.of(question).ask is AskWhen.AT_ONCE
        return since if at_once else next_working_moment(since, self.hours, self.zone(question))

    def deadline(self, question: Question, since: datetime) -> datetime | None:
        """Return when the question ends without an answer, counted from `since`; None: never."""
        return self._after(question, since, self.of(question).expire_after.or_default(self.expire_after))

    def report_waiting_at(self, question: Question, since: datetime) -> datetime:
        """Return when to report a question that has waited for a place since then."""
        return after_working_time(since, WAITS_LONG, self.hours, self.zone(question))

    def give_up_at(self, question: Question, since: datetime) -> datetime:
        """Return when a question that was reported unasked, or was asked so, is given up; see `deadline`."""
        return self.deadline(question, since) or after_working_time(
            since, GIVEN_UP_AFTER, self.hours, self.zone(question)
        )

    def remind_at(self, question: Question, since: datetime) -> datetime | None:
        """Return the time of the next reminder, if it is before the deadline; None: no further reminder.

        Nobody is reminded who has said something, also while that is not proved yet.
        """
        if question.said is not None or question.reminders >= self.remind_times:
            return None
        moment = self._after(question, since, self.of(question).remind_after.or_default(self.remind_after))
        pointless = moment is None or (question.deadline is not None and moment >= question.deadline)
        return None if pointless else moment

    def note_rule(self, question: Question, choice: Choice) -> NoteRule:
        """Return whether a note is offered or required with this choice."""
        return self.of(question).notes.get(choice, NoteRule.NEVER)

    def wants_card(self, question: Question, outcome: Outcome) -> bool:
        """Return whether the security team gets a card for this outcome."""
        return self.has_channel and outcome in self.of(question).cards

    def _after(self, question: Question, since: datetime, wait: timedelta | None) -> datetime | None:
        return None if wait is None else after_working_time(since, wait, self.hours, self.zone(question))

    def zone(self, question: Question) -> ZoneInfo:
        """Return the time zone of the person, or the default one if it is unknown."""
        return find_time_zone(question.time_zone) or self.default_zone
