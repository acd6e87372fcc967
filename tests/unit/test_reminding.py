"""Reminders: each at most once, never after an answer, and at the moment that the policy names."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from fakes import ADA, NOON, UPTIME, a_request
from memory_store import MemoryStore
from service_harness import ServiceHarness, a_click

from bot.errors import AmbiguousError, AppRejected, StoreError, TransientError, Undeliverable
from bot.triage import asking_rules
from bot.triage.model import Change, Choice, MessageRef, Question, State, Work
from bot.triage.policy import AlertPolicies, AlertPolicy, Policy, Wait
from bot.triage.rate_limits import BURST

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
FOUR_HOURS = NOON + 4 * HOUR
DAY = NOON + 24 * HOUR
PLACE = MessageRef(channel="D0ADA", ts="1764000001.000100")


@pytest.fixture
def harness() -> ServiceHarness:
    return ServiceHarness()


def times(harness: ServiceHarness) -> list[datetime]:
    return [moment for moment, _ in harness.messenger.reminders]


async def asked_of(harness: ServiceHarness, *identifiers: str) -> None:
    """Ask at noon, whatever a person's pace would say."""
    for number, identifier in enumerate(identifiers):
        await harness.service.receive([a_request(identifier)])
        asked = replace(
            await harness.question(identifier),
            state=State.ASKED,
            version=1,
            slack_id=ADA.slack_id,
            offered=tuple(Choice),
            channel="D0ADA",
            ts=f"1764000000.{number:06}",
            asked_at=NOON,
            due_at=FOUR_HOURS,
            deadline=DAY,
        )
        assert await harness.store.save(Change(question=asked))


async def remind_now(harness: ServiceHarness) -> Question:
    """Ask, wait until the reminder is due, and do what is due then; return the question."""
    await harness.ask()
    await harness.pass_time(until=FOUR_HOURS)
    return await harness.question()


class SuspendedAfterTheCount(MemoryStore):
    """Lets the machine stand still, until after the deadline, when a reminder has been counted."""

    def __init__(self, harness: ServiceHarness) -> None:
        super().__init__()
        self._harness = harness

    async def save(self, change: Change) -> bool:
        is_saved = await super().save(change)
        if change.question.reminders:
            self._harness.clock.now = DAY + HOUR
        return is_saved


async def test_a_reminder_is_not_sent_if_the_machine_stood_still_after_its_count(
    harness: ServiceHarness,
) -> None:
    harness.store = SuspendedAfterTheCount(harness)
    harness.restart()

    question = await remind_now(harness)

    assert times(harness) == []
    assert question.reminders == 0


async def test_a_count_is_taken_back_only_while_nobody_else_has_counted_since(
    harness: ServiceHarness,
) -> None:
    await harness.ask()
    await harness.pass_time(until=FOUR_HOURS)
    counted = await harness.question()
    assert counted.reminders == 1

    taken_back = asking_rules.take_back_reminder(counted, NOON, number=1)

    assert taken_back
    assert taken_back.question.reminders == 0
    assert asking_rules.take_back_reminder(replace(counted, reminders=2), NOON, number=1) is None


async def test_a_reminder_of_an_open_question_is_counted_and_sent_once(harness: ServiceHarness) -> None:
    stored: list[int] = []

    async def look_into_store(_: Question | None) -> None:
        stored.append((await harness.question()).reminders)

    harness.messenger.before["remind"] = look_into_store
    await harness.ask()
    await harness.pass_time(until=FOUR_HOURS - timedelta(microseconds=1))
    assert times(harness) == []

    await harness.pass_time(until=DAY - SECOND)

    [(moment, reminded)] = harness.messenger.reminders
    assert (moment, reminded.message_ref) == (FOUR_HOURS, PLACE)
    assert [*stored, reminded.reminders] == [1, 1]
    question = await harness.question()
    assert (question.reminders, question.due_at, question.work) == (1, None, None)


@pytest.mark.parametrize("choice", list(Choice))
async def test_nobody_is_reminded_of_what_they_have_answered(harness: ServiceHarness, choice: Choice) -> None:
    await harness.answer(choice)

    await harness.pass_time(until=DAY + HOUR)

    assert times(harness) == []


async def test_an_answer_that_comes_as_a_reminder_falls_due_prevents_it(harness: ServiceHarness) -> None:
    unanswered = await harness.ask()
    await harness.service.answer(a_click(unanswered))
    harness.clock.now = FOUR_HOURS

    await harness.service.work_on(unanswered, Work.REMIND)

    assert times(harness) == []
    assert (await harness.question()).reminders == 0


async def test_a_reminder_that_cannot_be_counted_is_not_sent(harness: ServiceHarness) -> None:
    question = await harness.ask()
    harness.clock.now = FOUR_HOURS
    harness.store.fails = [StoreError("disk full")]

    with pytest.raises(StoreError):
        await harness.service.work_on(question, Work.REMIND)
    assert times(harness) == []

    await harness.service.work_on(question, Work.REMIND)
    assert times(harness) == [FOUR_HOURS]


@pytest.mark.parametrize(
    "end",
    [
        AmbiguousError("the answer was lost"),
        Undeliverable("channel_not_found"),
        RuntimeError("the process died here"),
    ],
)
async def test_a_reminder_that_may_have_been_sent_or_was_refused_for_good_is_not_repeated(
    harness: ServiceHarness, end: Exception
) -> None:
    harness.messenger.remind_ends = [end]
    with pytest.raises(RuntimeError) if isinstance(end, RuntimeError) else nullcontext():
        await remind_now(harness)

    harness.restart()
    await harness.pass_time(until=DAY - SECOND)

    assert times(harness) == [FOUR_HOURS]
    question = await harness.question()
    assert (question.reminders, question.due_at) == (1, None)


async def test_a_reminder_that_was_not_sent_is_tried_again_ever_less_often(harness: ServiceHarness) -> None:
    harness.messenger.remind_ends = [TransientError("no network")] * 12

    question = await remind_now(harness)
    assert question.reminders == 0
    assert question.due_at is not None
    assert question.due_at > FOUR_HOURS
    await harness.pass_time(until=DAY - SECOND)

    gaps = [(later - earlier) / SECOND for earlier, later in pairwise(times(harness))]
    assert len(gaps) == 12
    assert gaps == sorted(gaps)
    assert gaps[-1] >= 30
    assert (await harness.question()).reminders == 1


async def test_a_reminder_waits_as_long_as_slack_asks_and_shuts_the_gate(harness: ServiceHarness) -> None:
    harness.messenger.remind_ends = [TransientError("429", retry_after=timedelta(minutes=2))]

    question = await remind_now(harness)

    assert question.due_at is not None
    assert question.due_at >= FOUR_HOURS + timedelta(minutes=2)
    assert harness.limiter.opens_at(harness.clock.monotonic()) == UPTIME + timedelta(hours=4, minutes=2)


async def test_a_refusal_shuts_the_gate_until_a_reminder_is_taken(harness: ServiceHarness) -> None:
    harness.messenger.remind_ends = [AppRejected("token_revoked", remedy="Renew it.")]

    question = await remind_now(harness)
    assert (question.reminders, harness.limiter.rejection_code) == (0, "token_revoked")
    await harness.pass_time(until=DAY - SECOND)

    assert len(times(harness)) == 2
    assert harness.limiter.rejection_code == ""


async def test_an_answer_during_a_failing_reminder_is_kept_as_it_is(harness: ServiceHarness) -> None:
    async def answer_meanwhile(question: Question | None) -> None:
        assert question is not None
        await harness.service.answer(a_click(question))

    harness.messenger.before["remind"] = answer_meanwhile
    harness.messenger.remind_ends = [TransientError("no network")]

    question = await remind_now(harness)
    await harness.pass_time(until=DAY - SECOND)

    assert question.said is Choice.YES
    assert len(times(harness)) == 1


async def test_reminders_to_one_person_keep_their_pace() -> None:
    harness = ServiceHarness()
    names = [f"question-{number}" for number in range(BURST + 3)]
    await asked_of(harness, *names)

    await harness.pass_time(until=FOUR_HOURS + HOUR)

    waits = [(moment - FOUR_HOURS) / SECOND for moment in times(harness)]
    assert waits == [0.0] * BURST + [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("settings", "own", "hours"),
    [
        ({"remind_times": 0}, Wait(), []),
        ({"remind_times": 1}, Wait(), [4]),
        ({"remind_times": 3}, Wait(), [4, 8, 12]),
        ({"remind_times": 10, "expire_after": 8 * HOUR}, Wait(), [4]),  # none at the deadline or after it
        ({"remind_times": 2, "expire_after": None}, Wait(), [4, 8]),
        # What the alert says counts before the setting.
        ({"remind_after": None}, Wait(), []),
        ({"remind_after": None}, Wait(is_set=True, after=HOUR), [1]),
        ({"remind_after": 4 * HOUR}, Wait(is_set=True, after=HOUR), [1]),
        ({"remind_after": 4 * HOUR}, Wait(is_set=True, after=None), []),
    ],
)
async def test_as_many_reminders_are_sent_and_then_as_settings_and_alert_say(
    settings: dict[str, Any], own: Wait, hours: list[int]
) -> None:
    alerts = AlertPolicies(by_label={a_request().alert: AlertPolicy(remind_after=own)})
    harness = ServiceHarness(Policy(alerts=alerts, **settings))
    await harness.ask()

    await harness.pass_time(until=NOON + 100 * HOUR)

    assert times(harness) == [NOON + hour * HOUR for hour in hours]


@pytest.mark.parametrize(("hours", "reminders"), [(7, 1), (25, 0)])
async def test_a_reminder_that_fell_due_while_the_process_was_down_is_sent_unless_time_is_up(
    harness: ServiceHarness, hours: int, reminders: int
) -> None:
    await harness.ask()
    harness.clock.now = NOON + hours * HOUR

    harness.restart()
    await harness.work()

    assert times(harness) == [NOON + hours * HOUR] * reminders
