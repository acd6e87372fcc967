"""Two workers with one question, as when the first one's lease ran out while it was slow."""

from __future__ import annotations

from datetime import timedelta

import pytest
from asking_harness import LOST, AskingHarness
from fakes import NOON

from bot.errors import TransientError
from bot.triage.asking import Asker
from bot.triage.model import Question, State

SECOND = timedelta(seconds=1)


@pytest.fixture
def harness() -> AskingHarness:
    return AskingHarness()


def another_worker(harness: AskingHarness) -> Asker:
    """Give the harness a new worker, with the same store and the same Slack; return the one it had."""
    first = harness.asker
    harness.restart()
    return first


async def in_doubt(harness: AskingHarness) -> Question:
    """Let the answer to a post be lost; return the row."""
    harness.messenger.post_ends = [LOST]
    await harness.accept()
    await harness.work()
    return await harness.question()


async def ask_at(harness: AskingHarness, asker: Asker, seconds: float) -> Question:
    """Let a worker take a step with the row as it is; return the row as it was before."""
    harness.clock.now = NOON + seconds * SECOND
    row = await harness.question()
    await asker.ask(row)
    return row


async def test_what_one_worker_did_not_find_says_nothing_of_what_another_posts_now(
    harness: AskingHarness,
) -> None:
    await in_doubt(harness)
    slow, quick = another_worker(harness), harness.asker
    await ask_at(harness, slow, 5)
    await ask_at(harness, quick, 5)
    await ask_at(harness, quick, 20)

    async def let_the_slow_one_conclude(_: Question | None) -> None:
        del harness.messenger.before["post"]
        await slow.ask(seen_by_both)
        await slow.ask(await harness.question())

    harness.messenger.before["post"] = let_the_slow_one_conclude
    seen_by_both = await ask_at(harness, quick, 30)
    await ask_at(harness, quick, 30)
    await harness.work(seconds=3600)

    assert harness.post_times() == [0, 30]
    assert (await harness.question()).state is State.ASKED


async def test_a_look_for_one_post_is_no_look_for_the_next(harness: AskingHarness) -> None:
    async def die(_: Question | None) -> None:
        del harness.messenger.before["post"]
        raise RuntimeError("killed")

    await in_doubt(harness)
    patient, quick = another_worker(harness), harness.asker
    await ask_at(harness, patient, 5)
    await ask_at(harness, quick, 5)
    await ask_at(harness, quick, 20)
    await ask_at(harness, quick, 30)
    harness.messenger.before["post"] = die
    with pytest.raises(RuntimeError, match="killed"):
        await ask_at(harness, quick, 30)
    harness.asker = patient
    before = len(harness.messenger.looks)

    await ask_at(harness, patient, 31)
    await harness.work(seconds=3600)

    assert harness.look_times()[before:] == [50, 60]
    assert harness.post_times() == [0, 30, 60]


async def test_a_post_that_was_not_done_leaves_another_workers_in_doubt(harness: AskingHarness) -> None:
    await harness.accept()
    slow, quick = another_worker(harness), harness.asker

    async def take_over(_: Question | None) -> None:
        del harness.messenger.before["post"]
        for seconds in (1, 20, 30, 30):
            await ask_at(harness, quick, seconds)

    harness.messenger.before["post"] = take_over
    harness.messenger.post_ends = [LOST, TransientError("429")]
    await slow.ask(await harness.question())

    question = await harness.question()
    assert (question.state, question.in_doubt_since) == (State.POSTING, NOON + 30 * SECOND)
    assert harness.post_times() == [0, 30]
