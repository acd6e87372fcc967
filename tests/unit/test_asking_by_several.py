"""Two workers with one question, as when the first one's lease ran out while it was slow."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from asking_desk import LOST, Desk
from fakes import NOON

from bot.errors import TransientError
from bot.triage.model import Question, State

if TYPE_CHECKING:
    from bot.triage.asking import Asker

SECOND = timedelta(seconds=1)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def another_worker(desk: Desk) -> Asker:
    """Give the desk a new worker, with the same store and the same Slack; return the one it had."""
    first = desk.asker
    desk.restart()
    return first


async def in_doubt(desk: Desk) -> Question:
    """Let the answer to a post be lost; return the row."""
    desk.messenger.post_ends = [LOST]
    await desk.accept()
    await desk.work()
    return await desk.question()


async def ask_at(desk: Desk, asker: Asker, seconds: float) -> Question:
    """Let a worker take a step with the row as it is; return the row as it was before."""
    desk.clock.now = NOON + seconds * SECOND
    row = await desk.question()
    await asker.ask(row)
    return row


async def test_what_one_worker_did_not_find_says_nothing_of_what_another_posts_now(desk: Desk) -> None:
    await in_doubt(desk)
    slow, quick = another_worker(desk), desk.asker
    await ask_at(desk, slow, 5)
    await ask_at(desk, quick, 5)
    await ask_at(desk, quick, 20)

    async def let_the_slow_one_conclude(_: Question | None) -> None:
        del desk.messenger.before["post"]
        await slow.ask(seen_by_both)
        await slow.ask(await desk.question())

    desk.messenger.before["post"] = let_the_slow_one_conclude
    seen_by_both = await ask_at(desk, quick, 30)
    await ask_at(desk, quick, 30)
    await desk.work(seconds=3600)

    assert desk.post_times() == [0, 30]
    assert (await desk.question()).state is State.ASKED


async def test_a_look_for_one_post_is_no_look_for_the_next(desk: Desk) -> None:
    async def die(_: Question | None) -> None:
        del desk.messenger.before["post"]
        raise RuntimeError("killed")

    await in_doubt(desk)
    patient, quick = another_worker(desk), desk.asker
    await ask_at(desk, patient, 5)
    await ask_at(desk, quick, 5)
    await ask_at(desk, quick, 20)
    await ask_at(desk, quick, 30)
    desk.messenger.before["post"] = die
    with pytest.raises(RuntimeError, match="killed"):
        await ask_at(desk, quick, 30)
    desk.asker = patient
    before = len(desk.messenger.looks)

    await ask_at(desk, patient, 31)
    await desk.work(seconds=3600)

    assert desk.look_times()[before:] == [50, 60]
    assert desk.post_times() == [0, 30, 60]


async def test_a_post_that_was_not_done_leaves_another_workers_in_doubt(desk: Desk) -> None:
    await desk.accept()
    slow, quick = another_worker(desk), desk.asker

    async def take_over(_: Question | None) -> None:
        del desk.messenger.before["post"]
        for seconds in (1, 20, 30, 30):
            await ask_at(desk, quick, seconds)

    desk.messenger.before["post"] = take_over
    desk.messenger.post_ends = [LOST, TransientError("429")]
    await slow.ask(await desk.question())

    question = await desk.question()
    assert (question.state, question.in_doubt_since) == (State.POSTING, NOON + 30 * SECOND)
    assert desk.post_times() == [0, 30]
