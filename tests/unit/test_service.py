"""What the service does with requests, clicks and redraws, and whatever else falls due."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from fakes import ADDRESS, NOON, a_request, apart_from_trail
from memory_store import MemoryStore
from service_harness import URL, ServiceHarness, a_click
from simulated_time import run_simulated

from bot.clock import Clock
from bot.errors import AmbiguousError, StoreError, TransientError, TriageBotError, Undeliverable
from bot.triage import asking_rules
from bot.triage.answer_rules import Refusal
from bot.triage.model import (
    Answer,
    Change,
    Choice,
    InvalidBody,
    MessageRef,
    Question,
    State,
    TriageRequest,
    Work,
)
from bot.triage.outcomes import Outcome
from bot.triage.service import REDRAW_TAKES

UNUSABLE = InvalidBody(reason="not JSON", salvaged=None)
ELSEWHERE = MessageRef(channel="D0EVE", ts="1.1")


@pytest.fixture
def harness() -> ServiceHarness:
    return ServiceHarness()


# Receive


async def test_a_new_request_is_stored_and_due_and_once_for_a_batch(harness: ServiceHarness) -> None:
    fates = await harness.service.receive([a_request(), a_request()])

    question = await harness.question()
    assert fates == [True, True]
    assert (question.request, question.state) == (a_request(), State.ACCEPTED)
    assert (question.accepted_at, question.due_at) == (NOON, NOON)
    assert harness.woken == 1
    assert len(harness.store.questions) == 1


@pytest.mark.parametrize("again", [a_request(), InvalidBody(reason="no user", salvaged=a_request())])
async def test_a_known_request_may_be_deleted_and_changes_nothing(
    harness: ServiceHarness, again: TriageRequest | InvalidBody
) -> None:
    asked = await harness.ask()

    fates = await harness.service.receive([again])

    assert fates == [True]
    assert await harness.question() == asked
    assert await harness.reports() == []


async def test_each_question_has_a_ref_that_nobody_can_guess(harness: ServiceHarness) -> None:
    await harness.service.receive([a_request("one"), a_request("two")])

    keys, secrets = zip(
        *[(await harness.question(name)).ref.split(".") for name in ("one", "two")], strict=True
    )
    assert keys == (asking_rules.row_key("one"), asking_rules.row_key("two"))
    assert len(set(secrets)) == 2
    assert all(len(bytes.fromhex(secret)) == 16 for secret in secrets)


async def test_a_request_that_cannot_be_held_against_the_first_one_is_left(harness: ServiceHarness) -> None:
    await harness.service.receive([InvalidBody(reason="no user", salvaged=a_request())])

    class Broken(MemoryStore):
        async def save(self, change: Change) -> bool:  # noqa: ARG002 - the shape of Store
            raise StoreError("disk full")

    harness.store.__class__ = Broken
    assert await harness.service.receive([a_request(), a_request("new")]) == [False, True]
    with pytest.raises(StoreError, match="disk full"):
        await harness.service.receive([a_request(), InvalidBody(reason="not JSON", salvaged=None)])
    harness.store.__class__ = MemoryStore
    assert await harness.service.receive([a_request()]) == [True]
    assert (await harness.question()).state is State.ACCEPTED


async def test_a_request_whose_first_one_was_removed_is_left_and_then_new(harness: ServiceHarness) -> None:
    await harness.service.receive([a_request()])

    class Forgetful(MemoryStore):
        async def find(self, identifier: str) -> Question | None:
            self.questions.clear()
            return await super().find(identifier)

    harness.store.__class__ = Forgetful
    assert await harness.service.receive([a_request(), a_request("new")]) == [False, True]
    assert await harness.service.receive([a_request()]) == [True]


async def test_what_became_of_a_request_is_logged_and_once_what_was_left_out(
    harness: ServiceHarness, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    reduced = replace(a_request(), left_out=("facts must be an array",))
    await harness.service.receive([InvalidBody(reason="no user", salvaged=a_request())])

    await harness.service.receive([reduced, reduced, replace(reduced, identifier="new")])

    events = [vars(record)["event"] for record in caplog.records]
    assert [each for each in events if each != "request.reduced"] == [
        "question.closed",
        "request.reopened",
        "request.known",
        "request.accepted",
    ]
    logged = [record.getMessage() for record in caplog.records if vars(record)["event"] == "request.reduced"]
    assert logged == ["left out: facts must be an array"] * 2


async def test_an_invalid_request_is_reported_as_undeliverable(harness: ServiceHarness) -> None:
    salvaged = replace(a_request(), user="", summary="")

    fates = await harness.service.receive([InvalidBody(reason="user is missing", salvaged=salvaged)])

    assert fates == [True]
    question = await harness.question()
    ended = (question.state, question.standing, question.due_at)
    assert ended == (State.CLOSED, Outcome.UNDELIVERABLE, None)
    [report] = await harness.reports()
    assert '"reason":"invalid_request"' in report.body
    assert report.due_at == NOON + timedelta(seconds=90)


async def test_an_unusable_body_may_be_deleted_even_if_the_store_is_broken(harness: ServiceHarness) -> None:
    harness.store.fails = [StoreError("disk full")]

    assert await harness.service.receive([UNUSABLE]) == [True]
    assert harness.store.questions == {}


async def test_what_cannot_be_stored_is_left_in_the_queue_alone(harness: ServiceHarness) -> None:
    await harness.service.receive([a_request("known")])
    poisoned = replace(a_request("poisoned"), alert="\ud800")

    fates = await harness.service.receive(
        [a_request("one"), UNUSABLE, poisoned, a_request("known"), a_request("two")]
    )

    assert fates == [True, True, False, True, True]
    assert {each.request.identifier for each in harness.store.questions.values()} == {"known", "one", "two"}


async def test_a_store_that_takes_nothing_is_its_own_trouble_and_no_requests(harness: ServiceHarness) -> None:
    harness.store.fails = [StoreError("disk full")]
    batch: list[TriageRequest | InvalidBody] = [a_request("one"), UNUSABLE, a_request("two")]

    with pytest.raises(StoreError, match="disk full"):
        await harness.service.receive(batch)
    assert harness.store.questions == {}

    assert await harness.service.receive(batch) == [True, True, True]


# Answer


async def test_an_answer_is_durable_at_once_and_the_same_click_again_is_none(harness: ServiceHarness) -> None:
    await harness.ask()
    woken = harness.woken

    answered = await harness.answer(Choice.YES)
    assert harness.woken == woken + 1
    again = await harness.answer(Choice.YES)

    assert again == answered == await harness.question()
    assert answered.standing is Outcome.YES
    [report] = await harness.reports()
    assert '"response":"yes"' in report.body


async def test_two_clicks_at_once_are_taken_one_after_the_other(harness: ServiceHarness) -> None:
    question = await harness.ask()

    await asyncio.gather(
        *(harness.service.answer(a_click(question, each)) for each in (Choice.YES, Choice.NO))
    )

    assert (await harness.question()).standing is Outcome.NO
    assert [report.sequence for report in await harness.reports()] == [0, 1]


@pytest.mark.parametrize(
    ("spoil", "refusal"),
    [
        (lambda click: replace(click, same_workspace=False), Refusal.OTHER_WORKSPACE),
        (lambda click: replace(click, slack_id="U0EVE"), Refusal.OTHER_PERSON),
        (lambda click: replace(click, message_ref=ELSEWHERE), Refusal.OTHER_CONVERSATION),
        (lambda click: replace(click, ref=f"{'0' * 32}.{'0' * 32}"), Refusal.CLOSED),
        (lambda click: replace(click, ref=f"{click.ref.partition('.')[0]}.{'0' * 32}"), Refusal.CLOSED),
    ],
    ids=["another workspace", "another person", "another conversation", "an unknown ref", "a forged ref"],
)
async def test_a_click_that_is_refused_is_counted_and_changes_nothing_else(
    harness: ServiceHarness, spoil: Callable[[Answer], Answer], refusal: Refusal
) -> None:
    question = await harness.ask()

    assert await harness.service.answer(spoil(a_click(question))) is refusal

    stored = await harness.question()
    assert stored.refusals == (refusal is not Refusal.CLOSED)
    assert apart_from_trail(stored) == apart_from_trail(question)
    assert await harness.reports() == []


async def test_an_answer_that_could_not_be_stored_can_be_given_again(harness: ServiceHarness) -> None:
    question = await harness.ask()
    harness.store.fails = [StoreError("disk full")]

    with pytest.raises(StoreError):
        await harness.service.answer(a_click(question))
    assert await harness.reports() == []

    assert isinstance(await harness.service.answer(a_click(question)), Question)
    assert len(await harness.reports()) == 1


# Tell


async def test_the_clicker_is_told_why(harness: ServiceHarness) -> None:
    await harness.service.tell(URL, Refusal.OTHER_PERSON)

    assert harness.messenger.told == [(URL, "other_person")]
    assert harness.meter.clickers_untold == 0


async def test_a_clicker_who_cannot_be_told_stops_nothing_and_the_log_names_the_alert(
    harness: ServiceHarness, caplog: pytest.LogCaptureFixture
) -> None:
    question = await harness.ask()
    harness.messenger.tell_ends = [TransientError("expired"), AmbiguousError("lost")]

    await harness.service.tell(URL, Refusal.OTHER_PERSON, ref=question.ref)
    await harness.service.tell(URL, Refusal.CLOSED, ref="a ref that nobody knows")

    assert harness.meter.clickers_untold == len(harness.messenger.told) == 2
    records = [vars(record) for record in caplog.records]
    lost = [record["fields"] for record in records if record.get("event") == "reply.failed"]
    assert lost == [{"identifier": question.request.identifier}, {}]


# Redraw


async def test_a_message_is_redrawn_from_the_store_and_then_left_alone(harness: ServiceHarness) -> None:
    answered = await harness.answer(Choice.YES)

    await harness.service.redraw(answered, response_url=URL)
    await harness.service.redraw(await harness.answer(Choice.YES))

    assert harness.messenger.redraws == [(answered, URL)]
    question = await harness.question()
    assert (question.shown, question.due_at, question.outdated) == (1, None, False)


def test_a_click_during_a_redraw_is_drawn_after_it_and_never_beside_it(harness: ServiceHarness) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    at_once, most_at_once = 0, 0

    async def draw_slowly(_: Question | None) -> None:
        nonlocal at_once, most_at_once
        at_once += 1
        most_at_once = max(most_at_once, at_once)
        begun.set()
        await go_on.wait()
        at_once -= 1

    async def click_during_a_redraw(_: Clock) -> None:
        answered = await harness.answer(Choice.YES)
        harness.messenger.before["redraw"] = draw_slowly
        first = asyncio.create_task(harness.service.redraw(answered, response_url=URL))
        await begun.wait()

        changed = await harness.answer(Choice.NO)
        await harness.service.redraw(changed, response_url=URL)
        go_on.set()
        await first

        assert [question.said for question, _ in harness.messenger.redraws] == [Choice.YES, Choice.NO]
        assert most_at_once == 1
        await harness.pass_time(until=NOON + timedelta(minutes=5))
        assert not (await harness.question()).outdated

    run_simulated(click_during_a_redraw)  # the second redraw waits for a second


@pytest.mark.parametrize(
    ("error", "asked_for"),
    [
        (TransientError("busy"), timedelta(0)),
        (AmbiguousError("lost"), timedelta(0)),
        (TransientError("429", retry_after=timedelta(minutes=2)), timedelta(minutes=2)),
    ],
)
async def test_a_redraw_that_failed_is_left_for_later(
    harness: ServiceHarness, error: TriageBotError, asked_for: timedelta
) -> None:
    harness.messenger.redraw_ends = [error]

    is_shown = await harness.service.redraw(await harness.answer(Choice.YES))

    waiting = await harness.question()
    assert (is_shown, waiting.outdated) == (False, True)
    assert waiting.due_at == NOON + asked_for + timedelta(seconds=2)
    assert len(harness.messenger.redraws) == 1

    await harness.pass_time(until=NOON + timedelta(minutes=5))
    question = await harness.question()
    assert (question.outdated, question.attempts) == (False, 0)


@pytest.mark.parametrize("slack_takes", [timedelta(0), REDRAW_TAKES])
async def test_an_answer_over_another_is_drawn_again_after_a_redraws_time(
    harness: ServiceHarness, slack_takes: timedelta
) -> None:
    async def answer_late(_: Question | None) -> None:
        harness.clock.now += slack_takes

    await harness.service.redraw(await harness.answer(Choice.YES))
    changed = await harness.answer(Choice.NO)
    began_at = harness.clock.now = changed.settled_at or NOON
    harness.messenger.before["redraw"] = answer_late

    await harness.service.redraw(changed)

    again = await harness.question()
    assert (again.outdated, again.due_at) == (True, began_at + REDRAW_TAKES)
    await harness.pass_time(until=NOON + timedelta(minutes=5))
    assert [question.said for question, _ in harness.messenger.redraws] == [Choice.YES, Choice.NO, Choice.NO]
    assert not (await harness.question()).outdated


async def test_a_dying_worker_s_redraw_of_an_earlier_answer_does_not_last(harness: ServiceHarness) -> None:
    landed: list[Choice | None] = []
    dawdles, lands = asyncio.Event(), asyncio.Event()

    async def draw(question: Question | None) -> None:
        is_first = not dawdles.is_set()
        dawdles.set()
        if is_first:
            await lands.wait()
        landed.append(question.said if question else None)
        if is_first:
            await asyncio.Event().wait()  # until it is killed

    harness.messenger.before["redraw"] = draw
    answered = await harness.answer(Choice.YES)
    dying = asyncio.create_task(harness.service.redraw(answered))
    await dawdles.wait()
    harness.restart()  # another worker, which got the same click, for Slack repeats what is not acknowledged
    await harness.service.redraw(answered)
    await harness.service.redraw(await harness.answer(Choice.NO))

    lands.set()
    await asyncio.sleep(0)
    dying.cancel()
    await harness.pass_time(until=NOON + timedelta(minutes=5))

    assert landed == [Choice.YES, Choice.NO, Choice.YES, Choice.NO]
    assert not (await harness.question()).outdated


async def test_an_answer_that_was_never_shown_is_not_drawn_over_a_later_one(harness: ServiceHarness) -> None:
    old = await harness.answer(Choice.YES)
    await harness.service.redraw(await harness.answer(Choice.NO))

    await harness.service.work_on(old, Work.REDRAW)

    assert {question.said for question, _ in harness.messenger.redraws} == {Choice.NO}


async def test_an_answer_drawn_over_a_later_one_leaves_that_due(harness: ServiceHarness) -> None:
    async def die_over_a_no(question: Question | None) -> None:
        if question and question.said is Choice.NO:
            raise asyncio.CancelledError

    old = await harness.answer(Choice.YES)
    await harness.service.redraw(await harness.answer(Choice.NO))
    await harness.pass_time(until=NOON + timedelta(minutes=5))

    harness.messenger.before["redraw"] = die_over_a_no
    with pytest.raises(asyncio.CancelledError):
        await harness.service.redraw(old)
    harness.messenger.before.clear()
    harness.restart()
    await harness.pass_time(until=NOON + timedelta(minutes=6))

    drawn = [question.said for question, _ in harness.messenger.redraws]
    assert drawn[-3:] == [Choice.YES, Choice.NO, Choice.NO]
    assert not (await harness.question()).outdated


async def test_a_redraw_that_breaks_does_not_block_the_next(harness: ServiceHarness) -> None:
    answered = await harness.answer(Choice.YES)
    harness.messenger.redraw_ends = [RuntimeError("a bug")]

    with pytest.raises(RuntimeError):
        await harness.service.redraw(answered)

    assert await harness.service.redraw(answered)
    assert not (await harness.question()).outdated


# Work on


async def test_whoever_sends_reports_is_woken_when_a_question_is_closed(harness: ServiceHarness) -> None:
    harness.messenger.people = {ADDRESS: Undeliverable("users_not_found")}
    await harness.service.receive([a_request()])
    woken = harness.woken

    await harness.service.work_on(await harness.question(), Work.ASK)

    assert len(await harness.reports()) == 1
    assert harness.woken > woken


async def test_what_is_due_for_no_reason_is_not_asked_again(harness: ServiceHarness) -> None:
    asked = await harness.ask()
    due = replace(asked, due_at=NOON, version=asked.version + 1)
    await harness.store.save(Change(question=due))

    await harness.service.work_on(due, Work.ASK)

    assert len(harness.messenger.posts) == 1
    assert await harness.question() == due


async def test_an_answer_from_before_a_crash_is_redrawn_when_it_falls_due(harness: ServiceHarness) -> None:
    answered = await harness.answer(Choice.NO)

    assert answered.due_at is not None
    assert await harness.store.due(Work.REDRAW, answered.due_at, limit=10) == [answered]

    await harness.service.work_on(answered, Work.REDRAW)

    assert harness.messenger.redraws == [(answered, "")]
