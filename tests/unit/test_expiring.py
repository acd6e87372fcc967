"""What is not asked or answered in time is told to MozDef, and an answer is welcome all the same."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from drawn import answer_of, buttons, without_colours
from fakes import ADA, ADDRESS, NOON, a_request
from service_harness import ServiceHarness, a_click
from wording import WORDING

from bot.errors import StoreError, TransientError
from bot.slack.render.question import question_message
from bot.triage import asking_rules
from bot.triage.model import Choice, Question, State, Work
from bot.triage.outcomes import Outcome
from bot.triage.policy import AlertPolicies, AlertPolicy, Policy, Wait

DAY = timedelta(hours=24)
POLICY = Policy()
ACCEPTED = asking_rules.accept(a_request(), "key.secret", NOON, POLICY).question


@pytest.fixture
def harness() -> ServiceHarness:
    return ServiceHarness(Policy(remind_after=None))


async def accept_and_wait(harness: ServiceHarness) -> Question:
    """Accept a request while Slack is away, until its deadline."""
    harness.messenger.people = {ADDRESS: TransientError("no network")}
    question = await harness.accept()
    await harness.service.work_on(question, Work.ASK)
    harness.clock.now = NOON + DAY
    return await harness.question()


async def facts(harness: ServiceHarness) -> list[dict[str, Any]]:
    """Return what each report tells, with its category, its response, and whose answer it is."""
    bodies = [json.loads(row.body) for row in await harness.reports()]
    details = [body["details"] | {"category": body["category"]} for body in bodies]
    return [each | each.pop("triagebot") | each.pop("user", {}) for each in details]


async def test_a_request_not_asked_in_time_is_reported_and_stays_to_be_asked(harness: ServiceHarness) -> None:
    waiting = await accept_and_wait(harness)
    assert list(await harness.store.overdue(NOON + DAY, limit=10)) == [waiting]

    await harness.service.expire(waiting)

    question = await harness.question()
    assert (question.state, question.standing) == (State.ACCEPTED, Outcome.UNDELIVERABLE)
    assert (question.reason, question.deadline, question.work) == ("not_asked_in_time", None, waiting.work)
    [fact] = await facts(harness)
    assert (fact["reason"], fact["sequence"], fact["category"]) == ("not_asked_in_time", 0, "triagebot")
    assert list(await harness.store.overdue(NOON + 10 * DAY, limit=10)) == []


async def test_it_is_still_asked_and_an_answer_replaces_the_outcome(harness: ServiceHarness) -> None:
    await harness.service.expire(await accept_and_wait(harness))
    harness.messenger.people = {ADDRESS: ADA}

    await harness.service.work_on(await harness.question(), Work.ASK)
    asked = await harness.question()
    assert (asked.state, asked.standing, asked.outdated) == (State.ASKED, Outcome.UNDELIVERABLE, False)
    assert (asked.deadline, asked.due_at) == (None, None)
    await harness.service.answer(a_click(asked, Choice.YES))

    question = await harness.question()
    assert (question.standing, question.reason) == (Outcome.YES, "")
    first, second = await facts(harness)
    assert (second["outcome"], second["sequence"], second["category"]) == ("yes", 1, "triagebot")
    assert "reason" not in second
    assert first["outcome"] == "undeliverable"


async def test_whoever_was_asked_meanwhile_does_not_expire(harness: ServiceHarness) -> None:
    waiting = await accept_and_wait(harness)
    harness.messenger.people = {ADDRESS: ADA}
    await harness.service.work_on(waiting, Work.ASK)

    await harness.service.expire(waiting)

    question = await harness.question()
    assert (question.state, question.standing, question.deadline) == (State.ASKED, None, NOON + 2 * DAY)


async def test_giving_up_after_the_deadline_is_a_note_and_no_second_outcome(harness: ServiceHarness) -> None:
    await harness.service.expire(await accept_and_wait(harness))
    harness.messenger.people = {ADDRESS: replace(ADA, deactivated=True)}

    await harness.service.work_on(await harness.question(), Work.ASK)

    first, second = await facts(harness)
    assert (first["category"], first["reason"]) == ("triagebot", "not_asked_in_time")
    assert (second["category"], second["reason"]) == ("triagebotnote", "user_deactivated")


def test_a_row_in_doubt_expires_and_stays_in_doubt() -> None:
    claimed = asking_rules.claim(ACCEPTED, ADA, NOON).question

    step = asking_rules.expire(claimed, NOON + DAY, POLICY)

    assert step is not None
    assert step.report is not None
    assert (step.question.state, step.question.in_doubt_since) == (State.POSTING, NOON)
    assert step.question.standing is Outcome.UNDELIVERABLE


@pytest.mark.parametrize(
    "question",
    [
        replace(ACCEPTED, deadline=None),
        replace(ACCEPTED, standing=Outcome.YES),
        replace(ACCEPTED, deadline=NOON + 2 * DAY),
    ],
)
def test_what_has_ended_or_has_another_deadline_does_not_expire(question: Question) -> None:
    assert asking_rules.expire(question, NOON + DAY, POLICY) is None


HOUR = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)


async def expired(harness: ServiceHarness) -> Question:
    """Ask, and let the time to answer pass."""
    await harness.ask()
    await harness.pass_time(until=NOON + DAY)
    return await harness.question()


async def test_an_unanswered_question_is_reported_as_timed_out(harness: ServiceHarness) -> None:
    question = await expired(harness)

    assert (question.state, question.standing, question.said) == (State.ASKED, Outcome.TIMED_OUT, None)
    assert question.deadline is None
    [told] = await facts(harness)
    assert (told["category"], told["response"], told["outcome"]) == ("triagebot", "wrongUser", "timedOut")
    assert (told["slack"], told["slackName"], told["askedSlack"]) == ("", "", "U0ADA")
    assert told["sequence"] == 0
    assert "answeredAt" not in told


async def test_what_was_answered_does_not_time_out_even_at_the_last_moment(harness: ServiceHarness) -> None:
    unanswered = await harness.ask()
    await harness.service.answer(a_click(unanswered, Choice.NO))
    harness.clock.now = NOON + DAY

    await harness.service.expire(unanswered)
    await harness.pass_time(until=NOON + 2 * DAY)

    assert [fact["outcome"] for fact in await facts(harness)] == ["no"]


async def test_a_deadline_that_could_not_be_stored_is_met_as_soon_as_it_can(harness: ServiceHarness) -> None:
    question = await harness.ask()
    harness.clock.now = NOON + DAY
    harness.store.fails = [StoreError("disk full")]
    with pytest.raises(StoreError):
        await harness.service.expire(question)
    woken = harness.woken

    await harness.work()

    assert len(await harness.reports()) == 1
    assert harness.woken > woken  # the publisher


async def test_a_deadline_that_passed_while_the_process_was_down_is_met_once(harness: ServiceHarness) -> None:
    await harness.ask()
    harness.clock.now = NOON + 3 * DAY

    harness.restart()
    await harness.work()
    harness.restart()
    await harness.work()

    [report] = await facts(harness)
    assert report["outcome"] == "timedOut"
    assert (await harness.question()).settled_at == NOON + 3 * DAY


async def test_the_message_is_redrawn_keeps_its_buttons_and_offers_no_note(harness: ServiceHarness) -> None:
    before = without_colours(buttons(question_message(await harness.ask(), WORDING, Policy())))

    question = await expired(harness)

    [(drawn, response_url)] = harness.messenger.redraws
    message = question_message(drawn, WORDING, Policy())
    assert answer_of(drawn) == message["text"] == WORDING["answer"]["timedOut"]
    assert buttons(message) == before
    assert message["blocks"][-1]["block_id"] == "answer"
    assert response_url == ""
    assert not question.outdated


@pytest.mark.parametrize("choice", Choice)
async def test_a_late_answer_is_the_next_report_and_replaces_what_the_bot_decided(
    harness: ServiceHarness, choice: Choice
) -> None:
    question = await expired(harness)

    answered = await harness.service.answer(replace(a_click(question, choice), at=NOON + DAY + HOUR))

    assert isinstance(answered, Question)
    assert (answered.standing, answered.idle_changes) == (Outcome(choice.value), 0)
    first, second = await facts(harness)
    response = "wrongUser" if choice is Choice.NOT_SURE else choice
    assert (second["category"], second["response"], second["outcome"]) == ("triagebot", response, choice)
    assert second["slack"] == "U0ADA"
    assert (first["sequence"], second["sequence"]) == (0, 1)

    await harness.pass_time(until=NOON + 10 * DAY)
    assert len(await harness.reports()) == 2
    assert await harness.store.next_due(harness.clock()) is None


@pytest.mark.parametrize(
    ("setting", "policy", "expected"),
    [
        (DAY, Wait(is_set=True, after=HOUR), NOON + HOUR),
        (None, Wait(is_set=True, after=HOUR), NOON + HOUR),
        (DAY, Wait(is_set=True, after=None), None),
        (DAY, Wait(), NOON + DAY),
        (None, Wait(), None),
    ],
)
async def test_what_an_alert_says_of_its_deadline_counts_before_the_setting(
    setting: timedelta | None, policy: Wait, expected: object
) -> None:
    alerts = AlertPolicies(by_label={a_request().alert: AlertPolicy(expire_after=policy)})
    harness = ServiceHarness(Policy(expire_after=setting, alerts=alerts))

    question = await harness.ask()
    await harness.pass_time(until=NOON + 100 * DAY)

    assert question.deadline == expected
    assert (await harness.question()).standing is (Outcome.TIMED_OUT if expected else None)
