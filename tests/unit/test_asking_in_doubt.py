"""A question that may or may not stand in Slack is looked up before it is ever posted again.

In doubt is one whose post's reply was lost, or that a restored backup does not know to be asked. A click may
come before that reply: whatever the reply is, the row is never moved back.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from asking_harness import FAILURES, LOST, PLACE, AskingHarness, people
from fakes import ADA, ADDRESS, NOON, a_message, a_request
from service_harness import PLACE as CLICKED
from service_harness import ServiceHarness as ServiceDesk
from service_harness import a_click

from bot.errors import AppRejected, StoreError, TransientError, TriageBotError, Undeliverable
from bot.triage import asking_rules
from bot.triage.answer_rules import Refusal
from bot.triage.model import Choice, MessageRef, Question, Shown, State
from bot.triage.outcomes import Outcome

RESTORED = NOON + timedelta(hours=3)


@pytest.fixture
def harness() -> AskingHarness:
    return AskingHarness()


@pytest.mark.parametrize(
    ("post_ends", "look_ends", "posts", "looks"),
    [
        pytest.param([LOST], [PLACE], [0], [5], id="found"),
        pytest.param([LOST], [None, PLACE], [0], [5, 15], id="shows late"),
        pytest.param([LOST], [], [0, 15], [5, 15], id="never posted"),
        pytest.param([LOST, LOST], [], [0, 15, 30], [5, 15, 20, 30], id="lost again"),
    ],
)
async def test_a_lost_reply_is_looked_up_twice_before_the_question_is_posted_again(
    harness: AskingHarness,
    post_ends: list[Exception],
    look_ends: list[MessageRef | None],
    posts: list[float],
    looks: list[float],
) -> None:
    question = await harness.ask(post_ends=post_ends, look_ends=look_ends.copy())

    assert (harness.post_times(), harness.look_times()) == (posts, looks)
    assert (question.state, question.claimed_at) == (State.ASKED, NOON)
    assert question.asked_at == NOON + timedelta(seconds=looks[-1])
    assert (question.message_ref == PLACE) is (PLACE in look_ends)


@pytest.mark.parametrize("failure", FAILURES)
async def test_a_look_that_failed_never_counts(harness: AskingHarness, failure: TriageBotError) -> None:
    question = await harness.ask(post_ends=[LOST], look_ends=[failure, None, failure, failure, None])

    assert len(harness.messenger.looks) == 5
    missed = harness.look_times()[1], harness.look_times()[4]
    assert missed[1] - missed[0] >= 10
    assert harness.post_times() == [0, missed[1]]
    assert question.state is State.ASKED


async def test_looks_that_only_fail_never_repeat_the_question(harness: AskingHarness) -> None:
    failures = [Undeliverable("user_disabled")] * 1000

    question = await harness.ask(post_ends=[LOST], look_ends=failures, seconds=2 * 3600)

    assert harness.post_times() == [0]
    assert (question.state, question.in_doubt_since, question.standing) == (State.POSTING, NOON, None)
    assert len(harness.messenger.looks) > 100


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

    assert [(moment - started).total_seconds() for moment in harness.messenger.looks] == [5, 15]
    assert harness.messenger.posts == []
    assert (await harness.question()).message_ref == PLACE


async def test_a_restart_between_two_looks_looks_twice_again(harness: AskingHarness) -> None:
    await harness.ask(post_ends=[LOST], seconds=6)
    assert harness.look_times() == [5]

    harness.restart()
    await harness.work(seconds=3600)

    assert len(harness.messenger.looks) == 3
    assert len(harness.messenger.posts) == 2


async def test_a_reply_that_could_not_be_stored_is_found_by_a_look(harness: AskingHarness) -> None:
    async def break_store(_: Question | None) -> None:
        harness.store.fails = [StoreError("disk full")]

    harness.messenger.before["post"] = break_store

    with pytest.raises(StoreError):
        await harness.ask(look_ends=[PLACE])
    await harness.work(seconds=3600)

    assert len(harness.messenger.posts) == 1
    assert (await harness.question()).message_ref == PLACE


async def test_without_the_history_scope_a_doubt_is_settled_never_repeated(harness: AskingHarness) -> None:
    question = await harness.ask(can_look_up=False, post_ends=[LOST])

    assert (question.state, question.standing) == (State.CLOSED, Outcome.UNDELIVERABLE)
    assert await harness.reasons() == ["delivery_unknown"]
    assert len(harness.messenger.posts) == 1
    assert len(await harness.store.reports_of(question.request.identifier)) == 1

    await harness.click(question, Choice.YES)

    question = await harness.question()
    assert (question.state, question.standing, question.reason) == (State.ASKED, Outcome.YES, "")
    assert len(await harness.store.reports_of(question.request.identifier)) == 2


async def test_a_scope_that_is_gone_at_run_time_is_looked_for_every_minute(harness: AskingHarness) -> None:
    harness.messenger.people |= people("grace")
    look_ends = [*[AppRejected("missing_scope", remedy="Renew it.")] * 3, PLACE]
    await harness.ask(post_ends=[LOST], look_ends=look_ends, seconds=10)

    await harness.accept(a_request("another", user="grace@example.com"))
    await harness.work(seconds=3600)

    gaps = [later - earlier for earlier, later in pairwise(harness.look_times())]
    assert len(gaps) == 3
    assert all(60 <= gap <= 90 for gap in gaps)
    assert (await harness.question()).message_ref == PLACE
    assert (await harness.question("another")).asked_at == NOON + timedelta(seconds=10)


# A click before the reply


@pytest.mark.parametrize("end", [PLACE, *FAILURES])
async def test_a_click_that_overtakes_the_post_is_never_moved_back(
    harness: AskingHarness, end: MessageRef | TriageBotError
) -> None:
    harness.messenger.before["post"] = harness.click

    after_click = await harness.ask(post_ends=[end], seconds=0)
    await harness.work(seconds=3600)

    question = await harness.question()
    assert (question.state, question.message_ref) == (State.ASKED, PLACE)
    assert (question.said, question.standing, question.reports) == (Choice.NO, Outcome.NO, 1)
    assert question.in_doubt_since is None
    assert question.outdated  # the redraw is still to come
    assert after_click.due_at == NOON + timedelta(seconds=20)
    assert len(harness.messenger.posts) == 1


async def test_a_click_settles_the_doubt_before_the_first_look(harness: AskingHarness) -> None:
    await harness.click(await harness.ask(post_ends=[LOST], seconds=2), Choice.YES)

    await harness.work(seconds=3600)

    assert harness.messenger.looks == []
    assert len(harness.messenger.posts) == 1
    assert (await harness.question()).standing is Outcome.YES


async def test_a_click_during_a_look_that_missed_counts(harness: AskingHarness) -> None:
    async def click(question: Question | None) -> None:
        assert question is not None
        await harness.click(question)
        harness.asker.forget(question)

    harness.messenger.before["look"] = click

    question = await harness.ask(post_ends=[LOST])

    assert (question.state, question.standing) == (State.ASKED, Outcome.NO)
    assert (len(harness.messenger.looks), len(harness.messenger.posts)) == (1, 1)


# A restored backup does not know what was asked since: anybody who may have been asked is looked up first


@pytest.fixture
async def restored(harness: AskingHarness) -> AskingHarness:
    """Start with a backup that was made right after a request was accepted."""
    await harness.accept()
    harness.clock.now = RESTORED
    await harness.store.reset_after_restore(RESTORED)
    harness.restart()
    return harness


async def test_whoever_was_asked_since_the_backup_is_found_not_asked_again(restored: AskingHarness) -> None:
    restored.messenger.look_ends = [PLACE]

    await restored.work(seconds=3600)

    question = await restored.question()
    assert (question.state, question.message_ref) == (State.ASKED, PLACE)
    assert question.slack_id == ADA.slack_id
    assert question.claimed_at == NOON  # the look-up starts where the request was accepted
    assert restored.messenger.posts == []


async def test_whoever_was_not_asked_is_asked_once_after_two_looks(restored: AskingHarness) -> None:
    await restored.work(seconds=3600)

    assert (await restored.question()).state is State.ASKED
    assert [(moment - RESTORED).total_seconds() for moment in restored.messenger.looks] == [20, 30]
    assert len(restored.messenger.posts) == 1


async def test_a_person_who_cannot_be_found_now_is_still_looked_up_later(restored: AskingHarness) -> None:
    restored.messenger.people = {ADDRESS: TransientError("no network")}
    await restored.work(seconds=100)
    waiting = await restored.question()

    restored.messenger.people = {ADDRESS: ADA}
    await restored.work(seconds=3600)

    assert (waiting.state, waiting.in_doubt_since) == (State.ACCEPTED, RESTORED)
    assert (len(restored.messenger.looks), len(restored.messenger.posts)) == (2, 1)


async def test_a_crash_after_the_person_was_found_changes_nothing(restored: AskingHarness) -> None:
    restored.messenger.look_ends = [None, None, PLACE]
    await restored.work(seconds=22)
    assert (await restored.question()).state is State.POSTING

    restored.restart()
    await restored.work(seconds=3600)

    assert restored.messenger.posts == []
    assert (await restored.question()).message_ref == PLACE


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ({"people": {ADDRESS: Undeliverable("users_not_found")}}, "users_not_found"),
        ({"can_look_up": False}, "delivery_unknown"),
    ],
    ids=["the person is gone", "no history scope"],
)
async def test_whoever_cannot_be_looked_up_is_not_asked_for_a_second_time(
    restored: AskingHarness, script: dict[str, object], reason: str
) -> None:
    for name, value in script.items():
        setattr(restored.messenger, name, value)

    await restored.work(seconds=3600)

    assert (await restored.question()).state is State.CLOSED
    assert await restored.reasons() == [reason]
    assert restored.messenger.posts == []


async def test_a_request_that_comes_after_the_restoring_is_asked_soon(restored: AskingHarness) -> None:
    await restored.accept(a_request("new"))

    await restored.work(seconds=30)  # once the history has settled

    assert (await restored.question("new")).state is State.ASKED


# A click after the restoring, before the look-up


@pytest.fixture
async def desk() -> ServiceDesk:
    """A service that starts with a backup, in which an open question was not asked yet; it was since."""
    desk = ServiceDesk()
    await desk.accept()
    await desk.store.reset_after_restore(NOON)
    desk.restart()
    question = await desk.question()
    desk.messenger.shown = {question.ref: a_message(question, shown=Shown(reports=0))}
    return desk


async def test_a_click_finds_out_whom_the_question_was_put_to_and_is_an_answer(desk: ServiceDesk) -> None:
    answered = await desk.service.answer(a_click(await desk.question(), Choice.NO))

    assert isinstance(answered, Question)
    assert (answered.standing, answered.slack_id, answered.message_ref) == (Outcome.NO, ADA.slack_id, CLICKED)
    await desk.pass_time(until=NOON + timedelta(hours=1))
    assert (desk.messenger.posts, desk.messenger.looks) == ([], [])


async def test_a_click_of_somebody_else_or_for_nobody_is_refused_as_ever(desk: ServiceDesk) -> None:
    click = a_click(await desk.question())
    desk.messenger.people = {ADDRESS: Undeliverable("users_not_found")}
    assert await desk.service.answer(click) is Refusal.OTHER_PERSON

    desk.messenger.people = {ADDRESS: ADA}
    desk.restart()
    assert await desk.service.answer(replace(click, slack_id="U0EVE")) is Refusal.OTHER_PERSON

    assert (await desk.question()).standing is None


async def test_a_click_that_cannot_be_judged_yet_can_be_repeated(desk: ServiceDesk) -> None:
    click = a_click(await desk.question())
    desk.messenger.people = {ADDRESS: TransientError("no network")}
    with pytest.raises(TransientError):
        await desk.service.answer(click)

    desk.messenger.people = {ADDRESS: ADA}

    assert isinstance(await desk.service.answer(click), Question)
