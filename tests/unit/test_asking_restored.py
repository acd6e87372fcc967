"""A restored backup does not know what was asked since: whoever may have been asked is looked up first."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from asking_desk import PLACE, Desk
from fakes import ADA, ADDRESS, NOON, a_request
from service_desk import PLACE as CLICKED
from service_desk import Desk as ServiceDesk
from service_desk import a_click

from bot.errors import TransientError, Undeliverable
from bot.triage.answer_rules import Refusal
from bot.triage.model import Choice, Question, State
from bot.triage.outcomes import Outcome

RESTORED = NOON + timedelta(hours=3)
DAY = timedelta(hours=24)


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def restore(desk: Desk) -> None:
    """Start with a backup that was made right after a request was accepted."""
    await desk.accept()
    desk.clock.now = RESTORED
    await desk.store.treat_as_restored(RESTORED)
    desk.restart()


async def test_whoever_was_asked_since_the_backup_is_found_and_not_asked_again(desk: Desk) -> None:
    await restore(desk)
    desk.messenger.look_ends = [PLACE]

    await desk.work(seconds=3600)

    question = await desk.question()
    assert (question.state, question.posted) == (State.ASKED, PLACE)
    assert question.slack_id == ADA.slack_id
    assert question.claimed_at == NOON  # the look-up starts where the request was accepted
    assert desk.messenger.posts == []


async def test_whoever_was_not_asked_is_asked_once_after_two_looks(desk: Desk) -> None:
    await restore(desk)

    await desk.work(seconds=3600)

    assert (await desk.question()).state is State.ASKED
    assert [moment - RESTORED for moment in desk.messenger.looks] == [
        timedelta(seconds=20),
        timedelta(seconds=30),
    ]
    assert len(desk.messenger.posts) == 1


async def test_a_person_who_cannot_be_found_now_is_still_looked_up_later(desk: Desk) -> None:
    await restore(desk)
    desk.messenger.people = {ADDRESS: TransientError("no network")}
    await desk.work(seconds=100)
    waiting = await desk.question()

    desk.messenger.people = {ADDRESS: ADA}
    await desk.work(seconds=3600)

    assert (waiting.state, waiting.in_doubt_since) == (State.ACCEPTED, RESTORED)
    assert len(desk.messenger.looks) == 2
    assert len(desk.messenger.posts) == 1


async def test_a_crash_after_the_person_was_found_changes_nothing(desk: Desk) -> None:
    await restore(desk)
    desk.messenger.look_ends = [None, None, PLACE]
    await desk.work(seconds=22)
    assert (await desk.question()).state is State.POSTING

    desk.restart()
    await desk.work(seconds=3600)

    assert desk.messenger.posts == []
    assert (await desk.question()).posted == PLACE


async def test_a_person_who_is_not_there_any_more_ends_it(desk: Desk) -> None:
    await restore(desk)
    desk.messenger.people = {ADDRESS: Undeliverable("users_not_found")}

    await desk.work(seconds=3600)

    assert await desk.reasons() == ["users_not_found"]
    assert desk.messenger.posts == []


async def test_without_the_history_scope_nobody_is_asked_for_a_second_time(desk: Desk) -> None:
    await restore(desk)
    desk.messenger.can_look_up = False

    await desk.work(seconds=3600)

    question = await desk.question()
    assert (question.state, question.standing) == (State.CLOSED, Outcome.UNDELIVERABLE)
    assert await desk.reasons() == ["delivery_unknown"]
    assert desk.messenger.posts == []


# A click, before the look-up


async def restored_at_once() -> tuple[ServiceDesk, Question]:
    """A service that starts with a backup, in which an open question was not asked yet; it was since."""
    desk = ServiceDesk()
    await desk.accept()
    await desk.store.treat_as_restored(NOON)
    return desk, await desk.question()


async def test_a_click_finds_out_whom_the_question_was_put_to_and_is_an_answer() -> None:
    desk, question = await restored_at_once()

    answered = await desk.service.answer(a_click(question, Choice.NO))

    assert isinstance(answered, Question)
    assert (answered.standing, answered.slack_id, answered.posted) == (Outcome.NO, ADA.slack_id, CLICKED)
    await desk.pass_time(until=NOON + timedelta(hours=1))
    assert (desk.messenger.posts, desk.messenger.looks) == ([], [])


async def test_a_click_of_somebody_else_is_refused_as_ever() -> None:
    desk, question = await restored_at_once()

    refusal = await desk.service.answer(replace(a_click(question), slack_id="U0EVE"))

    assert refusal is Refusal.OTHER_PERSON
    assert (await desk.question()).standing is None


async def test_a_click_that_cannot_be_judged_yet_can_be_repeated() -> None:
    desk, question = await restored_at_once()
    desk.messenger.people = {ADDRESS: TransientError("no network")}
    with pytest.raises(TransientError):
        await desk.service.answer(a_click(question))

    desk.messenger.people = {ADDRESS: ADA}

    assert isinstance(await desk.service.answer(a_click(question)), Question)


async def test_a_click_on_a_question_of_somebody_who_is_not_there_any_more_is_refused() -> None:
    desk, question = await restored_at_once()
    desk.messenger.people = {ADDRESS: Undeliverable("users_not_found")}

    assert await desk.service.answer(a_click(question)) is Refusal.OTHER_PERSON


async def test_a_request_that_comes_after_the_restoring_is_asked_at_once(desk: Desk) -> None:
    await restore(desk)
    await desk.accept(a_request("new"))

    await desk.work()

    assert (await desk.question("new")).state is State.ASKED
