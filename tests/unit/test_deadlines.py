"""A question that nobody answers ends at its deadline, and a late answer is welcome all the same."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from drawn import answer_of, buttons
from fakes import NOON, a_request
from service_desk import Desk, a_click
from wording import WORDING

from bot.errors import StoreError
from bot.slack.render.question import question_message
from bot.triage.model import Choice, Question, State, Work
from bot.triage.outcomes import Outcome
from bot.triage.policy import AlertPolicies, AlertPolicy, Policy, Wait

if TYPE_CHECKING:
    from collections.abc import Sequence

HOUR = timedelta(hours=1)
DAY = timedelta(hours=24)
MICROSECOND = timedelta(microseconds=1)


@pytest.fixture
def desk() -> Desk:
    return Desk(Policy(remind_after=None))


async def expired(desk: Desk) -> Question:
    """Ask, and let the time to answer pass."""
    await desk.ask()
    await desk.pass_time(until=NOON + DAY)
    return await desk.question()


async def reports(desk: Desk) -> Sequence[dict[str, Any]]:
    return [json.loads(row.body) for row in await desk.reports()]


def facts(report: dict[str, Any]) -> dict[str, Any]:
    return dict(report["details"]["triagebot"])


async def test_an_unanswered_question_is_reported_as_timed_out(desk: Desk) -> None:
    question = await expired(desk)

    assert (question.state, question.standing, question.said) == (State.ASKED, Outcome.TIMED_OUT, None)
    assert question.deadline is None
    [report] = await reports(desk)
    assert (report["category"], report["details"]["response"]) == ("triagebot", "wrongUser")
    assert (report["details"]["user"]["slack"], report["details"]["user"]["slackName"]) == ("", "")
    told = facts(report)
    assert (told["outcome"], told["sequence"], told["askedSlack"]) == ("timedOut", 0, "U0ADA")
    assert "answeredAt" not in told


async def test_a_deadline_counts_from_the_moment_of_asking(desk: Desk) -> None:
    await desk.accept()
    desk.clock.now = NOON + 3 * HOUR
    await desk.work()

    question = await desk.question()

    assert (question.asked_at, question.deadline) == (NOON + 3 * HOUR, NOON + 3 * HOUR + DAY)


async def test_nothing_ends_before_its_deadline(desk: Desk) -> None:
    question = await desk.ask()

    await desk.pass_time(until=NOON + DAY - MICROSECOND)
    await desk.service.expire(question)

    assert await desk.question() == question
    assert await desk.reports() == []


async def test_what_was_answered_does_not_time_out(desk: Desk) -> None:
    answered = await desk.answer(Choice.YES)

    await desk.pass_time(until=NOON + 2 * DAY)
    await desk.service.expire(answered)

    assert (await desk.question()).standing is Outcome.YES
    assert len(await desk.reports()) == 1


async def test_an_answer_that_overtakes_the_deadline_counts(desk: Desk) -> None:
    unanswered = await desk.ask()
    await desk.service.answer(a_click(unanswered, Choice.NO))
    desk.clock.now = NOON + DAY

    await desk.service.expire(unanswered)

    assert [facts(report)["outcome"] for report in await reports(desk)] == ["no"]


async def test_a_deadline_that_could_not_be_stored_is_met_as_soon_as_it_can(desk: Desk) -> None:
    question = await desk.ask()
    desk.clock.now = NOON + DAY
    desk.store.fails = [StoreError("disk full")]
    with pytest.raises(StoreError):
        await desk.service.expire(question)

    await desk.work()

    assert len(await desk.reports()) == 1


async def test_a_deadline_that_passed_while_the_process_was_down_is_met_once(desk: Desk) -> None:
    await desk.ask()
    desk.clock.now = NOON + 3 * DAY

    desk.restart()
    await desk.work()
    desk.restart()
    await desk.work()

    [report] = await reports(desk)
    assert facts(report)["outcome"] == "timedOut"
    assert (await desk.question()).settled_at == NOON + 3 * DAY


async def test_whoever_sends_reports_is_woken(desk: Desk) -> None:
    question = await desk.ask()
    desk.clock.now = NOON + DAY
    woken = desk.woken

    await desk.service.expire(question)

    assert desk.woken > woken


async def test_the_message_is_redrawn_at_once_and_keeps_its_buttons(desk: Desk) -> None:
    question = await desk.ask()
    before = buttons(question_message(question, WORDING, Policy()))
    desk.clock.now = NOON + DAY
    await desk.service.expire(question)
    [due] = await desk.store.due(Work.REDRAW, NOON + DAY, limit=10)

    await desk.service.work_on(due, Work.REDRAW)

    [(drawn, response_url)] = desk.messenger.redraws
    message = question_message(drawn, WORDING, Policy())
    assert answer_of(drawn) == WORDING["answer"]["timedOut"]
    assert buttons(message) == before
    assert message["text"] == WORDING["answer"]["timedOut"]
    assert response_url == ""
    assert not (await desk.question()).outdated


async def test_nobody_is_offered_a_note_before_they_answered(desk: Desk) -> None:
    question = await expired(desk)

    message = question_message(question, WORDING, Policy())

    assert [each["block_id"] for each in message["blocks"]][-1] == "answer"


async def test_a_late_yes_is_the_next_report_and_replaces_what_the_bot_decided(desk: Desk) -> None:
    question = await expired(desk)

    answered = await desk.service.answer(replace(a_click(question), at=NOON + DAY + HOUR))

    assert isinstance(answered, Question)
    assert (answered.standing, answered.idle_changes) == (Outcome.YES, 0)
    first, second = await reports(desk)
    assert second["category"] == "triagebot"
    assert second["details"]["response"] == "yes"
    assert second["details"]["user"]["slack"] == "U0ADA"
    assert [facts(each)["sequence"] for each in (first, second)] == [0, 1]
    assert facts(second)["outcome"] == "yes"


@pytest.mark.parametrize("choice", list(Choice))
async def test_every_late_answer_is_heard_by_mozdef(desk: Desk, choice: Choice) -> None:
    question = await expired(desk)

    await desk.service.answer(a_click(question, choice))

    _, second = await reports(desk)
    assert second["category"] == "triagebot"
    assert facts(second)["outcome"] == choice.value


async def test_after_a_late_answer_nothing_falls_due_by_the_clock(desk: Desk) -> None:
    question = await expired(desk)
    await desk.service.answer(a_click(question, Choice.NO))

    await desk.pass_time(until=NOON + 10 * DAY)

    assert len(await desk.reports()) == 2
    assert await desk.store.next_due(desk.clock()) is None


async def test_without_an_expiry_a_question_stays_open() -> None:
    desk = Desk(Policy(remind_after=None, expire_after=None))
    await desk.ask()

    await desk.pass_time(until=NOON + 100 * DAY)

    assert (await desk.question()).standing is None


@pytest.mark.parametrize(
    ("setting", "policy", "expected"),
    [
        (DAY, Wait(said=True, after=HOUR), NOON + HOUR),
        (None, Wait(said=True, after=HOUR), NOON + HOUR),
        (DAY, Wait(said=True, after=None), None),
        (DAY, Wait(), NOON + DAY),
    ],
)
async def test_what_an_alert_says_of_its_deadline_counts_before_the_setting(
    setting: timedelta | None, policy: Wait, expected: object
) -> None:
    alerts = AlertPolicies(by_label={a_request().alert: AlertPolicy(expire_after=policy)})
    desk = Desk(Policy(expire_after=setting, alerts=alerts))

    question = await desk.ask()

    assert question.deadline == expected
