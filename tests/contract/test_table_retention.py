"""What expires from the table, when, and what is kept from it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from any_store import IDENTIFIER, a_question, a_report, add
from fakes import NOON
from local_dynamodb import KEEP, create_table, dynamodb, store_in

from bot.clock import Clock
from bot.store.dynamodb.store import DynamoStore
from bot.store.dynamodb.table import TRANSACTION_MAX
from bot.triage.asking_rules import row_key
from bot.triage.model import Change, Question, State
from bot.triage.outcomes import Outcome

DAY = timedelta(days=1)


@asynccontextmanager
async def a_table(clock: Clock | None = None) -> AsyncIterator[tuple[DynamoStore, str]]:
    name = create_table()
    store = store_in(name, clock=clock)
    try:
        yield store, name
    finally:
        await store.close()


def ended() -> Question:
    return a_question(
        state=State.CLOSED,
        standing=Outcome.UNDELIVERABLE,
        due_at=None,
        settled_at=NOON,
        reports=1,
        shown=1,
    )


def expiry(table: str, sort: str) -> timedelta | None:
    """Return how long after noon an item expires; None: it does not."""
    key = {"pk": {"S": row_key(IDENTIFIER)}, "sk": {"S": sort}}
    item = dynamodb().get_item(TableName=table, Key=key)["Item"]
    return timedelta(seconds=int(item["x"]["N"]) - NOON.timestamp()) if "x" in item else None


async def test_what_is_at_rest_expires_a_day_after_its_time_and_its_report_with_it() -> None:
    async with a_table() as (store, table):
        await add(store, ended(), report=a_report())
        await store.mark_sent([a_report()], NOON)

        assert expiry(table, "question") == KEEP + DAY
        assert expiry(table, "report#000000") == KEEP


async def test_before_it_is_known_what_time_it_is_nothing_is_written_that_expires() -> None:
    async with a_table(Clock()) as (store, table):
        await add(store, ended(), report=a_report())
        await store.mark_sent([a_report()], NOON - 40 * DAY)

        assert (expiry(table, "question"), expiry(table, "report#000000")) == (None, None)


async def test_what_has_something_to_come_does_not_expire() -> None:
    async with a_table() as (store, table):
        await add(store, a_question(), report=a_report())

        assert expiry(table, "question") is None
        assert expiry(table, "report#000000") is None


async def test_a_late_answer_makes_a_question_stay_until_it_is_at_rest_again() -> None:
    async with a_table() as (store, table):
        await add(store, ended())
        late = replace(
            ended(), version=1, state=State.ASKED, ts="1.1", channel="D0ADA", reports=2, due_at=NOON
        )

        assert await store.save(Change(question=late))

        assert expiry(table, "question") is None


async def test_a_parked_report_keeps_its_question() -> None:
    async with a_table() as (store, table):
        await add(store, ended(), report=a_report())

        await store.mark_parked([a_report()], NOON)

        assert expiry(table, "question") is None
        assert expiry(table, "report#000000") is None


async def test_a_replay_keeps_the_question_until_it_was_sent_again() -> None:
    async with a_table() as (store, table):
        await add(store, ended(), report=a_report())
        await store.mark_sent([a_report()], NOON)

        await store.replay([IDENTIFIER], NOON + DAY)

        assert expiry(table, "question") is None
        assert expiry(table, "report#000000") is None
        await store.mark_sent(await store.sendable(NOON + DAY, limit=1), NOON + DAY)
        assert expiry(table, "question") == KEEP + 2 * DAY
        assert expiry(table, "report#000000") == KEEP + DAY


async def test_a_report_that_has_waited_for_a_day_keeps_its_question_until_it_is_sent() -> None:
    async with a_table() as (store, table):
        await add(store, ended(), report=a_report())
        now = NOON + DAY + timedelta(seconds=1)

        await store.remove_ended(now - KEEP, limit=10)

        assert expiry(table, "question") is None
        await store.mark_sent([a_report()], now)
        assert expiry(table, "question") == KEEP + 2 * DAY + timedelta(seconds=1)


async def test_the_usual_end_of_an_alert_takes_no_write_for_its_expiry() -> None:
    async with a_table() as (store, table):
        await add(store, ended(), report=a_report())
        before = expiry(table, "question")

        await store.mark_sent([a_report()], NOON + timedelta(hours=1))
        await store.remove_ended(NOON + DAY - KEEP, limit=10)

        assert expiry(table, "question") == before


@pytest.mark.parametrize(("deadline", "kept"), [(None, 15 * DAY), (NOON + 20 * DAY, 35 * DAY)])
async def test_an_event_expires_a_while_after_it_was_stored_or_its_question_ran_out(
    deadline: datetime | None, kept: timedelta
) -> None:
    async with a_table() as (store, table):
        await add(store, a_question(deadline=deadline), report=a_report())

        await store.mark_sent([a_report()], NOON)

        assert expiry(table, "event#01234567#000001") == KEEP + kept


async def test_more_events_than_fit_in_one_transaction_go_with_their_question() -> None:
    async with a_table() as (store, table):
        await add(store, ended(), report=a_report())
        for _ in range(TRANSACTION_MAX):
            await store.mark_sent([a_report()], NOON)

        assert await store.remove_ended(NOON + 8 * DAY, limit=1) == 1

        assert dynamodb().scan(TableName=table)["Items"] == []
