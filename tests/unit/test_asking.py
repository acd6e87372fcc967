from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from asking_desk import LOST, PLACE, Desk, people
from fakes import ADA, ADDRESS, NOON, a_request

from bot.errors import (
    CannotGoOn,
    NoConversation,
    StoreError,
    TransientError,
    TriageBotError,
    Undeliverable,
    UnknownRefusal,
)
from bot.sqs.wire import read_report
from bot.triage.model import Choice, Posted, Question, State, Work


@pytest.fixture
def desk() -> Desk:
    return Desk()


# The straight way


async def test_an_accepted_request_is_asked_once(desk: Desk) -> None:
    await desk.accept()

    await desk.work(seconds=3600)

    question = await desk.question()
    assert question.state is State.ASKED
    assert question.posted == Posted(channel="D0ADA", ts="1764000001.000100")
    assert (question.slack_id, question.slack_name, question.asked_at) == ("U0ADA", "ada", NOON)
    assert (question.in_doubt_since, question.work, question.standing) == (None, Work.REMIND, None)
    assert desk.post_times() == [0]
    assert desk.messenger.looks == []


async def test_the_claim_is_durable_before_the_post(desk: Desk) -> None:
    stored: list[Question] = []

    async def look_into_store(_: Question | None) -> None:
        stored.append(await desk.question())

    desk.messenger.before["post"] = look_into_store
    await desk.accept()

    await desk.work()

    [claimed] = stored
    assert claimed.state is State.POSTING
    assert claimed.slack_id == "U0ADA"
    assert claimed.offered == (Choice.YES, Choice.NO, Choice.NOT_SURE, Choice.WRONG_USER)
    assert claimed.claimed_at == claimed.in_doubt_since == NOON
    assert desk.messenger.posts[0][1] == claimed


async def test_nothing_is_posted_where_the_claim_cannot_be_stored(desk: Desk) -> None:
    await desk.accept()
    desk.store.fails = [StoreError("disk full")]

    with pytest.raises(StoreError):
        await desk.work()
    assert desk.messenger.posts == []

    await desk.work()
    assert len(desk.messenger.posts) == 1


async def test_a_stale_row_is_not_posted(desk: Desk) -> None:
    await desk.accept()
    stale = await desk.question()
    await desk.work()

    await desk.asker.ask(stale)

    assert len(desk.messenger.posts) == 1


# Not done


async def test_a_rate_limit_is_waited_for_and_the_claim_keeps_its_time(desk: Desk) -> None:
    desk.messenger.post_ends = [TransientError("429", retry_after=timedelta(seconds=30))]
    await desk.accept()
    await desk.work(seconds=1)
    waiting = await desk.question()

    await desk.work(seconds=60)

    assert (waiting.state, waiting.in_doubt_since, waiting.claimed_at) == (State.POSTING, None, NOON)
    assert desk.post_times() == [0, 30]
    assert desk.messenger.looks == []
    question = await desk.question()
    assert (question.state, question.claimed_at, question.attempts) == (State.ASKED, NOON, 0)


async def test_failures_are_tried_again_after_one_second_doubling_to_thirty(desk: Desk) -> None:
    desk.messenger.post_ends = [TransientError("no network")] * 8
    await desk.accept()

    await desk.work(seconds=3600)

    assert desk.post_times() == [0, 1, 3, 7, 15, 31, 61, 91, 121]


async def test_a_person_who_cannot_be_looked_for_now_is_looked_for_later(desk: Desk) -> None:
    desk.messenger.people = {ADDRESS: TransientError("no network")}
    await desk.accept()
    await desk.work(seconds=100)
    waiting = await desk.question()

    desk.messenger.people = {ADDRESS: ADA}
    await desk.work(seconds=60)

    assert (waiting.state, waiting.claimed_at, waiting.standing) == (State.ACCEPTED, None, None)
    assert (await desk.question()).state is State.ASKED


async def test_one_persons_failure_does_not_hold_up_another(desk: Desk) -> None:
    desk.messenger.people |= people("grace")
    desk.messenger.people[ADDRESS] = TransientError("429", retry_after=timedelta(minutes=10))
    await desk.accept(a_request(), a_request("another", user="grace@example.com"))

    await desk.work(seconds=1)

    assert (await desk.question("another")).state is State.ASKED
    assert (await desk.question()).state is State.ACCEPTED


async def test_a_worker_that_slack_refuses_closes_nothing(desk: Desk) -> None:
    desk.messenger.post_ends = [CannotGoOn("token_revoked", remedy="Renew it.")] * 200
    await desk.accept()
    await desk.work(seconds=3600)
    assert await desk.reasons() == []
    assert (await desk.question()).in_doubt_since is None

    desk.messenger.post_ends = []
    await desk.work(seconds=60)

    assert (await desk.question()).state is State.ASKED


# No conversation yet


async def test_a_conversation_that_is_not_there_is_opened_and_the_question_put_there(desk: Desk) -> None:
    desk.messenger.post_ends = [NoConversation()]
    await desk.accept()

    await desk.work(seconds=3600)

    assert desk.messenger.channels == ["", "D0ADA"]
    assert desk.post_times() == [0, 0]
    assert (await desk.question()).state is State.ASKED


async def test_a_claim_that_grew_old_while_the_conversation_was_opened_is_made_anew(desk: Desk) -> None:
    async def stand_still(_: Question | None) -> None:
        desk.clock.advance(seconds=11)
        del desk.messenger.before["open"]

    desk.messenger.before["open"] = stand_still
    desk.messenger.post_ends = [NoConversation()]
    await desk.accept()

    await desk.work(seconds=60)

    assert desk.messenger.channels == ["", ""]  # the second one by a claim of its own
    [_, (posted_at, claimed)] = desk.messenger.posts
    assert claimed.in_doubt_since == posted_at
    assert desk.messenger.looks == []


@pytest.mark.parametrize(
    ("failure", "reasons"),
    [
        (TransientError("429", retry_after=timedelta(seconds=9)), []),
        (UnknownRefusal("channel_not_found"), []),
        (Undeliverable("user_disabled"), ["user_disabled"]),
    ],
)
async def test_a_conversation_that_cannot_be_opened_is_judged_like_a_post(
    desk: Desk, failure: TriageBotError, reasons: list[str]
) -> None:
    desk.messenger.post_ends = [NoConversation()]
    desk.messenger.open_ends = [failure]
    await desk.accept()

    await desk.work(seconds=60)

    assert await desk.reasons() == reasons
    assert (await desk.question()).state is (State.CLOSED if reasons else State.ASKED)


async def test_an_answer_that_is_lost_after_the_conversation_was_opened_is_looked_for(desk: Desk) -> None:
    desk.messenger.post_ends = [NoConversation(), LOST]
    desk.messenger.look_ends = [PLACE]
    await desk.accept()

    await desk.work(seconds=3600)

    assert len(desk.messenger.posts) == 2
    assert (await desk.question()).posted == PLACE


# Refused


@pytest.mark.parametrize("code", ["users_not_found", "user_not_visible"])
async def test_an_address_without_a_person_is_undeliverable(desk: Desk, code: str) -> None:
    desk.messenger.people = {ADDRESS: Undeliverable(code)}
    await desk.accept()

    await desk.work(seconds=3600)

    question = await desk.question()
    assert (question.state, question.claimed_at) == (State.CLOSED, None)
    assert await desk.reasons() == [code]
    [report] = await desk.store.reports_of(question.request.identifier)
    assert read_report(report).reason == code
    assert report.due_at == NOON + timedelta(seconds=90)


async def test_somebody_who_may_not_be_asked_is_not_asked(desk: Desk) -> None:
    desk.messenger.people = {ADDRESS: replace(ADA, deactivated=True)}
    await desk.accept()

    await desk.work(seconds=3600)

    assert desk.messenger.posts == []
    assert await desk.reasons() == ["user_deactivated"]


async def test_a_refused_post_is_undeliverable(desk: Desk) -> None:
    desk.messenger.post_ends = [Undeliverable("cannot_dm_bot")]
    await desk.accept()

    await desk.work(seconds=3600)

    assert len(desk.messenger.posts) == 1
    assert await desk.reasons() == ["cannot_dm_bot"]


@pytest.mark.parametrize("code", ["strange_code", "team_access_not_granted", "invalid_blocks"])
async def test_a_code_that_one_person_meets_holds_up_nobody_else_and_is_believed_after_a_quarter_of_an_hour(
    desk: Desk, code: str
) -> None:
    desk.messenger.people |= people("grace")
    desk.messenger.refused["U0ADA"] = UnknownRefusal(code)
    await desk.accept()

    await desk.work(seconds=60)
    await desk.accept(a_request("another", user="grace@example.com"))
    await desk.work()
    assert (await desk.question("another")).state is State.ASKED
    assert desk.gate.halted_by == ""

    await desk.work(seconds=13 * 60)
    assert await desk.reasons() == []
    assert len(desk.messenger.posts) > 20
    await desk.work(seconds=2 * 60)
    assert await desk.reasons() == [code]


async def test_the_only_question_of_a_night_waits_until_somebody_else_is_asked(desk: Desk) -> None:
    desk.messenger.people |= people("grace")
    desk.messenger.refused["U0ADA"] = UnknownRefusal("messages_tab_disabled")
    await desk.accept()

    await desk.work(seconds=8 * 3600)
    assert await desk.reasons() == []

    await desk.accept(a_request("another", user="grace@example.com"))
    await desk.work(seconds=60)
    assert await desk.reasons() == ["messages_tab_disabled"]


async def test_three_people_whom_slack_keeps_from_us_halt_nothing_while_others_are_asked(desk: Desk) -> None:
    names = ("grace", "edsger", "alan", "radia", "hedy")
    desk.messenger.people = people(*names)
    refused, asked = names[:3], names[3:]
    for name in refused:
        desk.messenger.refused[f"U0{name}"] = UnknownRefusal("team_access_not_granted")

    for name in (refused[0], refused[1], asked[0], refused[2], asked[1]):
        await desk.accept(a_request(name, user=f"{name}@example.com"))
        await desk.work()

    assert desk.gate.halted_by == ""
    assert [(await desk.question(name)).state for name in asked] == [State.ASKED] * 2


async def test_what_three_people_meet_in_a_row_halts_the_worker_with_its_remedy(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.messenger.people = people("ada", "grace", "edsger")
    error = UnknownRefusal("messages_tab_disabled", remedy="Switch the Messages tab on.")
    desk.messenger.post_ends = [error] * 3
    await desk.accept(*(a_request(email, user=email) for email in desk.messenger.people))

    await desk.work()

    assert desk.gate.halted_by == "messages_tab_disabled"
    [line] = [each for each in caplog.records if each.levelname == "CRITICAL"]
    assert "Switch the Messages tab on." in line.getMessage()


async def test_a_code_that_three_people_meet_settles_nobody(desk: Desk) -> None:
    desk.messenger.people = people("ada", "grace", "edsger")
    desk.messenger.post_ends = [UnknownRefusal("invalid_blocks")] * 1000
    await desk.accept(*(a_request(email, user=email) for email in desk.messenger.people))
    await desk.work(seconds=3600)
    assert await desk.reasons() == []

    desk.messenger.post_ends = []
    await desk.work(seconds=60)

    questions = await desk.store.list_questions(limit=10)
    assert [each.state for each in questions] == [State.ASKED] * 3
