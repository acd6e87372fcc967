"""Reminders: each at most once, never after an answer, and at the moment that the policy names."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from fakes import ADA, NOON, a_request
from service_desk import Desk, a_click

from bot.errors import AmbiguousError, CannotGoOn, StoreError, TransientError, Undeliverable
from bot.triage.model import Change, Choice, Posted, Question, State, Work
from bot.triage.policy import AlertPolicies, AlertPolicy, Policy, Wait
from bot.triage.rate_limits import BURST

if TYPE_CHECKING:
    from datetime import datetime

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
FOUR_HOURS = NOON + 4 * HOUR
DAY = NOON + 24 * HOUR


@pytest.fixture
def desk() -> Desk:
    return Desk()


def times(desk: Desk) -> list[datetime]:
    return [moment for moment, _ in desk.messenger.reminders]


async def asked_of(desk: Desk, *identifiers: str) -> None:
    """Ask at noon, whatever a person's pace would say."""
    for number, identifier in enumerate(identifiers):
        await desk.service.receive([a_request(identifier)])
        asked = replace(
            await desk.question(identifier),
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
        assert await desk.store.save(Change(question=asked))


async def remind_now(desk: Desk) -> Question:
    """Ask, wait until the reminder is due, and do what is due then; return the question."""
    await desk.ask()
    await desk.pass_time(until=FOUR_HOURS)
    return await desk.question()


async def test_an_unanswered_question_is_reminded_of_once(desk: Desk) -> None:
    await desk.ask()

    await desk.pass_time(until=DAY - SECOND)

    assert times(desk) == [FOUR_HOURS]
    [(_, reminded)] = desk.messenger.reminders
    assert (reminded.posted, reminded.reminders) == (Posted(channel="D0ADA", ts="1764000001.000100"), 1)
    question = await desk.question()
    assert (question.reminders, question.due_at, question.work) == (1, None, None)


async def test_no_reminder_is_early(desk: Desk) -> None:
    await desk.ask()

    await desk.pass_time(until=FOUR_HOURS - timedelta(microseconds=1))

    assert times(desk) == []


@pytest.mark.parametrize("choice", list(Choice))
async def test_nobody_is_reminded_of_what_they_have_answered(desk: Desk, choice: Choice) -> None:
    await desk.answer(choice)

    await desk.pass_time(until=DAY + HOUR)

    assert times(desk) == []


async def test_an_answer_that_comes_as_the_reminder_falls_due_is_not_reminded_of(desk: Desk) -> None:
    unanswered = await desk.ask()
    await desk.service.answer(a_click(unanswered))
    desk.clock.now = FOUR_HOURS

    await desk.service.work_on(unanswered, Work.REMIND)

    assert times(desk) == []
    assert (await desk.question()).reminders == 0


async def test_a_reminder_is_counted_durably_before_it_is_sent(desk: Desk) -> None:
    stored: list[int] = []

    async def look_into_store(_: Question | None) -> None:
        stored.append((await desk.question()).reminders)

    desk.messenger.before["remind"] = look_into_store

    await remind_now(desk)

    assert stored == [1]


async def test_a_reminder_that_cannot_be_counted_is_not_sent(desk: Desk) -> None:
    question = await desk.ask()
    desk.clock.now = FOUR_HOURS
    desk.store.fails = [StoreError("disk full")]

    with pytest.raises(StoreError):
        await desk.service.work_on(question, Work.REMIND)
    assert times(desk) == []

    await desk.service.work_on(question, Work.REMIND)
    assert times(desk) == [FOUR_HOURS]


async def test_a_process_that_dies_while_it_reminds_does_not_remind_again(desk: Desk) -> None:
    desk.messenger.remind_ends = [RuntimeError("the process died here")]
    with pytest.raises(RuntimeError):
        await remind_now(desk)

    desk.restart()
    await desk.pass_time(until=DAY - SECOND)

    assert times(desk) == [FOUR_HOURS]


@pytest.mark.parametrize("error", [AmbiguousError("the answer was lost"), Undeliverable("channel_not_found")])
async def test_a_reminder_that_may_have_been_sent_or_was_refused_for_good_is_not_repeated(
    desk: Desk, error: Exception
) -> None:
    desk.messenger.remind_ends = [error]

    question = await remind_now(desk)
    await desk.pass_time(until=DAY - SECOND)

    assert times(desk) == [FOUR_HOURS]
    assert (question.reminders, question.due_at) == (1, None)


async def test_a_reminder_that_was_not_sent_is_taken_back_and_sent_later(desk: Desk) -> None:
    desk.messenger.remind_ends = [TransientError("no network")]

    question = await remind_now(desk)
    assert question.reminders == 0
    assert question.due_at is not None
    assert question.due_at > FOUR_HOURS
    await desk.pass_time(until=DAY - SECOND)

    assert len(times(desk)) == 2
    assert (await desk.question()).reminders == 1


async def test_a_reminder_waits_longer_and_longer_while_slack_is_away(desk: Desk) -> None:
    desk.messenger.remind_ends = [TransientError("no network")] * 12
    await desk.ask()

    await desk.pass_time(until=DAY - SECOND)

    sent = times(desk)
    gaps = [(later - earlier) / SECOND for earlier, later in pairwise(sent)]
    assert len(sent) == 13
    assert gaps == sorted(gaps)
    assert gaps[-1] >= 30


async def test_a_reminder_waits_as_long_as_slack_asks_and_shuts_the_gate(desk: Desk) -> None:
    desk.messenger.remind_ends = [TransientError("429", retry_after=timedelta(minutes=2))]

    question = await remind_now(desk)

    assert question.due_at is not None
    assert question.due_at >= FOUR_HOURS + timedelta(minutes=2)
    assert desk.gate.opens_at(FOUR_HOURS) == FOUR_HOURS + timedelta(minutes=2)


async def test_a_refusal_of_the_worker_shuts_the_gate_until_a_reminder_is_taken(desk: Desk) -> None:
    desk.messenger.remind_ends = [CannotGoOn("token_revoked", remedy="Renew it.")]

    question = await remind_now(desk)
    assert (question.reminders, desk.gate.halted_by) == (0, "token_revoked")
    await desk.pass_time(until=DAY - SECOND)

    assert len(times(desk)) == 2
    assert desk.gate.halted_by == ""


async def test_an_answer_during_a_failing_reminder_is_kept_as_it_is(desk: Desk) -> None:
    async def answer_meanwhile(question: Question | None) -> None:
        assert question is not None
        await desk.service.answer(a_click(question))

    desk.messenger.before["remind"] = answer_meanwhile
    desk.messenger.remind_ends = [TransientError("no network")]

    question = await remind_now(desk)
    await desk.pass_time(until=DAY - SECOND)

    assert question.said is Choice.YES
    assert len(times(desk)) == 1


async def test_reminders_to_one_person_keep_their_pace() -> None:
    desk = Desk()
    names = [f"question-{number}" for number in range(BURST + 3)]
    await asked_of(desk, *names)

    await desk.pass_time(until=FOUR_HOURS + HOUR)

    waits = [(moment - FOUR_HOURS) / SECOND for moment in times(desk)]
    assert waits == [0.0] * BURST + [1.0, 2.0, 3.0]


@pytest.mark.parametrize("number", [0, 1, 3])
async def test_as_many_reminders_are_sent_as_the_engineer_wants(number: int) -> None:
    desk = Desk(Policy(remind_times=number))
    await desk.ask()

    await desk.pass_time(until=DAY + HOUR)

    assert times(desk) == [NOON + 4 * HOUR * n for n in range(1, number + 1)]


async def test_no_reminder_comes_at_the_deadline_or_after_it() -> None:
    desk = Desk(Policy(remind_times=10, expire_after=8 * HOUR))
    await desk.ask()

    await desk.pass_time(until=DAY + HOUR)

    assert times(desk) == [FOUR_HOURS]


async def test_without_a_deadline_all_reminders_are_sent() -> None:
    desk = Desk(Policy(remind_times=2, expire_after=None))
    await desk.ask()

    await desk.pass_time(until=NOON + 100 * HOUR)

    assert times(desk) == [NOON + 4 * HOUR, NOON + 8 * HOUR]


@pytest.mark.parametrize(
    ("setting", "policy", "expected"),
    [
        (None, Wait(), []),
        (None, Wait(said=True, after=HOUR), [NOON + HOUR]),
        (4 * HOUR, Wait(said=True, after=HOUR), [NOON + HOUR]),
        (4 * HOUR, Wait(said=True, after=None), []),
    ],
)
async def test_what_an_alert_says_of_reminders_counts_before_the_setting(
    setting: timedelta | None, policy: Wait, expected: list[datetime]
) -> None:
    alerts = AlertPolicies(by_label={a_request().alert: AlertPolicy(remind_after=policy)})
    desk = Desk(Policy(remind_after=setting, alerts=alerts))
    await desk.ask()

    await desk.pass_time(until=DAY - SECOND)

    assert times(desk) == expected


async def test_a_reminder_that_fell_due_while_the_process_was_down_is_sent_after_it(desk: Desk) -> None:
    await desk.ask()
    desk.clock.now = FOUR_HOURS + 3 * HOUR

    desk.restart()
    await desk.work()

    assert times(desk) == [FOUR_HOURS + 3 * HOUR]


async def test_a_deadline_that_passed_while_the_process_was_down_leaves_nothing_to_remind_of(
    desk: Desk,
) -> None:
    await desk.ask()
    desk.clock.now = DAY + HOUR

    desk.restart()
    await desk.work()

    assert times(desk) == []
