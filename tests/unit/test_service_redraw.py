"""Making messages show what is stored, and whatever else falls due."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from fakes import ADDRESS, NOON, a_request
from service_harness import URL, ServiceHarness
from simulated_time import run_simulated

from bot.clock import Clock
from bot.errors import AmbiguousError, TransientError, TriageBotError, Undeliverable
from bot.triage.model import Change, Choice, Question, Work
from bot.triage.service import REDRAW_TAKES


@pytest.fixture
def harness() -> ServiceHarness:
    return ServiceHarness()


# Redraw


async def test_a_message_is_redrawn_from_the_store_and_then_at_rest(harness: ServiceHarness) -> None:
    answered = await harness.answer(Choice.YES)

    await harness.service.redraw(answered, response_url=URL)

    assert harness.messenger.redraws == [(answered, URL)]
    question = await harness.question()
    assert (question.shown, question.due_at, question.outdated) == (1, None, False)


async def test_a_message_that_shows_everything_is_left_alone(harness: ServiceHarness) -> None:
    answered = await harness.answer(Choice.YES)
    await harness.service.redraw(answered)

    await harness.service.redraw(await harness.answer(Choice.YES))

    assert len(harness.messenger.redraws) == 1


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


@pytest.mark.parametrize("error", [TransientError("busy"), AmbiguousError("lost")])
async def test_a_redraw_that_failed_is_left_for_later(harness: ServiceHarness, error: TriageBotError) -> None:
    harness.messenger.redraw_ends = [error]
    answered = await harness.answer(Choice.YES)

    await harness.service.redraw(answered)

    waiting = await harness.question()
    assert waiting.outdated
    assert waiting.due_at == NOON + timedelta(seconds=2)
    assert len(harness.messenger.redraws) == 1

    await harness.pass_time(until=NOON + timedelta(minutes=1))
    assert not (await harness.question()).outdated


async def test_an_answer_over_another_is_drawn_again_when_no_redraw_of_that_can_be_under_way(
    harness: ServiceHarness,
) -> None:
    await harness.service.redraw(await harness.answer(Choice.YES))
    changed = await harness.answer(Choice.NO)
    harness.clock.now = changed.settled_at or NOON

    await harness.service.redraw(changed)

    again = await harness.question()
    assert (again.outdated, again.due_at) == (True, harness.clock.now + REDRAW_TAKES)
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


async def test_an_answer_drawn_over_a_later_one_leaves_that_due_even_if_its_worker_dies(
    harness: ServiceHarness,
) -> None:
    old = await harness.answer(Choice.YES)
    await harness.service.redraw(await harness.answer(Choice.NO))
    await harness.pass_time(until=NOON + timedelta(minutes=5))

    harness.messenger.before["redraw"] = _die_over(Choice.NO)
    with pytest.raises(asyncio.CancelledError):
        await harness.service.redraw(old)
    harness.messenger.before.clear()
    harness.restart()
    await harness.pass_time(until=NOON + timedelta(minutes=6))

    assert [question.said for question, _ in harness.messenger.redraws][-3:] == [
        Choice.YES,
        Choice.NO,
        Choice.NO,
    ]
    assert not (await harness.question()).outdated


async def test_a_redraw_waits_as_long_as_slack_asks(harness: ServiceHarness) -> None:
    harness.messenger.redraw_ends = [TransientError("429", retry_after=timedelta(minutes=2))]

    await harness.service.redraw(await harness.answer(Choice.YES))

    assert (await harness.question()).due_at == NOON + timedelta(minutes=2, seconds=2)


async def test_a_redraw_that_breaks_does_not_block_the_next(harness: ServiceHarness) -> None:
    answered = await harness.answer(Choice.YES)
    harness.messenger.redraw_ends = [RuntimeError("a bug")]

    with pytest.raises(RuntimeError):
        await harness.service.redraw(answered)
    await harness.service.redraw(answered)

    assert not (await harness.question()).outdated


def _die_over(choice: Choice) -> Callable[[Question | None], Awaitable[None]]:
    async def draw(question: Question | None) -> None:
        if question and question.said is choice:
            raise asyncio.CancelledError

    return draw


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
