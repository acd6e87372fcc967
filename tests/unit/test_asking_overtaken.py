"""A click may come before the post's own reply: whatever that reply is, the row is never moved back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from asking_harness import LOST, PLACE, AskingHarness
from fakes import NOON, ScriptedMessenger

from bot.errors import AppRejected, TransientError, TriageBotError, Undeliverable, UnknownErrorCode
from bot.triage.model import Bookmark, Choice, MessageRef, Question, State
from bot.triage.outcomes import Outcome


@pytest.fixture
def harness() -> AskingHarness:
    return AskingHarness()


@pytest.mark.parametrize(
    "end",
    [
        PLACE,
        LOST,
        TransientError("429"),
        Undeliverable("is_archived"),
        UnknownErrorCode("strange_code"),
        AppRejected("token_revoked", remedy="Renew it."),
    ],
)
async def test_a_click_that_overtakes_the_post_is_never_moved_back(
    harness: AskingHarness, end: MessageRef | TriageBotError
) -> None:
    harness.messenger.before["post"] = harness.click
    harness.messenger.post_ends = [end]
    await harness.accept()

    await harness.work()
    after_click = await harness.question()
    await harness.work(seconds=3600)

    question = await harness.question()
    assert (question.state, question.message_ref) == (State.ASKED, PLACE)
    assert (question.said, question.standing, question.reports) == (Choice.NO, Outcome.NO, 1)
    assert question.in_doubt_since is None
    assert question.outdated  # the redraw is still to come
    assert after_click.due_at == NOON + timedelta(seconds=20)
    assert len(harness.messenger.posts) == 1


async def test_a_click_settles_the_doubt_before_the_first_look(harness: AskingHarness) -> None:
    harness.messenger.post_ends = [LOST]
    await harness.accept()
    await harness.work(seconds=2)

    await harness.click(await harness.question(), Choice.YES)
    await harness.work(seconds=3600)

    assert harness.messenger.looks == []
    assert len(harness.messenger.posts) == 1
    assert (await harness.question()).standing is Outcome.YES


async def test_a_click_during_a_look_that_missed_counts(harness: AskingHarness) -> None:
    class ClickedSlack(ScriptedMessenger):
        async def look_up(
            self, question: Question, *, after: Bookmark | None = None
        ) -> MessageRef | Bookmark | None:
            await harness.click(question)
            harness.asker.forget(question)
            return await super().look_up(question, after=after)

    harness.messenger = ClickedSlack(clock=harness.clock, post_ends=[LOST])
    harness.restart()
    await harness.accept()

    await harness.work(seconds=3600)

    question = await harness.question()
    assert (question.state, question.standing) == (State.ASKED, Outcome.NO)
    assert len(harness.messenger.looks) == 1
    assert len(harness.messenger.posts) == 1


async def test_a_click_on_a_question_given_up_for_lost_still_counts(harness: AskingHarness) -> None:
    harness.messenger.can_look_up = False
    harness.messenger.post_ends = [LOST]
    await harness.accept()
    await harness.work(seconds=60)

    await harness.click(await harness.question(), Choice.YES)

    question = await harness.question()
    assert (question.state, question.standing, question.reason) == (State.ASKED, Outcome.YES, "")
    assert len(await harness.store.reports_of(question.request.identifier)) == 2
