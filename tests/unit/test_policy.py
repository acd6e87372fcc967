"""Clocks that run in the person's own working hours, and alerts that are asked only then."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from drawn import a_question
from fakes import ADA, ADDRESS, NOON, a_request
from service_harness import ServiceHarness

from bot.errors import TransientError
from bot.settings.messages import load_messages
from bot.triage.model import Choice, Person, State, Work
from bot.triage.outcomes import Outcome
from bot.triage.policy import WORDS, AlertPolicies, AlertPolicy, AskWhen, NoteRule, Policy, Wait
from bot.triage.working_time import parse_working_hours

HOUR = timedelta(hours=1)
HOURS = parse_working_hours("Mon-Fri 09:00-18:00")
LABEL = a_request().alert
PATIENT = AlertPolicies(by_label={LABEL: AlertPolicy(ask=AskWhen.WORKING_HOURS)})

#: Tuesday noon is NOON. New York is five hours behind UTC in November, Tokyo nine ahead.
NEW_YORK = replace(ADA, time_zone="America/New_York")
TOKYO = replace(ADA, time_zone="Asia/Tokyo")


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


#: Reminds after two hours of work, and expires after four.
BRISK = Policy(hours=HOURS, expire_after=4 * HOUR, remind_after=2 * HOUR)


def harness_of(policy: Policy, person: Person = ADA) -> ServiceHarness:
    harness = ServiceHarness(policy)
    harness.messenger.people = {ADDRESS: person}
    return harness


@pytest.mark.parametrize(
    ("policy", "person", "now", "due_at", "deadline"),
    [
        pytest.param(Policy(), TOKYO, NOON, at(24, 16), at(25, 12), id="every hour counts"),
        # For whom it is seven in the morning: from 14:00 UTC, nine hours a day.
        pytest.param(Policy(hours=HOURS), NEW_YORK, NOON, at(24, 18), at(26, 20), id="in New York"),
        # Friday; UTC, for Ada's profile names no zone.
        pytest.param(BRISK, ADA, at(27, 17), at(30, 10), at(30, 12), id="over a weekend"),
    ],
)
async def test_clocks_run_only_in_the_persons_own_working_hours(
    policy: Policy, person: Person, now: datetime, due_at: datetime, deadline: datetime
) -> None:
    harness = harness_of(policy, person)
    harness.clock.now = now

    question = await harness.ask()

    assert question.time_zone == person.time_zone
    assert (question.due_at, question.deadline) == (due_at, deadline)


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../../etc/passwd", "x" * 300, "Europe/\0"])
async def test_a_zone_that_nobody_knows_is_the_default_one(name: str) -> None:
    policy = Policy(hours=HOURS, default_zone=ZoneInfo("Asia/Tokyo"), expire_after=9 * HOUR)
    harness = harness_of(policy, replace(ADA, time_zone=name))

    question = await harness.ask()  # 21:00 in Tokyo

    assert question.deadline == at(25, 9)  # the next day's 18:00 there


async def test_the_second_reminder_counts_working_hours_from_the_first() -> None:
    harness = harness_of(Policy(hours=HOURS, remind_times=2, expire_after=None))
    harness.clock.now = at(24, 12)
    await harness.ask()

    await harness.pass_time(until=at(27, 0))

    assert [moment for moment, _ in harness.messenger.reminders] == [at(24, 16), at(25, 11)]


@pytest.mark.parametrize(("microseconds", "is_due"), [(-1, True), (0, False), (1, False)])
def test_a_reminder_at_the_deadline_or_later_is_pointless(microseconds: int, *, is_due: bool) -> None:
    policy = Policy(remind_after=4 * HOUR)
    deadline = NOON + 4 * HOUR - timedelta(microseconds=microseconds)

    moment = policy.remind_at(replace(a_question(), deadline=deadline), NOON)

    assert (moment is not None) is is_due


@pytest.mark.parametrize(
    ("policy", "person"),
    [
        pytest.param(Policy(hours=HOURS), TOKYO, id="may not wait"),  # where it is nine in the evening
        pytest.param(Policy(hours=HOURS, alerts=PATIENT), ADA, id="during working hours"),
        pytest.param(Policy(alerts=PATIENT), TOKYO, id="every hour is a working hour"),
    ],
)
async def test_a_question_is_asked_at_once_unless_it_may_wait(policy: Policy, person: Person) -> None:
    question = await harness_of(policy, person).ask()

    assert (question.state, question.asked_at) == (State.ASKED, NOON)


async def test_an_alert_that_may_wait_is_asked_when_the_person_works_next() -> None:
    harness = harness_of(Policy(hours=HOURS, alerts=PATIENT, expire_after=HOUR), TOKYO)

    waiting = await harness.ask()
    assert (waiting.state, waiting.due_at, waiting.claimed_at) == (State.ACCEPTED, at(25, 0), None)
    assert waiting.deadline == at(25, 1)
    await harness.pass_time(until=at(25, 0))

    question = await harness.question()
    assert (question.state, question.asked_at) == (State.ASKED, at(25, 0))
    assert [moment for moment, _ in harness.messenger.posts] == [at(25, 0)]
    assert await harness.reports() == []


async def test_whoever_cannot_be_asked_after_waiting_is_reported_at_the_moved_deadline() -> None:
    harness = harness_of(Policy(hours=HOURS, alerts=PATIENT, expire_after=HOUR), TOKYO)
    waiting = await harness.ask()
    harness.messenger.people = {ADDRESS: TransientError("no network")}
    harness.clock.now = at(25, 0)
    await harness.service.work_on(waiting, Work.ASK)
    assert await harness.reports() == []

    harness.clock.now = at(25, 1)
    await harness.work()

    question = await harness.question()
    assert (question.standing, question.reason) == (Outcome.UNDELIVERABLE, "not_asked_in_time")


async def test_somebody_who_may_not_be_asked_is_reported_without_waiting_for_their_hours() -> None:
    harness = harness_of(Policy(hours=HOURS, alerts=PATIENT), replace(TOKYO, deactivated=True))

    question = await harness.ask()

    assert (question.state, question.reason) == (State.CLOSED, "user_deactivated")


@pytest.mark.parametrize("setting", [None, HOUR])
@pytest.mark.parametrize("after", [None, 2 * HOUR])
def test_what_a_policy_says_counts_first(setting: timedelta | None, after: timedelta | None) -> None:
    assert AlertPolicy().remind_after.or_default(setting) == setting
    assert AlertPolicy().expire_after.or_default(setting) == setting
    assert Wait(is_set=True, after=after).or_default(setting) == after


def test_by_default_a_note_is_offered_and_a_card_posted_for_all_but_a_yes() -> None:
    offered = {choice for choice, rule in AlertPolicy().notes.items() if rule is NoteRule.OFFERED}

    assert offered == set(Choice) - {Choice.YES}
    assert set(AlertPolicy().notes) == set(Choice)
    assert AlertPolicy().cards == set(Outcome) - {Outcome.YES}


def test_an_alert_is_known_by_its_label_to_the_letter() -> None:
    vpn = AlertPolicy(title="VPN")
    policies = AlertPolicies(by_label={"vpn": vpn})

    assert policies.of("vpn") is vpn
    assert policies.of("VPN") == AlertPolicy()


def test_an_alerts_own_words_stand_in_for_the_common_ones_and_change_nothing_else() -> None:
    common = load_messages()
    own = AlertPolicy(wording={"ask": "You?", "button_notSure": "Dunno"})

    wording = own.reword(common)

    assert wording["question"] == {**common["question"], "ask": "You?"}
    assert wording["button"] == {**common["button"], "notSure": "Dunno"}
    assert {**wording, "question": common["question"], "button": common["button"]} == common
    assert common == load_messages()
    assert all(common[table][key] for table, key in WORDS.values())


def test_notes_and_cards_are_as_the_alerts_policy_says_and_no_cards_without_a_channel() -> None:
    own = AlertPolicy(notes={Choice.YES: NoteRule.REQUIRED}, cards=frozenset({Outcome.YES}))
    policy = Policy(alerts=AlertPolicies(by_label={LABEL: own}), has_channel=True)
    question = a_question()
    elsewhere = replace(question, request=replace(question.request, alert="unheard-of"))

    assert policy.note_rule(question, Choice.YES) is NoteRule.REQUIRED
    assert policy.note_rule(question, Choice.NO) is NoteRule.NEVER
    assert policy.note_rule(elsewhere, Choice.NO) is NoteRule.OFFERED
    assert [outcome for outcome in Outcome if policy.wants_card(question, outcome)] == [Outcome.YES]
    assert not policy.wants_card(elsewhere, Outcome.YES)
    assert not any(Policy(has_channel=False).wants_card(question, outcome) for outcome in Outcome)
