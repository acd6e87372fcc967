"""A question that may or may not stand in Slack is looked up before it is ever posted again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from asking_harness import LOST, PLACE, AskingHarness, people
from fakes import ADA, NOON, a_request

from bot.errors import (
    AmbiguousError,
    AppRejected,
    StoreError,
    TransientError,
    TriageBotError,
    Undeliverable,
    UnknownErrorCode,
)
from bot.triage import asking_rules
from bot.triage.model import Question, State
from bot.triage.outcomes import Outcome


@pytest.fixture
def harness() -> AskingHarness:
    return AskingHarness()


async def test_a_lost_answer_is_looked_up_twice_and_then_posted_again_once(harness: AskingHarness) -> None:
    harness.messenger.post_ends = [LOST]
    await harness.accept()

    await harness.work(seconds=3600)

    assert harness.look_times() == [5, 15]
    assert harness.post_times() == [0, 15]
    question = await harness.question()
    assert question.state is State.ASKED
    assert question.claimed_at == NOON


async def test_a_question_in_doubt_is_not_looked_up_too_soon_even_when_asked_to(
    harness: AskingHarness,
) -> None:
    harness.messenger.post_ends = [LOST]
    await harness.accept()
    await harness.work()

    for _ in range(4):
        harness.clock.advance(seconds=1)
        await harness.asker.ask(await harness.question())

    assert harness.messenger.looks == []


async def test_a_question_in_doubt_that_is_found_was_asked(harness: AskingHarness) -> None:
    harness.messenger.post_ends = [LOST]
    harness.messenger.look_ends = [PLACE]
    await harness.accept()

    await harness.work(seconds=3600)

    question = await harness.question()
    assert (question.state, question.message_ref) == (State.ASKED, PLACE)
    assert question.asked_at == NOON + timedelta(seconds=5)
    assert harness.post_times() == [0]
    assert harness.look_times() == [5]


async def test_a_question_that_shows_late_is_found_by_the_second_look(harness: AskingHarness) -> None:
    harness.messenger.post_ends = [LOST]
    harness.messenger.look_ends = [None, PLACE]
    await harness.accept()

    await harness.work(seconds=3600)

    assert (await harness.question()).message_ref == PLACE
    assert harness.post_times() == [0]


@pytest.mark.parametrize(
    "failure",
    [
        TransientError("no network"),
        AmbiguousError("half a page"),
        Undeliverable("channel_not_found"),
        UnknownErrorCode("strange_code"),
        AppRejected("token_revoked", remedy="Renew it."),
    ],
)
async def test_a_look_that_failed_never_counts(harness: AskingHarness, failure: TriageBotError) -> None:
    harness.messenger.post_ends = [LOST]
    harness.messenger.look_ends = [failure, None, failure, failure, None]
    await harness.accept()

    await harness.work(seconds=3600)

    assert len(harness.messenger.looks) == 5
    missed = harness.look_times()[1], harness.look_times()[4]
    assert missed[1] - missed[0] >= 10
    assert harness.post_times() == [0, missed[1]]
    assert (await harness.question()).state is State.ASKED


async def test_looks_that_only_fail_never_repeat_the_question(harness: AskingHarness) -> None:
    harness.messenger.post_ends = [LOST]
    harness.messenger.look_ends = [Undeliverable("user_disabled")] * 1000
    await harness.accept()

    await harness.work(seconds=2 * 3600)

    question = await harness.question()
    assert harness.post_times() == [0]
    assert (question.state, question.in_doubt_since, question.standing) == (State.POSTING, NOON, None)
    assert len(harness.messenger.looks) > 100


async def test_each_doubt_is_looked_into_anew(harness: AskingHarness) -> None:
    harness.messenger.post_ends = [LOST, LOST]
    await harness.accept()

    await harness.work(seconds=3600)

    assert harness.look_times() == [5, 15, 20, 30]
    assert harness.post_times() == [0, 15, 30]


async def test_a_row_that_a_crash_left_in_doubt_is_looked_up_after_the_start(harness: AskingHarness) -> None:
    await harness.accept()
    accepted = await harness.question()
    claim = asking_rules.claim(accepted, ADA, NOON)
    assert await harness.recorder.save(accepted, claim)
    harness.restart()
    started = claim.question.due_at
    assert started is not None
    harness.messenger.look_ends = [None, PLACE]

    await harness.work(seconds=3600)

    assert [moment - started for moment in harness.messenger.looks] == [
        timedelta(seconds=5),
        timedelta(seconds=15),
    ]
    assert harness.messenger.posts == []
    assert (await harness.question()).message_ref == PLACE


async def test_a_restart_between_two_looks_looks_twice_again(harness: AskingHarness) -> None:
    harness.messenger.post_ends = [LOST]
    await harness.accept()
    await harness.work(seconds=6)
    assert harness.look_times() == [5]

    harness.restart()
    await harness.work(seconds=3600)

    assert len(harness.messenger.looks) == 3
    assert len(harness.messenger.posts) == 2


async def test_a_reply_that_could_not_be_stored_is_found_by_a_look(harness: AskingHarness) -> None:
    async def break_store(_: Question | None) -> None:
        harness.store.fails = [StoreError("disk full")]

    harness.messenger.before["post"] = break_store
    harness.messenger.look_ends = [PLACE]
    await harness.accept()

    with pytest.raises(StoreError):
        await harness.work()
    await harness.work(seconds=3600)

    assert len(harness.messenger.posts) == 1
    assert (await harness.question()).message_ref == PLACE


async def test_without_the_history_scope_a_question_in_doubt_is_settled_and_never_repeated(
    harness: AskingHarness,
) -> None:
    harness.messenger.can_look_up = False
    harness.messenger.post_ends = [LOST]
    await harness.accept()

    await harness.work(seconds=3600)

    question = await harness.question()
    assert (question.state, question.standing) == (State.CLOSED, Outcome.UNDELIVERABLE)
    assert await harness.reasons() == ["delivery_unknown"]
    assert len(harness.messenger.posts) == 1
    assert len(await harness.store.reports_of(question.request.identifier)) == 1


async def test_a_scope_that_is_gone_at_run_time_is_looked_for_every_minute(harness: AskingHarness) -> None:
    harness.messenger.people |= people("grace")
    harness.messenger.post_ends = [LOST]
    harness.messenger.look_ends = [AppRejected("missing_scope", remedy="Renew it.")] * 3 + [PLACE]
    await harness.accept()
    await harness.work(seconds=10)

    await harness.accept(a_request("another", user="grace@example.com"))
    await harness.work(seconds=3600)

    gaps = [
        later - earlier
        for earlier, later in zip(harness.look_times(), harness.look_times()[1:], strict=False)
    ]
    assert len(gaps) == 3
    assert all(60 <= gap <= 90 for gap in gaps)
    assert (await harness.question()).message_ref == PLACE
    others = await harness.question("another")
    assert others.asked_at == NOON + timedelta(seconds=10)
