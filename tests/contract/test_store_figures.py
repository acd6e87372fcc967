"""What every store must count, and how old what waits in it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from any_store import SECOND, add, report_times
from any_store import a_question as any_question
from fakes import NOON
from memory_store import AnyStore

from bot.triage.model import Choice, Question, State
from bot.triage.outcomes import ENDINGS, Outcome
from bot.triage.statistics import AlertStatistics

pytest_plugins = ["store_fixtures"]

MINUTE = timedelta(minutes=1)


def asked(identifier: str, *, alert: str = "duo", at: Any = NOON, **changes: Any) -> Question:
    question = any_question(identifier, state=State.ASKED, due_at=None, asked_at=at, **changes)
    return replace(question, request=replace(question.request, alert=alert))


def answered(identifier: str, choice: Choice, *, after: timedelta, **changes: Any) -> Question:
    moment = NOON + after
    said: dict[str, Any] = {"said": choice, "answered_at": moment, "first_answered_at": moment}
    return asked(identifier, standing=Outcome(choice.value), **said, **changes)


async def test_questions_are_summed_up_by_alert_and_by_the_outcome_that_stands(store: AnyStore) -> None:
    await add(
        store,
        answered("1", Choice.YES, after=1 * MINUTE),
        answered("2", Choice.YES, after=3 * MINUTE),
        answered("3", Choice.NO, after=10 * MINUTE),
        answered("4", Choice.WRONG_USER, after=2 * MINUTE),
        answered("5", Choice.NOT_SURE, after=4 * MINUTE),
        asked("6", standing=Outcome.TIMED_OUT),
        asked("7", standing=Outcome.UNDELIVERABLE, reason="not_asked_in_time"),
        asked("8"),
        asked("9", alert="ssh"),
    )

    duo, ssh = await store.statistics(NOON)

    assert duo == AlertStatistics(
        alert="duo",
        asked=8,
        endings={ending.key: 0 for ending in ENDINGS}
        | {"yes": 2, "no": 1, "wrongUser": 1, "notSure": 1, "unanswered": 2},
        open=1,
        median=3 * MINUTE,
        p90=10 * MINUTE,
    )
    assert (ssh.alert, ssh.asked, ssh.open, ssh.median, ssh.p90) == ("ssh", 1, 1, None, None)


async def test_only_what_was_asked_and_asked_since_then_is_summed_up(store: AnyStore) -> None:
    await add(
        store,
        any_question("waits"),
        any_question("closed", state=State.CLOSED, standing=Outcome.UNDELIVERABLE, due_at=None),
        asked("before", at=NOON - timedelta(microseconds=1)),
        asked("then"),
    )

    [only] = await store.statistics(NOON)

    assert only.asked == 1


async def test_a_changed_mind_does_not_change_how_long_the_first_answer_took(store: AnyStore) -> None:
    first = answered("1", Choice.YES, after=MINUTE)
    later = NOON + timedelta(days=2)
    await add(store, replace(first, said=Choice.NO, standing=Outcome.NO, answered_at=later))

    [only] = await store.statistics(NOON)

    assert (only.endings["no"], only.endings["yes"], only.median) == (1, 0, MINUTE)


async def test_an_empty_store_has_no_figures(store: AnyStore) -> None:
    assert list(await store.statistics(NOON)) == []
    assert await store.oldest_open() is None
    assert await store.oldest_unsent() is None


async def test_the_oldest_open_question_is_the_one_accepted_first_that_has_no_outcome(
    store: AnyStore,
) -> None:
    await add(
        store,
        any_question("ended", accepted_at=NOON - 9 * SECOND, standing=Outcome.TIMED_OUT),
        any_question("newer", accepted_at=NOON - 1 * SECOND),
        asked("oldest", accepted_at=NOON - 5 * SECOND),
    )

    assert await store.oldest_open() == NOON - 5 * SECOND


async def test_the_oldest_unsent_report_is_neither_sent_nor_parked(store: AnyStore) -> None:
    [sent] = await report_times(store, "sent", NOON - 9 * SECOND)
    [parked] = await report_times(store, "parked", NOON - 7 * SECOND)
    await report_times(store, "waits", NOON + SECOND)
    await report_times(store, "waits longer", NOON - 2 * SECOND)
    await store.mark_sent([sent], NOON)
    await store.mark_parked([parked], NOON)

    assert await store.oldest_unsent() == NOON - 2 * SECOND
