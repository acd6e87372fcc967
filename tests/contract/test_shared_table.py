"""Two workers on one table: who works on what, what expires, and what it all costs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from any_store import (
    IDENTIFIER,
    SECOND,
    a_question,
    a_report,
    add,
    due,
    expiry,
    overdue,
    report_times,
    sendable,
)
from fakes import NOON, SteppedClock
from local_dynamodb import KEEP, create_table, dynamodb, store_in, two_workers
from machine import FakeMachine
from table_costs import documented_lines
from table_crew import crew_of

from bot.clock import Clock, Service
from bot.store.dynamodb import listing
from bot.store.dynamodb.leases import LEASE
from bot.store.dynamodb.store import DynamoStore
from bot.store.dynamodb.table import TRANSACTION_MAX, Item
from bot.triage.asking_rules import CLAIM_LEASE
from bot.triage.listing import EVERYTHING
from bot.triage.model import Change, Question, State, Work
from bot.triage.outcomes import Outcome

HOUR = timedelta(hours=1)


Workers = tuple[SteppedClock, DynamoStore, DynamoStore]


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    """A clock, and two workers on one table."""
    clock = SteppedClock()
    async with two_workers(clock) as (ours, theirs):
        yield clock, ours, theirs


async def test_a_lease_of_ours_ends_while_the_machine_is_suspended_whatever_the_time_says() -> None:
    machine = FakeMachine()
    machine.hear(Service.AWS)
    async with two_workers(machine.clock) as (ours, _):
        await add(ours, a_question())
        now = machine.clock()

        machine.suspended += LEASE.total_seconds()
        for _ in range(3):
            machine.hear(Service.AWS, off=-LEASE.total_seconds())

        assert machine.clock() == now
        assert await due(ours, now) == []


async def test_what_a_worker_wrote_is_its_own_until_the_lease_ends(workers: Workers) -> None:
    clock, ours, theirs = workers
    await add(ours, a_question())

    assert await due(theirs, clock()) == []
    assert await due(ours, clock()) == [IDENTIFIER]

    clock.now = NOON + LEASE
    assert await due(theirs, clock()) == [IDENTIFIER]
    assert await due(ours, clock()) == []

    clock.now = NOON + 2 * LEASE  # work that takes longer stays with the worker that renews its lease
    assert await due(theirs, clock()) == [IDENTIFIER]
    assert await due(ours, clock()) == []


async def test_of_two_that_want_a_row_that_nobody_has_one_gets_it(workers: Workers) -> None:
    clock, ours, theirs = workers
    many = [f"alert-{number}" for number in range(8)]
    await add(ours, *(a_question(name) for name in many))
    clock.now = NOON + LEASE

    shares = await asyncio.gather(due(ours, clock()), due(theirs, clock()))

    assert sorted(shares[0] + shares[1]) == many


async def test_a_table_is_counted_once_a_minute(workers: Workers) -> None:
    clock, ours, theirs = workers
    before = await ours.count()
    await add(theirs, a_question())

    clock.advance(seconds=59)
    kept = await ours.count()
    clock.advance(seconds=1)

    assert (before.open_questions, kept, (await ours.count()).open_questions) == (0, before, 1)


class EndedMeanwhile:
    """A table in which a question ends between the reads of two partitions: both have it."""

    def __init__(self) -> None:
        self.asked_for: list[Item] = []

    async def query(self, **arguments: Any) -> AsyncIterator[Item]:
        if arguments["ExpressionAttributeValues"][":p"]["S"] in ("open#0", "ended#0"):
            yield {"pk": "0" * 32, "at": 1}

    async def get_many(self, keys: Sequence[Item]) -> list[Item]:
        self.asked_for += keys
        return []


async def test_a_question_that_ends_while_it_is_listed_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "PAGE", 1)
    table = EndedMeanwhile()

    assert await listing.list_newest(cast(Any, table), EVERYTHING, limit=9) == []
    assert table.asked_for == [{"pk": "0" * 32, "sk": "question"}]


async def test_a_row_that_is_due_later_goes_to_whoever_asks_first(workers: Workers) -> None:
    clock, ours, theirs = workers
    await add(ours, a_question(due_at=NOON + HOUR))
    clock.now = NOON + HOUR

    assert await due(theirs, clock()) == [IDENTIFIER]
    assert await due(ours, clock()) == []


async def test_a_claim_that_nobody_followed_up_is_in_doubt_and_due_for_another(workers: Workers) -> None:
    clock, dead, theirs = workers
    await add(dead, a_question())
    moments: dict[str, Any] = {"claimed_at": NOON, "in_doubt_since": NOON, "due_at": NOON + CLAIM_LEASE}
    claimed = a_question(version=1, state=State.POSTING, slack_id="U0ADA", **moments)
    assert await dead.save(Change(question=claimed))

    clock.now = NOON + 3 * SECOND
    assert await due(theirs, clock()) == []
    clock.now = NOON + LEASE
    [found] = await theirs.due(Work.ASK, clock(), limit=10)

    assert found == replace(claimed, due_at=NOON)


async def test_what_was_changed_by_another_worker_is_let_go_of(workers: Workers) -> None:
    clock, ours, theirs = workers
    await add(ours, a_question(due_at=NOON + 5 * SECOND))
    changed = a_question(version=1, state=State.CLOSED, due_at=None)
    assert await theirs.save(Change(question=changed))

    assert not await ours.save(Change(question=a_question(version=1, slack_id="U0ADA")))

    clock.now = NOON + 5 * SECOND
    assert await due(ours, clock()) == []
    assert await ours.next_due(NOON) is None


async def test_what_is_read_newer_than_it_was_held_is_let_go_of(workers: Workers) -> None:
    clock, ours, theirs = workers
    question = a_question()
    await add(ours, question)
    assert await theirs.save(Change(question=replace(question, version=1)))

    assert await ours.load(question.ref) == replace(question, version=1)

    assert await due(ours, clock()) == []
    assert await due(theirs, clock()) == [IDENTIFIER]


async def test_every_worker_knows_a_deadline_before_it_comes_and_the_first_counts(workers: Workers) -> None:
    clock, *stores = workers
    deadline = NOON + HOUR
    await add(stores[0], a_question(due_at=None, deadline=deadline))
    clock.now = deadline - 5 * SECOND
    for store in stores:
        assert await overdue(store, clock()) == []
        assert await store.next_due(clock()) == deadline

    clock.now = deadline
    both = [await overdue(store, clock()) for store in stores]
    ended = a_question(version=1, due_at=None, reports=1)
    saved = [await store.save(Change(question=ended, report=a_report())) for store in stores]

    assert (both, saved) == ([[IDENTIFIER]] * 2, [True, False])
    assert [await overdue(store, clock()) for store in stores] == [[], []]


async def test_a_report_is_sent_by_who_wrote_or_replayed_it_or_another_if_that_dies(workers: Workers) -> None:
    clock, dead, theirs = workers
    [report] = await report_times(dead, IDENTIFIER, NOON)
    assert await sendable(theirs, clock()) == []

    clock.now = NOON + LEASE
    assert await sendable(theirs, clock()) == [report.event_id]
    await theirs.mark_sent([report], clock())

    await dead.replay([IDENTIFIER], clock())  # as a command does
    clock.now = NOON + 2 * LEASE
    assert await sendable(theirs, clock()) == [report.event_id]


async def test_a_report_waits_for_the_one_before_it_whoever_has_that(workers: Workers) -> None:
    clock, ours, theirs = workers
    [first] = await report_times(ours, IDENTIFIER, NOON)
    question = await theirs.find(IDENTIFIER)
    assert question is not None
    changed = replace(question, version=question.version + 1, reports=2)
    assert await theirs.save(Change(question=changed, report=a_report(1)))

    assert await sendable(theirs, clock()) == []
    wakes_at = await theirs.next_sendable(clock())
    await ours.mark_sent([first], clock())

    assert wakes_at is not None
    clock.now = wakes_at
    assert await sendable(theirs, clock()) == ["event-9Zo02m4B7gIfixq3c4Xh-1"]


async def test_a_worker_is_told_when_another_has_left_work_even_if_a_look_fails_in_an_unforeseen_way(
    workers: Workers, caplog: pytest.LogCaptureFixture
) -> None:
    clock, dead, theirs = workers
    told, looks = asyncio.Event(), iter([RuntimeError("nobody thought of this")])

    def hear() -> None:
        for error in looks:
            raise error
        told.set()

    theirs.on_found = hear
    await add(dead, a_question())
    assert await due(theirs, clock()) == []

    clock.now = NOON + LEASE

    await asyncio.wait_for(told.wait(), 30)
    assert "nobody thought of this" in caplog.text
    assert await due(theirs, clock()) == [IDENTIFIER]


DAY = timedelta(days=1)
Table = tuple[DynamoStore, str]


@pytest.fixture
async def table() -> AsyncIterator[tuple[DynamoStore, str]]:
    name = create_table()
    store = store_in(name)
    yield store, name
    await store.close()


def ended() -> Question:
    closed: dict[str, Any] = {
        "state": State.CLOSED,
        "standing": Outcome.UNDELIVERABLE,
        "settled_at": NOON,
        "due_at": None,
    }
    return a_question(reports=1, shown=1, **closed)


def expiries(table: str) -> tuple[timedelta | None, timedelta | None]:
    """Return how long after noon the question and its first report expire."""
    return expiry(table, IDENTIFIER), expiry(table, IDENTIFIER, "report#000000")


async def test_what_is_at_rest_expires_a_day_after_its_time_and_a_replay_puts_it_off(table: Table) -> None:
    store, name = table
    await add(store, ended(), report=a_report())
    await store.mark_sent([a_report()], NOON)
    assert expiries(name) == (KEEP + DAY, KEEP)

    await store.replay([IDENTIFIER], NOON + DAY)
    assert expiries(name) == (None, None)
    await store.mark_sent(await store.sendable(NOON + DAY, limit=1), NOON + DAY)
    assert expiries(name) == (KEEP + 2 * DAY, KEEP + DAY)


async def test_before_it_is_known_what_time_it_is_nothing_is_written_that_expires() -> None:
    name = create_table()
    store = store_in(name, clock=Clock())
    await add(store, ended(), report=a_report())
    await store.mark_sent([a_report()], NOON - 40 * DAY)
    await store.close()

    assert expiries(name) == (None, None)


async def test_what_has_something_to_come_does_not_expire(table: Table) -> None:
    store, name = table
    await add(store, a_question(), report=a_report())

    assert expiries(name) == (None, None)


async def test_a_late_answer_makes_a_question_stay_until_it_is_at_rest_again(table: Table) -> None:
    store, name = table
    await add(store, ended())
    place: dict[str, Any] = {"channel": "D0ADA", "ts": "1.1"}
    late = replace(ended(), version=1, state=State.ASKED, reports=2, due_at=NOON, **place)

    assert await store.save(Change(question=late))

    assert expiry(name, IDENTIFIER) is None


async def test_a_parked_report_keeps_its_question(table: Table) -> None:
    store, name = table
    await add(store, ended(), report=a_report())

    await store.mark_parked([a_report()], NOON)

    assert expiries(name) == (None, None)


async def test_a_report_that_has_waited_for_a_day_keeps_its_question_until_it_is_sent(table: Table) -> None:
    store, name = table
    await add(store, ended(), report=a_report())
    now = NOON + DAY + timedelta(seconds=1)

    await store.remove_ended(now - KEEP, limit=10)

    assert expiry(name, IDENTIFIER) is None
    await store.mark_sent([a_report()], now)
    assert expiry(name, IDENTIFIER) == KEEP + 2 * DAY + timedelta(seconds=1)


async def test_the_usual_end_of_an_alert_takes_no_write_for_its_expiry(table: Table) -> None:
    store, name = table
    await add(store, ended(), report=a_report())
    before = expiry(name, IDENTIFIER)

    await store.mark_sent([a_report()], NOON + timedelta(hours=1))
    await store.remove_ended(NOON + DAY - KEEP, limit=10)

    assert expiry(name, IDENTIFIER) == before


GUIDE = Path(__file__).parents[2] / "docs" / "operate.md"


@pytest.mark.slow
async def test_the_guide_says_what_the_table_is_measured_to_cost() -> None:
    said = GUIDE.read_text(encoding="utf-8").splitlines()

    measured = await documented_lines()

    assert [line for line in measured if line not in said] == []


async def test_a_worker_that_asks_again_what_is_due_reads_nothing() -> None:
    async with crew_of(1) as crew:
        await crew.pass_time(seconds=0)
        looked = crew.meter.looked

        await crew.pass_time(seconds=1)

        assert (crew.meter.looked, crew.meter.read, crew.meter.written) == (looked, 0, 0)


@pytest.mark.parametrize(("deadline", "kept"), [(None, 15 * DAY), (NOON + 20 * DAY, 35 * DAY)])
async def test_an_event_expires_a_while_after_it_was_stored_or_its_question_ran_out(
    table: Table, deadline: datetime | None, kept: timedelta
) -> None:
    store, name = table
    await add(store, a_question(deadline=deadline), report=a_report())

    await store.mark_sent([a_report()], NOON)

    assert expiry(name, IDENTIFIER, "event#01234567#000001") == KEEP + kept


async def test_more_events_than_fit_in_one_transaction_go_with_their_question(table: Table) -> None:
    store, name = table
    await add(store, ended(), report=a_report())
    for _ in range(TRANSACTION_MAX):
        await store.mark_sent([a_report()], NOON)

    assert await store.remove_ended(NOON + 8 * DAY, limit=1) == 1

    assert dynamodb().scan(TableName=name)["Items"] == []
