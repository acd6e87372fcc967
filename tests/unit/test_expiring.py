"""What is not asked in time is told to MozDef, and is asked all the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from fakes import ADA, ADDRESS, NOON, a_request
from service_harness import ServiceHarness, a_click

from bot.errors import StoreError, TransientError
from bot.triage import asking_rules
from bot.triage.model import Choice, Question, State, Work
from bot.triage.outcomes import Outcome
from bot.triage.policy import Policy

DAY = timedelta(hours=24)
POLICY = Policy()
ACCEPTED = asking_rules.accept(a_request(), "key.secret", NOON, POLICY).question


@pytest.fixture
def harness() -> ServiceHarness:
    return ServiceHarness()


async def accept_and_wait(harness: ServiceHarness) -> Question:
    """Accept a request while Slack is away, until its deadline."""
    harness.messenger.people = {ADDRESS: TransientError("no network")}
    question = await harness.accept()
    await harness.service.work_on(question, Work.ASK)
    harness.clock.now = NOON + DAY
    return await harness.question()


async def facts(harness: ServiceHarness) -> list[Mapping[str, object]]:
    bodies = [json.loads(report.body) for report in await harness.reports()]
    return [body["details"]["triagebot"] | {"category": body["category"]} for body in bodies]


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
    await harness.service.answer(a_click(asked, Choice.YES))

    question = await harness.question()
    assert (question.standing, question.reason) == (Outcome.YES, "")
    first, second = await facts(harness)
    assert (second["outcome"], second["sequence"], second["category"]) == ("yes", 1, "triagebot")
    assert "reason" not in second
    assert first["outcome"] == "undeliverable"


async def test_nobody_expires_early(harness: ServiceHarness) -> None:
    waiting = await accept_and_wait(harness)
    harness.clock.now = NOON + DAY - timedelta(microseconds=1)
    assert list(await harness.store.overdue(harness.clock(), limit=10)) == []

    await harness.service.expire(waiting)

    assert await harness.question() == waiting
    assert await harness.reports() == []


async def test_a_deadline_that_cannot_be_stored_is_met_later_and_once(harness: ServiceHarness) -> None:
    waiting = await accept_and_wait(harness)
    harness.store.fails = [StoreError("disk full")]
    with pytest.raises(StoreError):
        await harness.service.expire(waiting)
    assert await harness.reports() == []

    await harness.service.expire(waiting)
    await harness.service.expire(waiting)

    assert len(await harness.reports()) == 1


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
