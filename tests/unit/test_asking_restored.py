"""A restored backup does not know what was asked since: whoever may have been asked is looked up first."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from asking_harness import PLACE, AskingHarness
from fakes import ADA, ADDRESS, NOON, a_message, a_request
from service_harness import PLACE as CLICKED
from service_harness import ServiceHarness as ServiceDesk
from service_harness import a_click

from bot.errors import TransientError, Undeliverable
from bot.triage.answer_rules import Refusal
from bot.triage.model import Choice, Question, Shown, State
from bot.triage.outcomes import Outcome

RESTORED = NOON + timedelta(hours=3)
DAY = timedelta(hours=24)


@pytest.fixture
def harness() -> AskingHarness:
    return AskingHarness()


async def restore(harness: AskingHarness) -> None:
    """Start with a backup that was made right after a request was accepted."""
    await harness.accept()
    harness.clock.now = RESTORED
    await harness.store.reset_after_restore(RESTORED)
    harness.restart()


async def test_whoever_was_asked_since_the_backup_is_found_and_not_asked_again(
    harness: AskingHarness,
) -> None:
    await restore(harness)
    harness.messenger.look_ends = [PLACE]

    await harness.work(seconds=3600)

    question = await harness.question()
    assert (question.state, question.message_ref) == (State.ASKED, PLACE)
    assert question.slack_id == ADA.slack_id
    assert question.claimed_at == NOON  # the look-up starts where the request was accepted
    assert harness.messenger.posts == []


async def test_whoever_was_not_asked_is_asked_once_after_two_looks(harness: AskingHarness) -> None:
    await restore(harness)

    await harness.work(seconds=3600)

    assert (await harness.question()).state is State.ASKED
    assert [moment - RESTORED for moment in harness.messenger.looks] == [
        timedelta(seconds=20),
        timedelta(seconds=30),
    ]
    assert len(harness.messenger.posts) == 1


async def test_a_person_who_cannot_be_found_now_is_still_looked_up_later(harness: AskingHarness) -> None:
    await restore(harness)
    harness.messenger.people = {ADDRESS: TransientError("no network")}
    await harness.work(seconds=100)
    waiting = await harness.question()

    harness.messenger.people = {ADDRESS: ADA}
    await harness.work(seconds=3600)

    assert (waiting.state, waiting.in_doubt_since) == (State.ACCEPTED, RESTORED)
    assert len(harness.messenger.looks) == 2
    assert len(harness.messenger.posts) == 1


async def test_a_crash_after_the_person_was_found_changes_nothing(harness: AskingHarness) -> None:
    await restore(harness)
    harness.messenger.look_ends = [None, None, PLACE]
    await harness.work(seconds=22)
    assert (await harness.question()).state is State.POSTING

    harness.restart()
    await harness.work(seconds=3600)

    assert harness.messenger.posts == []
    assert (await harness.question()).message_ref == PLACE


async def test_a_person_who_is_not_there_any_more_ends_it(harness: AskingHarness) -> None:
    await restore(harness)
    harness.messenger.people = {ADDRESS: Undeliverable("users_not_found")}

    await harness.work(seconds=3600)

    assert await harness.reasons() == ["users_not_found"]
    assert harness.messenger.posts == []


async def test_without_the_history_scope_nobody_is_asked_for_a_second_time(harness: AskingHarness) -> None:
    await restore(harness)
    harness.messenger.can_look_up = False

    await harness.work(seconds=3600)

    question = await harness.question()
    assert (question.state, question.standing) == (State.CLOSED, Outcome.UNDELIVERABLE)
    assert await harness.reasons() == ["delivery_unknown"]
    assert harness.messenger.posts == []


# A click, before the look-up


async def restored_at_once() -> tuple[ServiceDesk, Question]:
    """A service that starts with a backup, in which an open question was not asked yet; it was since."""
    harness = ServiceDesk()
    await harness.accept()
    await harness.store.reset_after_restore(NOON)
    harness.restart()
    question = await harness.question()
    harness.messenger.shown = {question.ref: a_message(question, shown=Shown(reports=0))}
    return harness, question


async def test_a_click_finds_out_whom_the_question_was_put_to_and_is_an_answer() -> None:
    harness, question = await restored_at_once()

    answered = await harness.service.answer(a_click(question, Choice.NO))

    assert isinstance(answered, Question)
    assert (answered.standing, answered.slack_id, answered.message_ref) == (Outcome.NO, ADA.slack_id, CLICKED)
    await harness.pass_time(until=NOON + timedelta(hours=1))
    assert (harness.messenger.posts, harness.messenger.looks) == ([], [])


async def test_a_click_of_somebody_else_is_refused_as_ever() -> None:
    harness, question = await restored_at_once()

    refusal = await harness.service.answer(replace(a_click(question), slack_id="U0EVE"))

    assert refusal is Refusal.OTHER_PERSON
    assert (await harness.question()).standing is None


async def test_a_click_that_cannot_be_judged_yet_can_be_repeated() -> None:
    harness, question = await restored_at_once()
    harness.messenger.people = {ADDRESS: TransientError("no network")}
    with pytest.raises(TransientError):
        await harness.service.answer(a_click(question))

    harness.messenger.people = {ADDRESS: ADA}

    assert isinstance(await harness.service.answer(a_click(question)), Question)


async def test_a_click_on_a_question_of_somebody_who_is_not_there_any_more_is_refused() -> None:
    harness, question = await restored_at_once()
    harness.messenger.people = {ADDRESS: Undeliverable("users_not_found")}

    assert await harness.service.answer(a_click(question)) is Refusal.OTHER_PERSON


async def test_a_request_that_comes_after_the_restoring_is_asked_once_the_history_has_settled(
    harness: AskingHarness,
) -> None:
    await restore(harness)
    await harness.accept(a_request("new"))

    await harness.work(seconds=30)

    assert (await harness.question("new")).state is State.ASKED
