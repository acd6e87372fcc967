"""A worker may stand still in the middle of asking, and another takes its row over: nobody is asked twice."""

from __future__ import annotations

from datetime import datetime

import pytest
from asking_harness import LOST, PLACE, AskingHarness, seconds_of
from fakes import ADA, ScriptedMessenger

from bot.errors import TransientError, TriageBotError, Undeliverable
from bot.triage import asking_rules
from bot.triage.model import Bookmark, MessageRef, Question, State


@pytest.fixture
def harness() -> AskingHarness:
    return AskingHarness()


@pytest.fixture
def other(harness: AskingHarness) -> AskingHarness:
    """Another worker on the same store."""
    return AskingHarness(beside=harness)


async def test_a_claim_that_grew_old_before_the_post_is_made_anew(harness: AskingHarness) -> None:
    async def stand_still() -> None:
        harness.clock.advance(seconds=11)

    harness.store.after_claim = stand_still
    await harness.accept()

    await harness.work(seconds=60)

    [(posted_at, claimed)] = harness.messenger.posts
    assert seconds_of([posted_at, claimed.in_doubt_since or posted_at]) == [11, 11]
    assert harness.messenger.looks == []  # it was not posted: that is certain
    assert (await harness.question()).state is State.ASKED


async def test_a_store_that_takes_its_time_costs_no_second_claim(harness: AskingHarness) -> None:
    async def take_time() -> None:
        harness.clock.advance(seconds=9)

    harness.store.after_claim = take_time
    await harness.accept()

    await harness.work()

    assert harness.post_times() == [9]


async def test_who_wakes_up_after_another_has_asked_posts_nothing(
    harness: AskingHarness, other: AskingHarness
) -> None:
    harness.store.after_claim = lambda: other.work(seconds=120)
    await harness.accept()

    await harness.work(seconds=3600)

    assert len(other.messenger.looks) == 2
    assert len(other.messenger.posts) == 1
    assert harness.messenger.posts == []
    question = await harness.question()
    assert (question.state, question.attempts) == (State.ASKED, 0)


@pytest.mark.parametrize("failure", [TransientError("no network"), Undeliverable("users_not_found")])
async def test_a_failure_before_the_claim_leaves_the_claim_of_another(
    harness: AskingHarness, failure: TriageBotError
) -> None:
    async def claim_elsewhere(_: Question | None) -> None:
        await claim(harness, at=harness.clock())

    harness.messenger.before["find"] = claim_elsewhere
    harness.messenger.people = {"ada@example.com": failure}
    await harness.accept()

    await harness.asker.ask(await harness.question())

    question = await harness.question()
    assert (question.state, question.in_doubt_since) == (State.POSTING, harness.clock())


@pytest.mark.parametrize("end", [TransientError("429"), Undeliverable("is_archived"), LOST])
async def test_whatever_becomes_of_a_late_post_leaves_the_claim_of_another(
    harness: AskingHarness, end: TriageBotError
) -> None:
    async def stand_still(_: Question | None) -> None:
        harness.clock.advance(seconds=60)
        await claim(harness, at=harness.clock())

    harness.messenger.before["post"] = stand_still
    harness.messenger.post_ends = [end]
    await harness.accept()

    await harness.asker.ask(await harness.question())

    question = await harness.question()
    assert (question.state, question.in_doubt_since) == (State.POSTING, harness.clock())


async def test_a_look_that_ends_after_another_has_claimed_again_is_none(harness: AskingHarness) -> None:
    class SlowSlack(ScriptedMessenger):
        async def look_up(
            self, question: Question, *, after: Bookmark | None = None
        ) -> MessageRef | Bookmark | None:
            if len(self.looks) == 1:
                harness.clock.advance(seconds=60)
                await claim(harness, at=harness.clock())
            return await super().look_up(question, after=after)

    harness.messenger = SlowSlack(clock=harness.clock, post_ends=[LOST], look_ends=[None, None, None, PLACE])
    harness.restart()
    await harness.accept()

    await harness.work(seconds=3600)

    assert len(harness.messenger.posts) == 1
    assert len(harness.messenger.looks) == 4  # those after the other's claim begin anew
    assert (await harness.question()).message_ref == PLACE


async def claim(harness: AskingHarness, *, at: datetime) -> None:
    """Claim the question as another worker does."""
    row = await harness.question()
    assert await harness.recorder.save(row, asking_rules.claim(row, ADA, at))
