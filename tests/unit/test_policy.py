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
from bot.triage.model import Choice, Person, State, Work
from bot.triage.outcomes import Outcome
from bot.triage.policy import AlertPolicies, AlertPolicy, AskWhen, NoteRule, Policy
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


def harness_of(policy: Policy, person: Person = ADA) -> ServiceHarness:
    harness = ServiceHarness(policy)
    harness.messenger.people = {ADDRESS: person}
    return harness


# Reminder and deadline


async def test_without_working_hours_every_hour_counts() -> None:
    harness = harness_of(Policy(), TOKYO)

    question = await harness.ask()

    assert (question.due_at, question.deadline) == (NOON + 4 * HOUR, NOON + 24 * HOUR)


async def test_clocks_run_only_in_the_persons_own_working_hours() -> None:
    harness = harness_of(Policy(hours=HOURS), NEW_YORK)  # for whom it is seven in the morning

    question = await harness.ask()

    assert question.time_zone == "America/New_York"
    # They begin to work at 14:00 UTC, nine hours a day: four make 18:00, 24 end on Thursday.
    assert question.due_at == at(24, 18)
    assert question.deadline == at(26, 20)


async def test_a_weekend_does_not_count() -> None:
    harness = harness_of(Policy(hours=HOURS, expire_after=4 * HOUR, remind_after=2 * HOUR))
    harness.clock.now = at(27, 17)  # Friday; UTC, for Ada's profile names no zone

    question = await harness.ask()

    assert question.due_at == at(30, 10)
    assert question.deadline == at(30, 12)


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


# Asking


async def test_a_question_is_put_at_once_whatever_the_hours_are() -> None:
    harness = harness_of(Policy(hours=HOURS), TOKYO)  # where it is nine in the evening

    question = await harness.ask()

    assert (question.state, question.asked_at) == (State.ASKED, NOON)


async def test_an_alert_that_may_wait_is_asked_when_the_person_works_next() -> None:
    harness = harness_of(Policy(hours=HOURS, alerts=PATIENT), TOKYO)

    waiting = await harness.ask()
    assert (waiting.state, waiting.due_at, waiting.claimed_at) == (State.ACCEPTED, at(25, 0), None)
    await harness.pass_time(until=at(25, 0))

    question = await harness.question()
    assert (question.state, question.asked_at) == (State.ASKED, at(25, 0))
    assert [moment for moment, _ in harness.messenger.posts] == [at(25, 0)]


async def test_an_alert_that_may_wait_is_asked_at_once_during_working_hours() -> None:
    harness = harness_of(Policy(hours=HOURS, alerts=PATIENT))

    assert (await harness.ask()).asked_at == NOON


async def test_an_alert_that_may_wait_is_asked_at_once_where_every_hour_is_a_working_hour() -> None:
    harness = harness_of(Policy(alerts=PATIENT), TOKYO)

    assert (await harness.ask()).asked_at == NOON


async def test_waiting_for_somebody_to_work_costs_none_of_the_time_to_ask_them() -> None:
    harness = harness_of(Policy(hours=HOURS, alerts=PATIENT, expire_after=HOUR), TOKYO)

    waiting = await harness.ask()
    await harness.pass_time(until=at(25, 0))

    assert waiting.deadline == at(25, 1)
    assert await harness.reports() == []
    assert (await harness.question()).state is State.ASKED


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


# What an alert's own policy says


def test_notes_and_cards_are_as_the_alerts_policy_says() -> None:
    alerts = AlertPolicies(
        by_label={
            LABEL: AlertPolicy(notes={Choice.YES: NoteRule.REQUIRED}, cards=frozenset({Outcome.YES})),
        }
    )
    policy, question = Policy(alerts=alerts, has_channel=True), a_question()
    elsewhere = replace(question, request=replace(question.request, alert="unheard-of"))

    assert policy.note_rule(question, Choice.YES) is NoteRule.REQUIRED
    assert policy.note_rule(question, Choice.NO) is NoteRule.NEVER
    assert policy.note_rule(elsewhere, Choice.NO) is NoteRule.OFFERED
    assert [outcome for outcome in Outcome if policy.wants_card(question, outcome)] == [Outcome.YES]
    assert not policy.wants_card(elsewhere, Outcome.YES)


@pytest.mark.parametrize("outcome", list(Outcome))
def test_nobody_wants_cards_without_a_channel(outcome: Outcome) -> None:
    assert not Policy(has_channel=False).wants_card(a_question(), outcome)
