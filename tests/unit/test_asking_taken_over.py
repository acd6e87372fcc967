"""A worker may stand still in the middle of asking, and another takes its row over: nobody is asked twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from asking_desk import LOST, PLACE, Desk, seconds_of
from fakes import ADA, ScriptedMessenger

from bot.errors import TransientError, TriageBotError, Undeliverable
from bot.triage import asking_rules
from bot.triage.model import Bookmark, Posted, Question, State

if TYPE_CHECKING:
    from datetime import datetime


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def other(desk: Desk) -> Desk:
    """Another worker on the same store."""
    return Desk(beside=desk)


async def test_a_claim_that_grew_old_before_the_post_is_made_anew(desk: Desk) -> None:
    async def stand_still() -> None:
        desk.clock.advance(seconds=11)

    desk.store.after_claim = stand_still
    await desk.accept()

    await desk.work(seconds=60)

    [(posted_at, claimed)] = desk.messenger.posts
    assert seconds_of([posted_at, claimed.in_doubt_since or posted_at]) == [11, 11]
    assert desk.messenger.looks == []  # it was not posted: that is certain
    assert (await desk.question()).state is State.ASKED


async def test_a_store_that_takes_its_time_costs_no_second_claim(desk: Desk) -> None:
    async def take_time() -> None:
        desk.clock.advance(seconds=9)

    desk.store.after_claim = take_time
    await desk.accept()

    await desk.work()

    assert desk.post_times() == [9]


async def test_who_wakes_up_after_another_has_asked_posts_nothing(desk: Desk, other: Desk) -> None:
    desk.store.after_claim = lambda: other.work(seconds=120)
    await desk.accept()

    await desk.work(seconds=3600)

    assert len(other.messenger.looks) == 2
    assert len(other.messenger.posts) == 1
    assert desk.messenger.posts == []
    question = await desk.question()
    assert (question.state, question.attempts) == (State.ASKED, 0)


@pytest.mark.parametrize("failure", [TransientError("no network"), Undeliverable("users_not_found")])
async def test_a_failure_before_the_claim_leaves_the_claim_of_another(
    desk: Desk, failure: TriageBotError
) -> None:
    async def claim_elsewhere(_: Question | None) -> None:
        await claim(desk, at=desk.clock())

    desk.messenger.before["find"] = claim_elsewhere
    desk.messenger.people = {"ada@example.com": failure}
    await desk.accept()

    await desk.asker.ask(await desk.question())

    question = await desk.question()
    assert (question.state, question.in_doubt_since) == (State.POSTING, desk.clock())


@pytest.mark.parametrize("end", [TransientError("429"), Undeliverable("is_archived"), LOST])
async def test_whatever_becomes_of_a_late_post_leaves_the_claim_of_another(
    desk: Desk, end: TriageBotError
) -> None:
    async def stand_still(_: Question | None) -> None:
        desk.clock.advance(seconds=60)
        await claim(desk, at=desk.clock())

    desk.messenger.before["post"] = stand_still
    desk.messenger.post_ends = [end]
    await desk.accept()

    await desk.asker.ask(await desk.question())

    question = await desk.question()
    assert (question.state, question.in_doubt_since) == (State.POSTING, desk.clock())


async def test_a_look_that_ends_after_another_has_claimed_again_is_none(desk: Desk) -> None:
    class SlowSlack(ScriptedMessenger):
        async def look_up(
            self, question: Question, *, after: Bookmark | None = None
        ) -> Posted | Bookmark | None:
            if len(self.looks) == 1:
                desk.clock.advance(seconds=60)
                await claim(desk, at=desk.clock())
            return await super().look_up(question, after=after)

    desk.messenger = SlowSlack(clock=desk.clock, post_ends=[LOST], look_ends=[None, None, None, PLACE])
    desk.restart()
    await desk.accept()

    await desk.work(seconds=3600)

    assert len(desk.messenger.posts) == 1
    assert len(desk.messenger.looks) == 4  # those after the other's claim begin anew
    assert (await desk.question()).posted == PLACE


async def claim(desk: Desk, *, at: datetime) -> None:
    """Claim the question as another worker does."""
    row = await desk.question()
    assert await desk.recorder.save(row, asking_rules.claim(row, ADA, at))
