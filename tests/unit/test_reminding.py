"""Reminders: each at most once, never after an answer, and at the moment that the policy names."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from fakes import ADA, NOON, UPTIME, a_request
from memory_store import MemoryStore
from service_harness import ServiceHarness, a_click

from bot.errors import AmbiguousError, AppRejected, StoreError, TransientError, Undeliverable
from bot.triage.model import Change, Choice, MessageRef, Question, State, Work
from bot.triage.policy import AlertPolicies, AlertPolicy, Policy, Wait
from bot.triage.rate_limits import BURST

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
FOUR_HOURS = NOON + 4 * HOUR
DAY = NOON + 24 * HOUR


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


async def test_an_unanswered_question_is_reminded_of_once(harness: ServiceHarness) -> None:
    await harness.ask()

    await harness.pass_time(until=DAY - SECOND)

    assert times(harness) == [FOUR_HOURS]
    [(_, reminded)] = harness.messenger.reminders
    assert (reminded.message_ref, reminded.reminders) == (
        MessageRef(channel="D0ADA", ts="1764000001.000100"),
        1,
    )
    question = await harness.question()
    assert (question.reminders, question.due_at, question.work) == (1, None, None)


async def test_no_reminder_is_early(harness: ServiceHarness) -> None:
    await harness.ask()

    await harness.pass_time(until=FOUR_HOURS - timedelta(microseconds=1))

    assert times(harness) == []


@pytest.mark.parametrize("choice", list(Choice))
async def test_nobody_is_reminded_of_what_they_have_answered(harness: ServiceHarness, choice: Choice) -> None:
    await harness.answer(choice)

    await harness.pass_time(until=DAY + HOUR)

    assert times(harness) == []


async def test_an_answer_that_comes_as_the_reminder_falls_due_is_not_reminded_of(
    harness: ServiceHarness,
) -> None:
    unanswered = await harness.ask()
    await harness.service.answer(a_click(unanswered))
    harness.clock.now = FOUR_HOURS

    await harness.service.work_on(unanswered, Work.REMIND)

    assert times(harness) == []
    assert (await harness.question()).reminders == 0


async def test_a_reminder_is_counted_durably_before_it_is_sent(harness: ServiceHarness) -> None:
    stored: list[int] = []

    async def look_into_store(_: Question | None) -> None:
        stored.append((await harness.question()).reminders)

    harness.messenger.before["remind"] = look_into_store

    await remind_now(harness)

    assert stored == [1]


async def test_a_reminder_that_cannot_be_counted_is_not_sent(harness: ServiceHarness) -> None:
    question = await harness.ask()
    harness.clock.now = FOUR_HOURS
    harness.store.fails = [StoreError("disk full")]

    with pytest.raises(StoreError):
        await harness.service.work_on(question, Work.REMIND)
    assert times(harness) == []

    await harness.service.work_on(question, Work.REMIND)
    assert times(harness) == [FOUR_HOURS]


async def test_a_process_that_dies_while_it_reminds_does_not_remind_again(harness: ServiceHarness) -> None:
    harness.messenger.remind_ends = [RuntimeError("the process died here")]
    with pytest.raises(RuntimeError):
        await remind_now(harness)

    harness.restart()
    await harness.pass_time(until=DAY - SECOND)

    assert times(harness) == [FOUR_HOURS]


@pytest.mark.parametrize("error", [AmbiguousError("the answer was lost"), Undeliverable("channel_not_found")])
async def test_a_reminder_that_may_have_been_sent_or_was_refused_for_good_is_not_repeated(
    harness: ServiceHarness, error: Exception
) -> None:
    harness.messenger.remind_ends = [error]

    question = await remind_now(harness)
    await harness.pass_time(until=DAY - SECOND)

    assert times(harness) == [FOUR_HOURS]
    assert (question.reminders, question.due_at) == (1, None)


async def test_a_reminder_that_was_not_sent_is_taken_back_and_sent_later(harness: ServiceHarness) -> None:
    harness.messenger.remind_ends = [TransientError("no network")]

    question = await remind_now(harness)
    assert question.reminders == 0
    assert question.due_at is not None
    assert question.due_at > FOUR_HOURS
    await harness.pass_time(until=DAY - SECOND)

    assert len(times(harness)) == 2
    assert (await harness.question()).reminders == 1


async def test_a_reminder_waits_longer_and_longer_while_slack_is_away(harness: ServiceHarness) -> None:
    harness.messenger.remind_ends = [TransientError("no network")] * 12
    await harness.ask()

    await harness.pass_time(until=DAY - SECOND)

    sent = times(harness)
    gaps = [(later - earlier) / SECOND for earlier, later in pairwise(sent)]
    assert len(sent) == 13
    assert gaps == sorted(gaps)
    assert gaps[-1] >= 30


async def test_a_reminder_waits_as_long_as_slack_asks_and_shuts_the_gate(harness: ServiceHarness) -> None:
    harness.messenger.remind_ends = [TransientError("429", retry_after=timedelta(minutes=2))]

    question = await remind_now(harness)

    assert question.due_at is not None
    assert question.due_at >= FOUR_HOURS + timedelta(minutes=2)
    assert harness.limiter.opens_at(harness.clock.monotonic()) == UPTIME + timedelta(hours=4, minutes=2)


async def test_a_refusal_of_the_worker_shuts_the_gate_until_a_reminder_is_taken(
    harness: ServiceHarness,
) -> None:
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


@pytest.mark.parametrize("number", [0, 1, 3])
async def test_as_many_reminders_are_sent_as_the_engineer_wants(number: int) -> None:
    harness = ServiceHarness(Policy(remind_times=number))
    await harness.ask()

    await harness.pass_time(until=DAY + HOUR)

    assert times(harness) == [NOON + 4 * HOUR * n for n in range(1, number + 1)]


async def test_no_reminder_comes_at_the_deadline_or_after_it() -> None:
    harness = ServiceHarness(Policy(remind_times=10, expire_after=8 * HOUR))
    await harness.ask()

    await harness.pass_time(until=DAY + HOUR)

    assert times(harness) == [FOUR_HOURS]


async def test_without_a_deadline_all_reminders_are_sent() -> None:
    harness = ServiceHarness(Policy(remind_times=2, expire_after=None))
    await harness.ask()

    await harness.pass_time(until=NOON + 100 * HOUR)

    assert times(harness) == [NOON + 4 * HOUR, NOON + 8 * HOUR]


@pytest.mark.parametrize(
    ("setting", "policy", "expected"),
    [
        (None, Wait(), []),
        (None, Wait(is_set=True, after=HOUR), [NOON + HOUR]),
        (4 * HOUR, Wait(is_set=True, after=HOUR), [NOON + HOUR]),
        (4 * HOUR, Wait(is_set=True, after=None), []),
    ],
)
async def test_what_an_alert_says_of_reminders_counts_before_the_setting(
    setting: timedelta | None, policy: Wait, expected: list[datetime]
) -> None:
    alerts = AlertPolicies(by_label={a_request().alert: AlertPolicy(remind_after=policy)})
    harness = ServiceHarness(Policy(remind_after=setting, alerts=alerts))
    await harness.ask()

    await harness.pass_time(until=DAY - SECOND)

    assert times(harness) == expected


async def test_a_reminder_that_fell_due_while_the_process_was_down_is_sent_after_it(
    harness: ServiceHarness,
) -> None:
    await harness.ask()
    harness.clock.now = FOUR_HOURS + 3 * HOUR

    harness.restart()
    await harness.work()

    assert times(harness) == [FOUR_HOURS + 3 * HOUR]


async def test_a_deadline_that_passed_while_the_process_was_down_leaves_nothing_to_remind_of(
    harness: ServiceHarness,
) -> None:
    await harness.ask()
    harness.clock.now = DAY + HOUR

    harness.restart()
    await harness.work()

    assert times(harness) == []
