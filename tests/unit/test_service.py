from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from fakes import ADDRESS, NOON, MemoryStore, ScriptedMessenger, SteppedClock, a_request

from bot.errors import AmbiguousError, StoreError, TransientError, TriageBotError, Undeliverable
from bot.sqs.wire import write_report
from bot.triage import rules
from bot.triage.asking import Asker
from bot.triage.model import Answer, Change, Choice, InvalidBody, Outcome, Policy, Posted, Question, State
from bot.triage.ratchet import Refusal
from bot.triage.recorder import Recorder
from bot.triage.service import TriageService

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bot.triage.model import OutboxRow, TriageRequest

PLACE = Posted(channel="D0ADA", ts="1764000000.000100")
IDENTIFIER = a_request().identifier
URL = "https://hooks.example/1"


class Desk:
    """A service with everything around it."""

    def __init__(self) -> None:
        self.clock = SteppedClock()
        self.store = MemoryStore()
        self.messenger = ScriptedMessenger(clock=self.clock)
        self.woken = 0
        recorder = Recorder(self.store, write_report, policy=Policy(), clock=self.clock)
        self.asker = Asker(self.messenger, recorder, spread=lambda: 1.0)
        self.service = TriageService(recorder, self.messenger, self.asker, on_work=self._wake)

    def _wake(self) -> None:
        self.woken += 1

    async def ask(self) -> Question:
        """Accept a request and ask it; return the question."""
        await self.service.receive([a_request()])
        await self.service.work_on(await self.question())
        return await self.question()

    async def answer(self, choice: Choice) -> Question:
        """Ask, if that was not done, and take an answer."""
        question = await self.store.find(IDENTIFIER) or await self.ask()
        answered = await self.service.answer(a_click(question, choice))
        assert isinstance(answered, Question)
        return answered

    async def question(self, identifier: str = IDENTIFIER) -> Question:
        question = await self.store.find(identifier)
        assert question is not None
        return question

    async def reports(self, identifier: str = IDENTIFIER) -> Sequence[OutboxRow]:
        return await self.store.reports_of(identifier)


def a_click(question: Question, choice: Choice = Choice.YES) -> Answer:
    return Answer(
        ref=question.ref,
        choice=choice,
        slack_id="U0ADA",
        ours=True,
        posted=question.posted or PLACE,
        at=NOON + timedelta(minutes=1),
    )


@pytest.fixture
def desk() -> Desk:
    return Desk()


# Receive


async def test_a_new_request_is_stored_and_due(desk: Desk) -> None:
    fates = await desk.service.receive([a_request()])

    question = await desk.question()
    assert fates == [True]
    assert (question.request, question.state) == (a_request(), State.ACCEPTED)
    assert (question.accepted_at, question.due_at) == (NOON, NOON)
    assert desk.woken == 1


async def test_each_question_has_a_ref_that_nobody_can_guess(desk: Desk) -> None:
    await desk.service.receive([a_request("one"), a_request("two")])

    refs = [(await desk.question(name)).ref for name in ("one", "two")]
    secrets = [ref.partition(".")[2] for ref in refs]
    assert [ref.partition(".")[0] for ref in refs] == [rules.row_key("one"), rules.row_key("two")]
    assert len(set(secrets)) == 2
    assert all(len(bytes.fromhex(secret)) == 16 for secret in secrets)


async def test_a_known_request_may_be_deleted_and_changes_nothing(desk: Desk) -> None:
    asked = await desk.ask()

    fates = await desk.service.receive([a_request(summary="another text")])

    assert fates == [True]
    assert await desk.question() == asked


async def test_a_request_twice_in_a_batch_is_one_question(desk: Desk) -> None:
    fates = await desk.service.receive([a_request(), a_request()])

    assert fates == [True, True]
    assert len(desk.store.questions) == 1


async def test_an_invalid_request_is_reported_as_undeliverable(desk: Desk) -> None:
    salvaged = replace(a_request(), user="", summary="")

    fates = await desk.service.receive([InvalidBody(reason="user is missing", salvaged=salvaged)])

    assert fates == [True]
    question = await desk.question()
    assert (question.state, question.standing, question.due_at) == (
        State.CLOSED,
        Outcome.UNDELIVERABLE,
        None,
    )
    [report] = await desk.reports()
    assert '"reason":"invalid_request"' in report.body
    assert report.due_at == NOON + timedelta(seconds=90)


async def test_an_invalid_request_for_a_known_identifier_is_told_to_nobody(desk: Desk) -> None:
    asked = await desk.ask()

    fates = await desk.service.receive([InvalidBody(reason="no user", salvaged=a_request())])

    assert fates == [True]
    assert await desk.question() == asked
    assert await desk.reports() == []


async def test_a_body_of_which_nothing_is_usable_may_be_deleted(desk: Desk) -> None:
    fates = await desk.service.receive([InvalidBody(reason="not JSON", salvaged=None)])

    assert fates == [True]
    assert desk.store.questions == {}


async def test_what_cannot_be_stored_is_left_in_the_queue_alone(desk: Desk) -> None:
    await desk.service.receive([a_request("known")])
    batch: list[TriageRequest | InvalidBody] = [
        a_request("one"),
        InvalidBody(reason="not JSON", salvaged=None),
        a_request("poisoned", summary="\ud800"),
        a_request("known"),
        a_request("two"),
    ]

    fates = await desk.service.receive(batch)

    assert fates == [True, True, False, True, True]
    assert {each.request.identifier for each in desk.store.questions.values()} == {"known", "one", "two"}


# Answer


async def test_an_answer_is_durable_when_it_returns(desk: Desk) -> None:
    await desk.ask()
    woken = desk.woken

    answered = await desk.answer(Choice.YES)

    assert answered == await desk.question()
    assert answered.standing is Outcome.YES
    [report] = await desk.reports()
    assert '"response":"yes"' in report.body
    assert desk.woken == woken + 1


async def test_the_same_click_twice_makes_one_report(desk: Desk) -> None:
    first = await desk.answer(Choice.YES)

    second = await desk.answer(Choice.YES)

    assert second == first
    assert len(await desk.reports()) == 1


async def test_two_clicks_at_once_are_taken_one_after_the_other(desk: Desk) -> None:
    question = await desk.ask()

    await asyncio.gather(*(desk.service.answer(a_click(question, each)) for each in (Choice.YES, Choice.NO)))

    assert (await desk.question()).standing is Outcome.NO
    assert [report.sequence for report in await desk.reports()] == [0, 1]


async def test_an_unknown_ref_is_a_closed_question(desk: Desk) -> None:
    question = await desk.ask()
    unknown = replace(a_click(question), ref=f"{'0' * 32}.{'0' * 32}")
    forged = replace(a_click(question), ref=f"{question.ref.partition('.')[0]}.{'0' * 32}")

    assert await desk.service.answer(unknown) is Refusal.CLOSED
    assert await desk.service.answer(forged) is Refusal.CLOSED
    assert await desk.question() == question


@pytest.mark.parametrize(
    ("spoil", "refusal"),
    [
        (lambda click: replace(click, ours=False), Refusal.OTHER_WORKSPACE),
        (lambda click: replace(click, slack_id="U0EVE"), Refusal.OTHER_PERSON),
        (
            lambda click: replace(click, posted=Posted(channel="D0EVE", ts="1.1")),
            Refusal.OTHER_CONVERSATION,
        ),
    ],
)
async def test_a_click_that_is_refused_changes_nothing(
    desk: Desk, spoil: Callable[[Answer], Answer], refusal: Refusal
) -> None:
    question = await desk.ask()

    result = await desk.service.answer(spoil(a_click(question)))

    assert result is refusal
    assert await desk.question() == question
    assert await desk.reports() == []


async def test_an_answer_that_could_not_be_stored_can_be_given_again(desk: Desk) -> None:
    question = await desk.ask()
    desk.store.fails = [StoreError("disk full")]

    with pytest.raises(StoreError):
        await desk.service.answer(a_click(question))
    assert await desk.reports() == []

    assert isinstance(await desk.service.answer(a_click(question)), Question)
    assert len(await desk.reports()) == 1


# Tell


async def test_the_clicker_is_told_why(desk: Desk) -> None:
    await desk.service.tell(URL, Refusal.OTHER_PERSON)

    assert desk.messenger.told == [(URL, "other_person")]


@pytest.mark.parametrize("error", [TransientError("expired"), AmbiguousError("lost")])
async def test_a_clicker_who_cannot_be_told_stops_nothing(desk: Desk, error: TriageBotError) -> None:
    desk.messenger.tell_ends = [error]

    await desk.service.tell(URL, Refusal.CLOSED)

    assert len(desk.messenger.told) == 1


# Redraw


async def test_a_message_is_redrawn_from_the_store_and_then_at_rest(desk: Desk) -> None:
    answered = await desk.answer(Choice.YES)

    await desk.service.redraw(answered, response_url=URL)

    assert desk.messenger.redraws == [(answered, URL)]
    question = await desk.question()
    assert (question.shown, question.due_at, question.outdated) == (1, None, False)


async def test_a_message_that_shows_everything_is_left_alone(desk: Desk) -> None:
    answered = await desk.answer(Choice.YES)
    await desk.service.redraw(answered)

    await desk.service.redraw(await desk.answer(Choice.YES))

    assert len(desk.messenger.redraws) == 1


async def test_a_click_during_a_redraw_is_drawn_after_it_and_never_beside_it(desk: Desk) -> None:
    answered = await desk.answer(Choice.YES)
    begun, go_on = asyncio.Event(), asyncio.Event()
    at_once, most_at_once = 0, 0

    async def draw_slowly(_: Question | None) -> None:
        nonlocal at_once, most_at_once
        at_once += 1
        most_at_once = max(most_at_once, at_once)
        begun.set()
        await go_on.wait()
        at_once -= 1

    desk.messenger.before["redraw"] = draw_slowly
    first = asyncio.create_task(desk.service.redraw(answered, response_url=URL))
    await begun.wait()

    changed = await desk.answer(Choice.NO)
    await desk.service.redraw(changed, response_url=URL)
    go_on.set()
    await first

    assert [question.said for question, _ in desk.messenger.redraws] == [Choice.YES, Choice.NO]
    assert most_at_once == 1
    assert (await desk.question()).shown == 2


@pytest.mark.parametrize("error", [TransientError("busy"), AmbiguousError("lost")])
async def test_a_redraw_that_failed_is_left_for_later(desk: Desk, error: TriageBotError) -> None:
    desk.messenger.redraw_ends = [error]
    answered = await desk.answer(Choice.YES)

    await desk.service.redraw(answered)

    waiting = await desk.question()
    assert waiting.outdated
    assert waiting.due_at == NOON + timedelta(seconds=30)
    assert len(desk.messenger.redraws) == 1

    await desk.service.work_on(waiting)
    assert not (await desk.question()).outdated


async def test_a_redraw_waits_as_long_as_slack_asks(desk: Desk) -> None:
    desk.messenger.redraw_ends = [TransientError("429", retry_after=timedelta(minutes=2))]

    await desk.service.redraw(await desk.answer(Choice.YES))

    assert (await desk.question()).due_at == NOON + timedelta(minutes=2)


async def test_a_redraw_that_breaks_does_not_block_the_next(desk: Desk) -> None:
    answered = await desk.answer(Choice.YES)
    desk.messenger.redraw_ends = [RuntimeError("a bug")]

    with pytest.raises(RuntimeError):
        await desk.service.redraw(answered)
    await desk.service.redraw(answered)

    assert not (await desk.question()).outdated


# Work on


async def test_whoever_sends_reports_is_woken_when_a_question_is_closed(desk: Desk) -> None:
    desk.messenger.people = {ADDRESS: Undeliverable("users_not_found")}
    await desk.service.receive([a_request()])
    woken = desk.woken

    await desk.service.work_on(await desk.question())

    assert len(await desk.reports()) == 1
    assert desk.woken > woken


async def test_what_is_due_for_no_reason_is_put_to_rest(desk: Desk) -> None:
    asked = await desk.ask()
    due = replace(asked, due_at=NOON, version=asked.version + 1)
    await desk.store.save(Change(question=due))

    await desk.service.work_on(due)

    assert (await desk.question()).due_at is None


async def test_an_answer_from_before_a_crash_is_redrawn_when_it_falls_due(desk: Desk) -> None:
    answered = await desk.answer(Choice.NO)

    assert answered.due_at is not None
    assert await desk.store.due(answered.due_at, limit=10) == [answered]

    await desk.service.work_on(answered)

    assert desk.messenger.redraws == [(answered, "")]
