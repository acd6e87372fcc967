"""Deadlines, and what every store keeps and lets go of."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from any_store import IDENTIFIER, SECOND, a_question, a_report, add
from fakes import NOON, apart_from_trail
from memory_store import AnyStore

from bot.triage.model import Change, Question, State, Work
from bot.triage.outcomes import Outcome

pytest_plugins = ["store_fixtures"]

MICROSECOND = timedelta(microseconds=1)
DAY = timedelta(days=1)


def ended(identifier: str = IDENTIFIER, *, at: datetime = NOON, **changes: Any) -> Question:
    known: dict[str, Any] = {
        "state": State.CLOSED,
        "standing": Outcome.UNDELIVERABLE,
        "reports": 1,
        "shown": 1,
    }
    return a_question(identifier, due_at=None, settled_at=at, **(known | changes))


async def keep(store: AnyStore, question: Question, *, sent_at: datetime | None = NOON) -> None:
    report = a_report(identifier=question.request.identifier)
    await add(store, question, report=report)
    if sent_at:
        await store.mark_sent([report], sent_at)


async def names(store: AnyStore) -> set[str]:
    return {each.request.identifier for each in await store.list_questions(limit=1000)}


# Deadlines


async def test_a_deadline_has_come_at_its_very_moment_and_not_before(store: AnyStore) -> None:
    deadline = NOON + timedelta(microseconds=123_457)
    await add(store, a_question(due_at=None, deadline=deadline), a_question("never"))

    assert list(await store.overdue(deadline - MICROSECOND, limit=10)) == []
    overdue = await store.overdue(deadline, limit=10)
    assert [each.request.identifier for each in overdue] == [IDENTIFIER]
    assert await store.next_due(NOON) == deadline
    assert await store.next_due(deadline) is None


async def test_the_oldest_deadline_is_met_first(store: AnyStore) -> None:
    for name, seconds in (("third", 3), ("first", 1), ("second", 2), ("later", 9)):
        await add(store, a_question(name, due_at=None, deadline=NOON + seconds * SECOND))

    overdue = await store.overdue(NOON + 5 * SECOND, limit=2)

    assert [each.request.identifier for each in overdue] == ["first", "second"]


async def test_the_next_moment_is_that_of_work_or_deadline_whichever_comes_first(store: AnyStore) -> None:
    await add(store, a_question(due_at=NOON + 9 * SECOND, deadline=NOON + 5 * SECOND))

    assert await store.next_due(NOON) == NOON + 5 * SECOND
    assert await store.next_due(NOON + 5 * SECOND) == NOON + 9 * SECOND


async def test_work_is_due_by_its_kind(store: AnyStore) -> None:
    answered = a_question("answered", state=State.ASKED, channel="D0ADA", ts="1.1", reports=1)
    at_rest = a_question("at rest", state=State.ASKED, channel="D0ADA", ts="1.2")
    await add(store, a_question("new"), answered, at_rest)

    redraws = await store.due(Work.REDRAW, NOON, limit=10)
    questions = await store.due(Work.ASK, NOON, limit=10)

    assert [each.request.identifier for each in redraws] == ["answered"]
    assert [each.request.identifier for each in questions] == ["new"]
    assert await store.next_due(NOON - SECOND) == NOON


# Probe


async def test_a_probe_leaves_nothing_to_be_read(store: AnyStore) -> None:
    await store.probe()
    await store.probe()

    assert await names(store) == set()
    assert await store.next_due(NOON - DAY) is None


# Retention


async def test_what_ended_and_was_sent_before_the_moment_is_removed_with_its_reports(
    store: AnyStore,
) -> None:
    await keep(store, ended())

    assert await store.remove_ended(NOON, limit=10) == 0
    assert await store.remove_ended(NOON + MICROSECOND, limit=10) == 1

    assert await store.find(IDENTIFIER) is None
    assert list(await store.reports_of(IDENTIFIER)) == []
    assert list(await store.add([Change(question=a_question())])) == [True]


@pytest.mark.parametrize(
    "question",
    [
        ended(at=NOON + DAY),
        ended(deadline=NOON + 300 * DAY),
        ended(state=State.ACCEPTED),
        ended(state=State.POSTING),
        ended(state=State.ASKED, channel="D0ADA", ts="1.1", shown=0),
        a_question(reports=1),
        a_question(state=State.ASKED, due_at=None, channel="D0ADA", ts="1.1"),
    ],
    ids=["ended later", "deadline", "still to ask", "in doubt", "to redraw", "accepted", "not answered"],
)
async def test_a_question_that_is_not_at_its_end_stays(store: AnyStore, question: Question) -> None:
    await keep(store, question)

    assert await store.remove_ended(NOON + DAY, limit=10) == 0

    assert apart_from_trail(await store.find(IDENTIFIER)) == apart_from_trail(question)


@pytest.mark.parametrize("fate", ["unsent", "parked", "sent later"])
async def test_a_question_whose_last_report_is_still_needed_stays_with_all_of_them(
    store: AnyStore, fate: str
) -> None:
    await keep(store, ended())
    later = replace(ended(), version=2, reports=2, shown=2)  # the first report's event took 1
    assert await store.save(Change(question=later, report=a_report(1)))
    if fate == "parked":
        await store.mark_parked([a_report(1)], NOON)
    if fate == "sent later":
        await store.mark_sent([a_report(1)], NOON + 2 * DAY)

    assert await store.remove_ended(NOON + DAY, limit=10) == 0

    assert len(await store.reports_of(IDENTIFIER)) == 2


async def test_a_replayed_question_stays_until_it_was_sent_again_long_ago(store: AnyStore) -> None:
    await keep(store, ended())
    await store.replay([IDENTIFIER], NOON + DAY)
    assert await store.remove_ended(NOON + DAY, limit=10) == 0

    await store.mark_sent(await store.sendable(NOON + DAY, limit=10), NOON + DAY)

    assert await store.remove_ended(NOON + DAY, limit=10) == 0
    assert await store.remove_ended(NOON + 2 * DAY, limit=10) == 1


async def test_a_step_removes_so_many_and_the_oldest_first(store: AnyStore) -> None:
    for number in range(7):
        await keep(store, ended(f"alert-{number}", at=NOON + number * SECOND))
    await add(store, a_question("new"))

    steps = [await store.remove_ended(NOON + DAY, limit=3)]
    assert await names(store) == {"alert-3", "alert-4", "alert-5", "alert-6", "new"}
    steps += [await store.remove_ended(NOON + DAY, limit=3) for _ in range(3)]

    assert steps == [3, 3, 1, 0]
    assert await names(store) == {"new"}


async def test_a_click_after_the_removal_finds_nothing(store: AnyStore) -> None:
    question = ended()
    await keep(store, question)
    await store.remove_ended(NOON + DAY, limit=10)

    assert await store.load(question.ref) is None
    assert not await store.save(Change(question=replace(question, version=1), report=a_report(1)))
