"""What a sweeper begins first, and what a limiter holds up."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from fakes import NOON, UPTIME
from memory_store import MemoryStore
from sweeper_harness import SweeperHarness, accepted, redrawable
from world import eventually

from bot.errors import AppRejected
from bot.triage.model import Change, Question, State, Work
from bot.triage.outcomes import Outcome
from bot.triage.sweeper import IN_PROGRESS_MAX


def remindable(identifier: str) -> Question:
    return replace(accepted(identifier), state=State.ASKED, channel="D0ADA", ts="1.0")


def carded(identifier: str) -> Question:
    ended = replace(accepted(identifier), state=State.CLOSED, standing=Outcome.UNDELIVERABLE)
    return replace(ended, due_at=None, card_due_at=NOON)


# Deadlines


async def test_a_deadline_is_met_when_it_comes_and_not_before() -> None:
    harness = SweeperHarness()
    await harness.put(replace(accepted("early"), due_at=None), replace(accepted("late"), due_at=None))
    [early] = [each for each in harness.store.questions.values() if each.request.identifier == "early"]
    sooner = replace(early, version=1, deadline=NOON + timedelta(milliseconds=20))
    assert await harness.store.save(Change(question=sooner))

    async with harness.sweeping() as sweeper:
        sweeper.wake()
        harness.clock.advance(seconds=1)
        await harness.until_done("early")

    assert harness.expired == [("early", NOON + timedelta(seconds=1))]


async def test_more_deadlines_than_one_look_brings_are_all_met() -> None:
    harness = SweeperHarness()
    names = [f"question-{number}" for number in range(IN_PROGRESS_MAX * 2 + 1)]
    await harness.put(*(replace(accepted(name), due_at=None, deadline=NOON) for name in names))

    async with harness.sweeping():
        await harness.until_done(*names)

    assert Counter(name for name, _ in harness.expired) == dict.fromkeys(names, 1)


# Answers before questions, and a limiter


async def test_redraws_go_before_questions_that_are_due_longer() -> None:
    harness = SweeperHarness()
    questions = [f"question-{number}" for number in range(IN_PROGRESS_MAX)]
    await harness.add(*questions)
    await harness.put(redrawable("answered"))
    begun: list[str] = []

    async def work(question: Question) -> None:
        begun.append(question.request.identifier)
        await harness.put_to_rest(question)

    async with harness.sweeping(work):
        await harness.until_done(*questions, "answered")

    assert begun[0] == "answered"


async def test_each_kind_of_work_is_begun_in_the_order_of_who_waits_for_it() -> None:
    harness = SweeperHarness()
    await harness.put(remindable("reminder"), accepted("question"), carded("card"), redrawable("answered"))

    async with harness.sweeping():
        await harness.until_done("reminder", "question", "card", "answered")

    assert harness.works == [
        ("answered", Work.REDRAW),
        ("card", Work.CARD),
        ("question", Work.ASK),
        ("reminder", Work.REMIND),
    ]


async def test_a_card_that_is_due_beside_a_redraw_follows_it() -> None:
    harness = SweeperHarness()
    await harness.put(replace(redrawable("answered"), standing=Outcome.NO, card_due_at=NOON))

    async def show(question: Question) -> None:
        done = {"shown": question.reports} if question.outdated else {"card_due_at": None}
        changed = replace(question, version=question.version + 1, **done)
        assert await harness.store.save(Change(question=changed))
        harness.done["answered"] += 1

    async with harness.sweeping(show):
        await eventually(lambda: harness.done["answered"] == 2)

    assert harness.works == [("answered", Work.REDRAW), ("answered", Work.CARD)]


async def test_a_shut_gate_holds_questions_and_reminders_up_and_no_redraw_card_nor_deadline() -> None:
    harness = SweeperHarness()
    harness.limiter.pause(UPTIME + timedelta(hours=1))
    await harness.put(accepted("question"), remindable("reminder"), redrawable("answered"), carded("card"))
    await harness.put(replace(accepted("overdue"), due_at=None, deadline=NOON))

    async with harness.sweeping() as sweeper:
        await harness.until_done("answered", "card", "overdue")
        assert not {"question", "reminder"} & harness.done.keys()
        harness.clock.advance(seconds=3600)
        sweeper.wake()
        await harness.until_done("question", "reminder")


async def test_a_backlog_behind_a_shut_gate_is_not_looked_at_over_and_over() -> None:
    looks = 0

    class CountingStore(MemoryStore):
        async def overdue(self, now: datetime, *, limit: int) -> Sequence[Question]:
            nonlocal looks
            looks += 1
            return await super().overdue(now, limit=limit)

    harness = SweeperHarness()
    harness.store = CountingStore()
    await harness.add(*(f"question-{number}" for number in range(2 * IN_PROGRESS_MAX)))
    harness.limiter.pause(UPTIME + timedelta(hours=1))

    async with harness.sweeping():
        await eventually(lambda: looks > 0)
        for _ in range(100):  # turns of the event loop, in which it could look many times
            await asyncio.sleep(0)

        assert looks == 1


async def test_a_refused_worker_tries_with_one_question_at_a_time() -> None:
    harness = SweeperHarness()
    await harness.add("one", "two", "three")
    harness.limiter.trip(AppRejected("token_revoked", remedy="Renew it."), UPTIME)
    harness.clock.advance(seconds=30)
    at_once = most_at_once = 0

    async def work(question: Question) -> None:
        nonlocal at_once, most_at_once
        at_once += 1
        most_at_once = max(most_at_once, at_once)
        await asyncio.sleep(0)
        at_once -= 1
        await harness.put_to_rest(question)

    async with harness.sweeping(work):
        await harness.until_done("one", "two", "three")

    assert most_at_once == 1
