"""A click may come before the post's own reply: whatever that reply is, the row is never moved back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from asking_desk import LOST, PLACE, Desk
from fakes import NOON, ScriptedMessenger

from bot.errors import CannotGoOn, TransientError, TriageBotError, Undeliverable, UnknownRefusal
from bot.triage.model import Bookmark, Choice, Posted, Question, State
from bot.triage.outcomes import Outcome


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.mark.parametrize(
    "end",
    [
        PLACE,
        LOST,
        TransientError("429"),
        Undeliverable("is_archived"),
        UnknownRefusal("strange_code"),
        CannotGoOn("token_revoked", remedy="Renew it."),
    ],
)
async def test_a_click_that_overtakes_the_post_is_never_moved_back(
    desk: Desk, end: Posted | TriageBotError
) -> None:
    desk.messenger.before["post"] = desk.click
    desk.messenger.post_ends = [end]
    await desk.accept()

    await desk.work()
    after_click = await desk.question()
    await desk.work(seconds=3600)

    question = await desk.question()
    assert (question.state, question.posted) == (State.ASKED, PLACE)
    assert (question.said, question.standing, question.reports) == (Choice.NO, Outcome.NO, 1)
    assert question.in_doubt_since is None
    assert question.outdated  # the redraw is still to come
    assert after_click.due_at == NOON + timedelta(seconds=20)
    assert len(desk.messenger.posts) == 1


async def test_a_click_settles_the_doubt_before_the_first_look(desk: Desk) -> None:
    desk.messenger.post_ends = [LOST]
    await desk.accept()
    await desk.work(seconds=2)

    await desk.click(await desk.question(), Choice.YES)
    await desk.work(seconds=3600)

    assert desk.messenger.looks == []
    assert len(desk.messenger.posts) == 1
    assert (await desk.question()).standing is Outcome.YES


async def test_a_click_during_a_look_that_missed_counts(desk: Desk) -> None:
    class ClickedSlack(ScriptedMessenger):
        async def look_up(
            self, question: Question, *, after: Bookmark | None = None
        ) -> Posted | Bookmark | None:
            await desk.click(question)
            desk.asker.forget(question)
            return await super().look_up(question, after=after)

    desk.messenger = ClickedSlack(clock=desk.clock, post_ends=[LOST])
    desk.restart()
    await desk.accept()

    await desk.work(seconds=3600)

    question = await desk.question()
    assert (question.state, question.standing) == (State.ASKED, Outcome.NO)
    assert len(desk.messenger.looks) == 1
    assert len(desk.messenger.posts) == 1


async def test_a_click_on_a_question_given_up_for_lost_still_counts(desk: Desk) -> None:
    desk.messenger.can_look_up = False
    desk.messenger.post_ends = [LOST]
    await desk.accept()
    await desk.work(seconds=60)

    await desk.click(await desk.question(), Choice.YES)

    question = await desk.question()
    assert (question.state, question.standing, question.reason) == (State.ASKED, Outcome.YES, "")
    assert len(await desk.store.reports_of(question.request.identifier)) == 2
