"""Asking one person one question, by one worker or by several: whatever Slack says, nobody is asked twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from asking_harness import LOST, PLACE, AskingHarness, claim_elsewhere, people, seconds_of
from fakes import ADA, ADDRESS, NOON, a_request

from bot.errors import (
    AppRejected,
    NoConversation,
    StoreError,
    TransientError,
    TriageBotError,
    Undeliverable,
    UnknownErrorCode,
)
from bot.sqs.wire import read_report
from bot.triage.asking import Asker
from bot.triage.model import Choice, MessageRef, Question, State, Work

SECOND = timedelta(seconds=1)


@pytest.fixture
def harness() -> AskingHarness:
    return AskingHarness()


@pytest.fixture
def other(harness: AskingHarness) -> AskingHarness:
    """Another worker on the same store."""
    return AskingHarness(beside=harness)


# The straight way


async def test_an_accepted_request_is_asked_once(harness: AskingHarness) -> None:
    question = await harness.ask()

    assert question.state is State.ASKED
    assert question.message_ref == MessageRef(channel="D0ADA", ts="1764000001.000100")
    assert (question.slack_id, question.slack_name, question.asked_at) == ("U0ADA", "ada", NOON)
    assert (question.in_doubt_since, question.work, question.standing) == (None, Work.REMIND, None)
    assert harness.post_times() == [0]
    assert harness.messenger.looks == []


async def test_the_claim_is_durable_before_the_post(harness: AskingHarness) -> None:
    stored: list[Question] = []

    async def look_into_store(_: Question | None) -> None:
        stored.append(await harness.question())

    harness.messenger.before["post"] = look_into_store
    await harness.ask(seconds=0)

    [claimed] = stored
    assert (claimed.state, claimed.slack_id) == (State.POSTING, "U0ADA")
    assert claimed.offered == (Choice.YES, Choice.NO, Choice.NOT_SURE, Choice.WRONG_USER)
    assert claimed.claimed_at == claimed.in_doubt_since == NOON
    assert harness.messenger.posts[0][1] == claimed


async def test_nothing_is_posted_where_the_claim_cannot_be_stored(harness: AskingHarness) -> None:
    await harness.accept()
    harness.store.fails = [StoreError("disk full")]

    with pytest.raises(StoreError):
        await harness.work()
    assert harness.messenger.posts == []

    await harness.work()
    assert len(harness.messenger.posts) == 1


async def test_a_stale_row_is_not_posted(harness: AskingHarness) -> None:
    await harness.accept()
    stale = await harness.question()
    await harness.work()

    await harness.asker.ask(stale)

    assert len(harness.messenger.posts) == 1


# Not done


async def test_a_rate_limit_is_waited_for_and_the_claim_keeps_its_time(harness: AskingHarness) -> None:
    waiting = await harness.ask(post_ends=[TransientError("429", retry_after=30 * SECOND)], seconds=1)

    await harness.work(seconds=60)

    assert (waiting.state, waiting.in_doubt_since, waiting.claimed_at) == (State.POSTING, None, NOON)
    assert harness.post_times() == [0, 30]
    assert harness.messenger.looks == []
    question = await harness.question()
    assert (question.state, question.claimed_at, question.attempts) == (State.ASKED, NOON, 0)


async def test_failures_are_tried_again_after_one_second_doubling_to_thirty(harness: AskingHarness) -> None:
    await harness.ask(post_ends=[TransientError("no network")] * 8)

    assert harness.post_times() == [0, 1, 3, 7, 15, 31, 61, 91, 121]


async def test_a_person_who_cannot_be_looked_for_now_is_looked_for_later(harness: AskingHarness) -> None:
    waiting = await harness.ask(people={ADDRESS: TransientError("no network")}, seconds=100)

    harness.messenger.people = {ADDRESS: ADA}
    await harness.work(seconds=60)

    assert (waiting.state, waiting.claimed_at, waiting.standing) == (State.ACCEPTED, None, None)
    assert (await harness.question()).state is State.ASKED


async def test_one_persons_failure_does_not_hold_up_another(harness: AskingHarness) -> None:
    harness.messenger.people |= people("grace")
    harness.messenger.people[ADDRESS] = TransientError("429", retry_after=timedelta(minutes=10))
    await harness.accept(a_request(), a_request("another", user="grace@example.com"))

    await harness.work(seconds=1)

    assert (await harness.question("another")).state is State.ASKED
    assert (await harness.question()).state is State.ACCEPTED


async def test_a_worker_that_slack_refuses_closes_nothing(harness: AskingHarness) -> None:
    question = await harness.ask(post_ends=[AppRejected("token_revoked", remedy="Renew it.")] * 200)
    assert await harness.reasons() == []
    assert question.in_doubt_since is None

    harness.messenger.post_ends = []
    await harness.work(seconds=60)

    assert (await harness.question()).state is State.ASKED


# No conversation yet


async def test_a_missing_conversation_is_opened_and_the_question_put_there(harness: AskingHarness) -> None:
    question = await harness.ask(post_ends=[NoConversation()])

    assert harness.messenger.channels == ["", "D0ADA"]
    assert harness.post_times() == [0, 0]
    assert question.state is State.ASKED


async def test_a_claim_that_grew_old_over_opening_a_conversation_is_renewed(harness: AskingHarness) -> None:
    async def stand_still(_: Question | None) -> None:
        harness.clock.advance(seconds=11)
        del harness.messenger.before["open"]

    harness.messenger.before["open"] = stand_still

    await harness.ask(post_ends=[NoConversation()], seconds=60)

    assert harness.messenger.channels == ["", ""]  # the second one by a claim of its own
    [_, (posted_at, claimed)] = harness.messenger.posts
    assert claimed.in_doubt_since == posted_at
    assert harness.messenger.looks == []


@pytest.mark.parametrize(
    ("failure", "reasons"),
    [
        (TransientError("429", retry_after=9 * SECOND), []),
        (UnknownErrorCode("channel_not_found"), []),
        (Undeliverable("user_disabled"), ["user_disabled"]),
    ],
)
async def test_a_conversation_that_cannot_be_opened_is_judged_like_a_post(
    harness: AskingHarness, failure: TriageBotError, reasons: list[str]
) -> None:
    question = await harness.ask(post_ends=[NoConversation()], open_ends=[failure], seconds=60)

    assert await harness.reasons() == reasons
    assert question.state is (State.CLOSED if reasons else State.ASKED)


async def test_a_reply_lost_after_the_conversation_was_opened_is_looked_for(harness: AskingHarness) -> None:
    question = await harness.ask(post_ends=[NoConversation(), LOST], look_ends=[PLACE])

    assert len(harness.messenger.posts) == 2
    assert question.message_ref == PLACE


# Refused


@pytest.mark.parametrize(
    ("script", "posts", "reason"),
    [
        ({"people": {ADDRESS: Undeliverable("users_not_found")}}, 0, "users_not_found"),
        ({"people": {ADDRESS: Undeliverable("user_not_visible")}}, 0, "user_not_visible"),
        ({"people": {ADDRESS: replace(ADA, deactivated=True)}}, 0, "user_deactivated"),
        ({"post_ends": [Undeliverable("cannot_dm_bot")]}, 1, "cannot_dm_bot"),
    ],
    ids=["nobody", "somebody else's", "may not be asked", "the post is refused"],
)
async def test_whoever_cannot_be_asked_is_undeliverable(
    harness: AskingHarness, script: dict[str, Any], posts: int, reason: str
) -> None:
    question = await harness.ask(**script)

    assert (question.state, question.claimed_at) == (State.CLOSED, NOON if posts else None)
    assert (question.in_doubt_since, question.due_at, question.outdated) == (None, None, False)
    assert await harness.reasons() == [reason]
    assert len(harness.messenger.posts) == posts
    [report] = await harness.store.reports_of(question.request.identifier)
    assert read_report(report).reason == reason
    assert report.due_at == NOON + timedelta(seconds=90)


@pytest.mark.parametrize("code", ["strange_code", "team_access_not_granted", "invalid_blocks"])
async def test_a_code_that_one_person_meets_holds_up_nobody_else_and_is_believed_after_a_quarter_of_an_hour(
    harness: AskingHarness, code: str
) -> None:
    harness.messenger.people |= people("grace")
    await harness.ask(refused={"U0ADA": UnknownErrorCode(code)}, seconds=60)
    await harness.accept(a_request("another", user="grace@example.com"))
    await harness.work()
    assert (await harness.question("another")).state is State.ASKED
    assert harness.limiter.rejection_code == ""

    await harness.work(seconds=13 * 60)
    assert await harness.reasons() == []
    assert len(harness.messenger.posts) > 20
    await harness.work(seconds=2 * 60)
    assert await harness.reasons() == [code]


async def test_the_only_question_of_a_night_waits_for_another_to_be_asked(harness: AskingHarness) -> None:
    harness.messenger.people |= people("grace")
    await harness.ask(refused={"U0ADA": UnknownErrorCode("messages_tab_disabled")}, seconds=8 * 3600)
    assert await harness.reasons() == []

    await harness.accept(a_request("another", user="grace@example.com"))
    await harness.work(seconds=60)
    assert await harness.reasons() == ["messages_tab_disabled"]


async def test_three_people_who_are_kept_from_us_halt_nothing_for_others(harness: AskingHarness) -> None:
    names = ("grace", "edsger", "alan", "radia", "hedy")
    harness.messenger.people = people(*names)
    refused, asked = names[:3], names[3:]
    for name in refused:
        harness.messenger.refused[f"U0{name}"] = UnknownErrorCode("team_access_not_granted")

    for name in (refused[0], refused[1], asked[0], refused[2], asked[1]):
        await harness.accept(a_request(name, user=f"{name}@example.com"))
        await harness.work()

    assert harness.limiter.rejection_code == ""
    assert [(await harness.question(name)).state for name in asked] == [State.ASKED] * 2


async def test_what_three_people_meet_in_a_row_halts_the_worker_with_its_remedy_and_settles_nobody(
    harness: AskingHarness, caplog: pytest.LogCaptureFixture
) -> None:
    harness.messenger.people = people("ada", "grace", "edsger")
    error = UnknownErrorCode("messages_tab_disabled", remedy="Switch the Messages tab on.")
    harness.messenger.post_ends = [error] * 1000
    await harness.accept(*(a_request(email, user=email) for email in harness.messenger.people))

    await harness.work()

    assert harness.limiter.rejection_code == "messages_tab_disabled"
    [line] = [each for each in caplog.records if each.levelname == "CRITICAL"]
    assert "Switch the Messages tab on." in line.getMessage()
    await harness.work(seconds=3600)
    assert await harness.reasons() == []

    harness.messenger.post_ends = []
    await harness.work(seconds=60)

    questions = await harness.store.list_questions(limit=10)
    assert [each.state for each in questions] == [State.ASKED] * 3


# Another worker takes the row over while this one is suspended


@pytest.mark.parametrize(("seconds", "claims"), [(9, 1), (11, 2)], ids=["in time", "grew old"])
async def test_a_claim_that_grew_old_before_the_post_is_renewed(
    harness: AskingHarness, seconds: int, claims: int
) -> None:
    async def stand_still() -> None:
        harness.clock.advance(seconds=seconds)

    harness.store.after_claim = stand_still

    question = await harness.ask(seconds=60)

    [(posted_at, claimed)] = harness.messenger.posts
    assert claimed.in_doubt_since
    assert seconds_of([posted_at, claimed.in_doubt_since]) == [seconds, 0 if claims == 1 else seconds]
    assert harness.messenger.looks == []  # it was not posted: that is certain
    assert question.state is State.ASKED


async def test_who_wakes_up_after_another_does_nothing(harness: AskingHarness, other: AskingHarness) -> None:
    harness.store.after_claim = lambda: other.work(seconds=120)

    question = await harness.ask()

    assert (len(other.messenger.looks), len(other.messenger.posts)) == (2, 1)
    assert harness.messenger.posts == []
    assert (question.state, question.attempts) == (State.ASKED, 0)


@pytest.mark.parametrize(
    ("call", "end"),
    [
        ("find", TransientError("no network")),
        ("find", Undeliverable("users_not_found")),
        ("post", TransientError("429")),
        ("post", Undeliverable("is_archived")),
        ("post", LOST),
    ],
)
async def test_whatever_becomes_of_a_late_call_leaves_the_claim_of_another(
    harness: AskingHarness, call: str, end: TriageBotError
) -> None:
    async def stand_still(_: Question | None) -> None:
        harness.clock.advance(seconds=60)
        await claim_elsewhere(harness)

    harness.messenger.before["find" if call == "find" else "post"] = stand_still
    harness.messenger.people[ADDRESS] = end if call == "find" else ADA
    harness.messenger.post_ends = [end]
    await harness.accept()

    await harness.asker.ask(await harness.question())

    question = await harness.question()
    assert (question.state, question.in_doubt_since) == (State.POSTING, harness.clock())


async def test_a_look_that_ends_after_another_has_claimed_again_is_none(harness: AskingHarness) -> None:
    async def stand_still(_: Question | None) -> None:
        if len(harness.messenger.looks) == 1:
            harness.clock.advance(seconds=60)
            await claim_elsewhere(harness)

    harness.messenger.before["look"] = stand_still

    question = await harness.ask(post_ends=[LOST], look_ends=[None, None, None, PLACE])

    assert len(harness.messenger.posts) == 1
    assert len(harness.messenger.looks) == 4  # those after the other's claim start again
    assert question.message_ref == PLACE


# Two workers with one question, as when the first one's lease ran out while it was slow


async def two_in_doubt(harness: AskingHarness) -> tuple[Asker, Asker]:
    """Lose the reply to a post; return the worker that posted, and another on the same store."""
    await harness.ask(post_ends=[LOST], seconds=0)
    first = harness.asker
    harness.restart()
    return first, harness.asker


async def ask_at(harness: AskingHarness, asker: Asker, *moments: float) -> Question:
    """Have a worker take a step at each of these seconds; return the row as it was before the last."""
    for seconds in moments:
        harness.clock.now = NOON + seconds * SECOND
        row = await harness.question()
        await asker.ask(row)
    return row


async def test_what_one_worker_did_not_find_says_nothing_of_anothers_post(harness: AskingHarness) -> None:
    slow, quick = await two_in_doubt(harness)
    await ask_at(harness, slow, 5)
    await ask_at(harness, quick, 5, 20)

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

    patient, quick = await two_in_doubt(harness)
    await ask_at(harness, patient, 5)
    await ask_at(harness, quick, 5, 20, 30)
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
    slow = harness.asker
    harness.restart()

    async def take_over(_: Question | None) -> None:
        del harness.messenger.before["post"]
        await ask_at(harness, harness.asker, 1, 20, 30, 30)

    harness.messenger.before["post"] = take_over
    harness.messenger.post_ends = [LOST, TransientError("429")]
    await slow.ask(await harness.question())

    question = await harness.question()
    assert (question.state, question.in_doubt_since) == (State.POSTING, NOON + 30 * SECOND)
    assert harness.post_times() == [0, 30]
