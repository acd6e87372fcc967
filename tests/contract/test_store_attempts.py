"""What every store must do with what people were last asked to prove."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from any_store import IDENTIFIER, a_question, a_report, add
from fakes import NOON
from memory_store import AnyStore

from bot.triage.factor import Attempt
from bot.triage.model import Change, Choice

pytest_plugins = ["store_fixtures"]

SECOND = timedelta(seconds=1)
ADA = "ada@example.com"
FIRST = Attempt(
    subject=ADA,
    version=1,
    ref=a_question().ref,
    code="CODE23",
    started_at=NOON,
    due_at=NOON + SECOND,
    pushes=(NOON - SECOND, NOON),
)
OUT = replace(
    FIRST,
    version=2,
    sent_at=NOON,
    push_id="push-1",
    interval=5 * SECOND,
    dead_at=NOON + 60 * SECOND,
    due_at=NOON + 5 * SECOND,
)
OVER = replace(OUT, version=3, due_at=None, push_id="", refused_at=NOON + 9 * SECOND)


async def test_an_attempt_is_found_by_its_subject_in_any_case_as_it_was_saved(store: AnyStore) -> None:
    for attempt in (FIRST, OUT, OVER):
        assert await store.save_attempt(attempt)

        assert await store.find_attempt(ADA.upper()) == attempt

    assert await store.find_attempt("eve@example.com") is None


@pytest.mark.parametrize("version", [0, 1, 2, 4])
async def test_a_save_of_any_other_version_of_an_attempt_writes_nothing(
    store: AnyStore, version: int
) -> None:
    for attempt in (FIRST, OUT):
        await store.save_attempt(attempt)

    assert not await store.save_attempt(replace(OVER, version=version))

    assert await store.find_attempt(ADA) == OUT


async def test_what_is_due_comes_first_to_last_and_what_is_over_never(store: AnyStore) -> None:
    for number, seconds in enumerate((30, 10, 20)):
        each = replace(FIRST, subject=f"{number}@example.com", due_at=NOON + seconds * SECOND)
        await store.save_attempt(each)
    for attempt in (FIRST, OUT, OVER):
        await store.save_attempt(attempt)

    due = [await store.due_attempts(NOON + seconds * SECOND, limit=2) for seconds in (9, 20, 40)]

    assert [[each.subject[0] for each in found] for found in due] == [[], ["1", "2"], ["1", "2"]]


async def test_a_click_and_its_attempt_are_written_together(store: AnyStore) -> None:
    question = a_question()
    await add(store, question)
    clicked = replace(
        question,
        version=1,
        said=Choice.YES,
        needs_factor=True,
        proofs=1,
        proof_code="CODE23",
        retry_at=NOON,
        proved_at=NOON,
        unreported=1,
    )

    assert await store.save(Change(question=clicked, before=question, attempt=FIRST))

    assert await store.find(IDENTIFIER) == clicked
    assert await store.find_attempt(ADA) == FIRST


@pytest.mark.parametrize(("question_version", "attempt_version"), [(1, 2), (2, 1), (0, 1), (2, 3)], ids=str)
async def test_if_either_is_not_the_one_that_was_decided_on_neither_is_written(
    store: AnyStore, question_version: int, attempt_version: int
) -> None:
    question = a_question()
    await add(store, question)
    late = replace(question, version=question_version, proof_code="CODE23", reports=1)
    attempt = replace(FIRST, version=attempt_version)

    assert not await store.save(Change(question=late, before=question, report=a_report(), attempt=attempt))

    assert await store.find(IDENTIFIER) == question
    assert await store.find_attempt(ADA) is None
    assert list(await store.reports_of(IDENTIFIER)) == []


async def test_what_is_long_over_is_removed_and_what_is_under_way_is_not(store: AnyStore) -> None:
    for attempt in (FIRST, OUT):
        await store.save_attempt(attempt)

    await store.remove_ended(NOON + timedelta(days=400), limit=10)

    assert await store.find_attempt(ADA) == OUT
