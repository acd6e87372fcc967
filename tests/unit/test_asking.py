from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from fakes import ADA, ADDRESS, NOON, MemoryStore, ScriptedMessenger, SteppedClock, a_request

from bot.errors import (
    AmbiguousError,
    CannotGoOn,
    StoreError,
    TransientError,
    TriageBotError,
    Undeliverable,
    UnknownRefusal,
)
from bot.sqs.wire import write_report
from bot.triage import rules
from bot.triage.asking import Asker
from bot.triage.model import Answer, Choice, Outcome, Person, Policy, Posted, Question, State, Step
from bot.triage.ratchet import answer_question
from bot.triage.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from bot.triage.model import TriageRequest

PLACE = Posted(channel="D0ADA", ts="1764000099.000100")
LOST = AmbiguousError("the answer was lost")


class Desk:
    """An Asker with everything around it, and a clock that jumps to whatever is due next."""

    def __init__(self) -> None:
        self.clock = SteppedClock()
        self.store = MemoryStore()
        self.messenger = ScriptedMessenger(clock=self.clock)
        self.recorder = Recorder(self.store, write_report, policy=Policy(), clock=self.clock)
        self.restart()

    def restart(self) -> None:
        """Forget what only the process knew."""
        self.asker = Asker(self.messenger, self.recorder, spread=lambda: 1.0)

    async def accept(self, *requests: TriageRequest) -> None:
        steps = [
            rules.accept(each, rules.new_ref(each.identifier, "secret"), self.clock())
            for each in requests or [a_request()]
        ]
        await self.store.add([self.recorder.change(step) for step in steps])

    async def work(self, *, seconds: float = 0) -> None:
        """Let so much time pass, and ask whatever falls due."""
        end = self.clock() + timedelta(seconds=seconds)
        while True:
            await self._ask_all_that_is_due()
            next_due = await self.store.next_due(self.clock())
            if next_due is None or next_due > end:
                break
            self.clock.now = next_due
        self.clock.now = end

    async def _ask_all_that_is_due(self) -> None:
        for _ in range(10):
            due = await self.store.due(self.clock(), limit=100)
            unasked = [each for each in due if each.state in (State.ACCEPTED, State.POSTING)]
            if not unasked:
                return
            for question in unasked:
                await self.asker.ask(question)
        raise AssertionError("a question stays due, whatever is done")

    async def question(self, identifier: str = a_request().identifier) -> Question:
        question = await self.store.find(identifier)
        assert question is not None
        return question

    async def click(self, question: Question | None, choice: Choice = Choice.NO) -> None:
        """Store an answer, as the service does."""
        assert question is not None
        answer = Answer(
            ref=question.ref,
            choice=choice,
            slack_id=question.slack_id,
            ours=True,
            posted=PLACE,
            at=self.clock(),
        )
        _, verdict = await self.recorder.decide(
            question, lambda row: answer_question(row, answer, self.recorder.policy)
        )
        assert isinstance(verdict, Step)

    async def reasons(self) -> list[str]:
        """The reasons of what was reported as undeliverable."""
        questions = await self.store.list_questions(limit=100)
        return [each.reason for each in questions if each.standing is Outcome.UNDELIVERABLE]

    def post_times(self) -> list[float]:
        return seconds_of([moment for moment, _ in self.messenger.posts])

    def look_times(self) -> list[float]:
        return seconds_of(self.messenger.looks)


def seconds_of(moments: Sequence[datetime]) -> list[float]:
    return [(moment - NOON).total_seconds() for moment in moments]


def people(*names: str) -> dict[str, Person | Exception]:
    return {f"{name}@example.com": Person(slack_id=f"U0{name}", slack_name=name) for name in names}


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
    assert (question.in_doubt_since, question.due_at, question.standing) == (None, None, None)
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


# In doubt


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
        CannotGoOn("token_revoked"),
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
    claim = rules.claim(await desk.question(), ADA, NOON)
    assert await desk.recorder.save(claim)
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
    desk.messenger.look_ends = [CannotGoOn("missing_scope")] * 3 + [PLACE]
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


# Not done


async def test_a_rate_limit_is_waited_for_and_the_claim_keeps_its_time(desk: Desk) -> None:
    desk.messenger.post_ends = [TransientError("429", retry_after=timedelta(seconds=30))]
    await desk.accept()
    await desk.work(seconds=1)
    waiting = await desk.question()

    await desk.work(seconds=60)

    assert (waiting.state, waiting.in_doubt_since, waiting.claimed_at) == (State.POSTING, None, NOON)
    assert desk.post_times() == [0, 31]
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
    desk.messenger.post_ends = [CannotGoOn("token_revoked")] * 200
    await desk.accept()
    await desk.work(seconds=3600)
    assert await desk.reasons() == []
    assert (await desk.question()).in_doubt_since is None

    desk.messenger.post_ends = []
    await desk.work(seconds=60)

    assert (await desk.question()).state is State.ASKED


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
    assert f'"reason":"{code}"' in report.body
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


async def test_an_unknown_code_is_believed_after_a_quarter_of_an_hour(desk: Desk) -> None:
    desk.messenger.post_ends = [UnknownRefusal("strange_code")] * 200
    await desk.accept()

    await desk.work(seconds=14 * 60)
    assert await desk.reasons() == []
    assert len(desk.messenger.posts) > 20

    await desk.work(seconds=2 * 60)
    assert await desk.reasons() == ["strange_code"]


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


# Overtaken by a click


@pytest.mark.parametrize(
    "end",
    [
        PLACE,
        LOST,
        TransientError("429"),
        Undeliverable("is_archived"),
        UnknownRefusal("strange_code"),
        CannotGoOn("token_revoked"),
    ],
)
async def test_a_click_that_overtakes_the_post_is_never_moved_back(
    desk: Desk, end: Posted | TriageBotError
) -> None:
    desk.messenger.before["post"] = desk.click
    desk.messenger.post_ends = [end]
    await desk.accept()

    await desk.work()
    after_click = await desk.question()
    await desk.work(seconds=3600)

    question = await desk.question()
    assert (question.state, question.posted) == (State.ASKED, PLACE)
    assert (question.said, question.standing, question.reports) == (Choice.NO, Outcome.NO, 1)
    assert question.in_doubt_since is None
    assert question.outdated  # the redraw is still to come
    assert after_click.due_at == NOON + timedelta(seconds=20)
    assert len(desk.messenger.posts) == 1


async def test_a_click_settles_the_doubt_before_the_first_look(desk: Desk) -> None:
    desk.messenger.post_ends = [LOST]
    await desk.accept()
    await desk.work(seconds=2)

    await desk.click(await desk.question(), Choice.YES)
    await desk.work(seconds=3600)

    assert desk.messenger.looks == []
    assert len(desk.messenger.posts) == 1
    assert (await desk.question()).standing is Outcome.YES


async def test_a_click_on_a_question_given_up_for_lost_still_counts(desk: Desk) -> None:
    desk.messenger.can_look_up = False
    desk.messenger.post_ends = [LOST]
    await desk.accept()
    await desk.work(seconds=60)

    await desk.click(await desk.question(), Choice.YES)

    question = await desk.question()
    assert (question.state, question.standing, question.reason) == (State.ASKED, Outcome.YES, "")
    assert len(await desk.store.reports_of(question.request.identifier)) == 2
