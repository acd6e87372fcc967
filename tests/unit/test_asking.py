from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from asking_harness import LOST, PLACE, AskingHarness, people
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
from bot.triage.model import Choice, MessageRef, Question, State, Work


@pytest.fixture
def harness() -> AskingHarness:
    return AskingHarness()


# The straight way


async def test_an_accepted_request_is_asked_once(harness: AskingHarness) -> None:
    await harness.accept()

    await harness.work(seconds=3600)

    question = await harness.question()
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
    await harness.accept()

    await harness.work()

    [claimed] = stored
    assert claimed.state is State.POSTING
    assert claimed.slack_id == "U0ADA"
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
    harness.messenger.post_ends = [TransientError("429", retry_after=timedelta(seconds=30))]
    await harness.accept()
    await harness.work(seconds=1)
    waiting = await harness.question()

    await harness.work(seconds=60)

    assert (waiting.state, waiting.in_doubt_since, waiting.claimed_at) == (State.POSTING, None, NOON)
    assert harness.post_times() == [0, 30]
    assert harness.messenger.looks == []
    question = await harness.question()
    assert (question.state, question.claimed_at, question.attempts) == (State.ASKED, NOON, 0)


async def test_failures_are_tried_again_after_one_second_doubling_to_thirty(harness: AskingHarness) -> None:
    harness.messenger.post_ends = [TransientError("no network")] * 8
    await harness.accept()

    await harness.work(seconds=3600)

    assert harness.post_times() == [0, 1, 3, 7, 15, 31, 61, 91, 121]


async def test_a_person_who_cannot_be_looked_for_now_is_looked_for_later(harness: AskingHarness) -> None:
    harness.messenger.people = {ADDRESS: TransientError("no network")}
    await harness.accept()
    await harness.work(seconds=100)
    waiting = await harness.question()

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
    harness.messenger.post_ends = [AppRejected("token_revoked", remedy="Renew it.")] * 200
    await harness.accept()
    await harness.work(seconds=3600)
    assert await harness.reasons() == []
    assert (await harness.question()).in_doubt_since is None

    harness.messenger.post_ends = []
    await harness.work(seconds=60)

    assert (await harness.question()).state is State.ASKED


# No conversation yet


async def test_a_conversation_that_is_not_there_is_opened_and_the_question_put_there(
    harness: AskingHarness,
) -> None:
    harness.messenger.post_ends = [NoConversation()]
    await harness.accept()

    await harness.work(seconds=3600)

    assert harness.messenger.channels == ["", "D0ADA"]
    assert harness.post_times() == [0, 0]
    assert (await harness.question()).state is State.ASKED


async def test_a_claim_that_grew_old_while_the_conversation_was_opened_is_made_anew(
    harness: AskingHarness,
) -> None:
    async def stand_still(_: Question | None) -> None:
        harness.clock.advance(seconds=11)
        del harness.messenger.before["open"]

    harness.messenger.before["open"] = stand_still
    harness.messenger.post_ends = [NoConversation()]
    await harness.accept()

    await harness.work(seconds=60)

    assert harness.messenger.channels == ["", ""]  # the second one by a claim of its own
    [_, (posted_at, claimed)] = harness.messenger.posts
    assert claimed.in_doubt_since == posted_at
    assert harness.messenger.looks == []


@pytest.mark.parametrize(
    ("failure", "reasons"),
    [
        (TransientError("429", retry_after=timedelta(seconds=9)), []),
        (UnknownErrorCode("channel_not_found"), []),
        (Undeliverable("user_disabled"), ["user_disabled"]),
    ],
)
async def test_a_conversation_that_cannot_be_opened_is_judged_like_a_post(
    harness: AskingHarness, failure: TriageBotError, reasons: list[str]
) -> None:
    harness.messenger.post_ends = [NoConversation()]
    harness.messenger.open_ends = [failure]
    await harness.accept()

    await harness.work(seconds=60)

    assert await harness.reasons() == reasons
    assert (await harness.question()).state is (State.CLOSED if reasons else State.ASKED)


async def test_an_answer_that_is_lost_after_the_conversation_was_opened_is_looked_for(
    harness: AskingHarness,
) -> None:
    harness.messenger.post_ends = [NoConversation(), LOST]
    harness.messenger.look_ends = [PLACE]
    await harness.accept()

    await harness.work(seconds=3600)

    assert len(harness.messenger.posts) == 2
    assert (await harness.question()).message_ref == PLACE


# Refused


@pytest.mark.parametrize("code", ["users_not_found", "user_not_visible"])
async def test_an_address_without_a_person_is_undeliverable(harness: AskingHarness, code: str) -> None:
    harness.messenger.people = {ADDRESS: Undeliverable(code)}
    await harness.accept()

    await harness.work(seconds=3600)

    question = await harness.question()
    assert (question.state, question.claimed_at) == (State.CLOSED, None)
    assert await harness.reasons() == [code]
    [report] = await harness.store.reports_of(question.request.identifier)
    assert read_report(report).reason == code
    assert report.due_at == NOON + timedelta(seconds=90)


async def test_somebody_who_may_not_be_asked_is_not_asked(harness: AskingHarness) -> None:
    harness.messenger.people = {ADDRESS: replace(ADA, deactivated=True)}
    await harness.accept()

    await harness.work(seconds=3600)

    assert harness.messenger.posts == []
    assert await harness.reasons() == ["user_deactivated"]


async def test_a_refused_post_is_undeliverable(harness: AskingHarness) -> None:
    harness.messenger.post_ends = [Undeliverable("cannot_dm_bot")]
    await harness.accept()

    await harness.work(seconds=3600)

    assert len(harness.messenger.posts) == 1
    assert await harness.reasons() == ["cannot_dm_bot"]


@pytest.mark.parametrize("code", ["strange_code", "team_access_not_granted", "invalid_blocks"])
async def test_a_code_that_one_person_meets_holds_up_nobody_else_and_is_believed_after_a_quarter_of_an_hour(
    harness: AskingHarness, code: str
) -> None:
    harness.messenger.people |= people("grace")
    harness.messenger.refused["U0ADA"] = UnknownErrorCode(code)
    await harness.accept()

    await harness.work(seconds=60)
    await harness.accept(a_request("another", user="grace@example.com"))
    await harness.work()
    assert (await harness.question("another")).state is State.ASKED
    assert harness.limiter.rejection_code == ""

    await harness.work(seconds=13 * 60)
    assert await harness.reasons() == []
    assert len(harness.messenger.posts) > 20
    await harness.work(seconds=2 * 60)
    assert await harness.reasons() == [code]


async def test_the_only_question_of_a_night_waits_until_somebody_else_is_asked(
    harness: AskingHarness,
) -> None:
    harness.messenger.people |= people("grace")
    harness.messenger.refused["U0ADA"] = UnknownErrorCode("messages_tab_disabled")
    await harness.accept()

    await harness.work(seconds=8 * 3600)
    assert await harness.reasons() == []

    await harness.accept(a_request("another", user="grace@example.com"))
    await harness.work(seconds=60)
    assert await harness.reasons() == ["messages_tab_disabled"]


async def test_three_people_whom_slack_keeps_from_us_halt_nothing_while_others_are_asked(
    harness: AskingHarness,
) -> None:
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


async def test_what_three_people_meet_in_a_row_halts_the_worker_with_its_remedy(
    harness: AskingHarness, caplog: pytest.LogCaptureFixture
) -> None:
    harness.messenger.people = people("ada", "grace", "edsger")
    error = UnknownErrorCode("messages_tab_disabled", remedy="Switch the Messages tab on.")
    harness.messenger.post_ends = [error] * 3
    await harness.accept(*(a_request(email, user=email) for email in harness.messenger.people))

    await harness.work()

    assert harness.limiter.rejection_code == "messages_tab_disabled"
    [line] = [each for each in caplog.records if each.levelname == "CRITICAL"]
    assert "Switch the Messages tab on." in line.getMessage()


async def test_a_code_that_three_people_meet_settles_nobody(harness: AskingHarness) -> None:
    harness.messenger.people = people("ada", "grace", "edsger")
    harness.messenger.post_ends = [UnknownErrorCode("invalid_blocks")] * 1000
    await harness.accept(*(a_request(email, user=email) for email in harness.messenger.people))
    await harness.work(seconds=3600)
    assert await harness.reasons() == []

    harness.messenger.post_ends = []
    await harness.work(seconds=60)

    questions = await harness.store.list_questions(limit=10)
    assert [each.state for each in questions] == [State.ASKED] * 3
