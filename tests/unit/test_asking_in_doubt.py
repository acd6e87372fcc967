"""A question that may or may not stand in Slack is looked up before it is ever posted again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from asking_desk import LOST, PLACE, Desk, people
from fakes import ADA, NOON, a_request

from bot.errors import (
    AmbiguousError,
    CannotGoOn,
    StoreError,
    TransientError,
    TriageBotError,
    Undeliverable,
    UnknownRefusal,
)
from bot.triage import asking_rules
from bot.triage.model import Question, State
from bot.triage.outcomes import Outcome


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_a_lost_answer_is_looked_up_twice_and_then_posted_again_once(desk: Desk) -> None:
    desk.messenger.post_ends = [LOST]
    await desk.accept()

    await desk.work(seconds=3600)

    assert desk.look_times() == [5, 15]
    assert desk.post_times() == [0, 15]
    question = await desk.question()
    assert question.state is State.ASKED
    assert question.claimed_at == NOON


async def test_a_question_in_doubt_is_not_looked_up_too_soon_even_when_asked_to(desk: Desk) -> None:
    desk.messenger.post_ends = [LOST]
    await desk.accept()
    await desk.work()

    for _ in range(4):
        desk.clock.advance(seconds=1)
        await desk.asker.ask(await desk.question())

    assert desk.messenger.looks == []


async def test_a_question_in_doubt_that_is_found_was_asked(desk: Desk) -> None:
    desk.messenger.post_ends = [LOST]
    desk.messenger.look_ends = [PLACE]
    await desk.accept()

    await desk.work(seconds=3600)

    question = await desk.question()
    assert (question.state, question.posted) == (State.ASKED, PLACE)
    assert question.asked_at == NOON + timedelta(seconds=5)
    assert desk.post_times() == [0]
    assert desk.look_times() == [5]


async def test_a_question_that_shows_late_is_found_by_the_second_look(desk: Desk) -> None:
    desk.messenger.post_ends = [LOST]
    desk.messenger.look_ends = [None, PLACE]
    await desk.accept()

    await desk.work(seconds=3600)

    assert (await desk.question()).posted == PLACE
    assert desk.post_times() == [0]


@pytest.mark.parametrize(
    "failure",
    [
        TransientError("no network"),
        AmbiguousError("half a page"),
        Undeliverable("channel_not_found"),
        UnknownRefusal("strange_code"),
        CannotGoOn("token_revoked", remedy="Renew it."),
    ],
)
async def test_a_look_that_failed_never_counts(desk: Desk, failure: TriageBotError) -> None:
    desk.messenger.post_ends = [LOST]
    desk.messenger.look_ends = [failure, None, failure, failure, None]
    await desk.accept()

    await desk.work(seconds=3600)

    assert len(desk.messenger.looks) == 5
    missed = desk.look_times()[1], desk.look_times()[4]
    assert missed[1] - missed[0] >= 10
    assert desk.post_times() == [0, missed[1]]
    assert (await desk.question()).state is State.ASKED


async def test_looks_that_only_fail_never_repeat_the_question(desk: Desk) -> None:
    desk.messenger.post_ends = [LOST]
    desk.messenger.look_ends = [Undeliverable("user_disabled")] * 1000
    await desk.accept()

    await desk.work(seconds=2 * 3600)

    question = await desk.question()
    assert desk.post_times() == [0]
    assert (question.state, question.in_doubt_since, question.standing) == (State.POSTING, NOON, None)
    assert len(desk.messenger.looks) > 100


async def test_each_doubt_is_looked_into_anew(desk: Desk) -> None:
    desk.messenger.post_ends = [LOST, LOST]
    await desk.accept()

    await desk.work(seconds=3600)

    assert desk.look_times() == [5, 15, 20, 30]
    assert desk.post_times() == [0, 15, 30]


async def test_a_row_that_a_crash_left_in_doubt_is_looked_up_after_the_start(desk: Desk) -> None:
    await desk.accept()
    accepted = await desk.question()
    claim = asking_rules.claim(accepted, ADA, NOON)
    assert await desk.recorder.save(accepted, claim)
    desk.restart()
    started = claim.question.due_at
    assert started is not None
    desk.messenger.look_ends = [None, PLACE]

    await desk.work(seconds=3600)

    assert [moment - started for moment in desk.messenger.looks] == [
        timedelta(seconds=5),
        timedelta(seconds=15),
    ]
    assert desk.messenger.posts == []
    assert (await desk.question()).posted == PLACE


async def test_a_restart_between_two_looks_looks_twice_again(desk: Desk) -> None:
    desk.messenger.post_ends = [LOST]
    await desk.accept()
    await desk.work(seconds=6)
    assert desk.look_times() == [5]

    desk.restart()
    await desk.work(seconds=3600)

    assert len(desk.messenger.looks) == 3
    assert len(desk.messenger.posts) == 2


async def test_a_reply_that_could_not_be_stored_is_found_by_a_look(desk: Desk) -> None:
    async def break_store(_: Question | None) -> None:
        desk.store.fails = [StoreError("disk full")]

    desk.messenger.before["post"] = break_store
    desk.messenger.look_ends = [PLACE]
    await desk.accept()

    with pytest.raises(StoreError):
        await desk.work()
    await desk.work(seconds=3600)

    assert len(desk.messenger.posts) == 1
    assert (await desk.question()).posted == PLACE


async def test_without_the_history_scope_a_question_in_doubt_is_settled_and_never_repeated(
    desk: Desk,
) -> None:
    desk.messenger.can_look_up = False
    desk.messenger.post_ends = [LOST]
    await desk.accept()

    await desk.work(seconds=3600)

    question = await desk.question()
    assert (question.state, question.standing) == (State.CLOSED, Outcome.UNDELIVERABLE)
    assert await desk.reasons() == ["delivery_unknown"]
    assert len(desk.messenger.posts) == 1
    assert len(await desk.store.reports_of(question.request.identifier)) == 1


async def test_a_scope_that_is_gone_at_run_time_is_looked_for_every_minute(desk: Desk) -> None:
    desk.messenger.people |= people("grace")
    desk.messenger.post_ends = [LOST]
    desk.messenger.look_ends = [CannotGoOn("missing_scope", remedy="Renew it.")] * 3 + [PLACE]
    await desk.accept()
    await desk.work(seconds=10)

    await desk.accept(a_request("another", user="grace@example.com"))
    await desk.work(seconds=3600)

    gaps = [later - earlier for earlier, later in zip(desk.look_times(), desk.look_times()[1:], strict=False)]
    assert len(gaps) == 3
    assert all(60 <= gap <= 90 for gap in gaps)
    assert (await desk.question()).posted == PLACE
    others = await desk.question("another")
    assert others.asked_at == NOON + timedelta(seconds=10)
