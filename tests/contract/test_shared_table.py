"""Two workers on one table: who works on what, and what becomes of it when one of them is no more."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from any_store import IDENTIFIER, SECOND, a_question, a_report, add, report_times, sendable
from fakes import NOON, SteppedClock
from local_dynamodb import two_workers
from machine import FakeMachine

from bot.clock import Service
from bot.store.dynamodb.leases import LEASE
from bot.store.dynamodb.store import DynamoStore
from bot.triage.asking_rules import CLAIM_LEASE
from bot.triage.model import Change, Question, State, Work

HOUR = timedelta(hours=1)


def names(questions: Sequence[Question]) -> list[str]:
    return [each.request.identifier for each in questions]


async def due(store: DynamoStore, clock: SteppedClock, work: Work = Work.ASK) -> list[str]:
    return names(await store.due(work, clock(), limit=10))


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
        assert names(await ours.due(Work.ASK, now, limit=10)) == []


async def test_what_a_worker_wrote_is_its_own_until_the_lease_ends() -> None:
    clock = SteppedClock()
    async with two_workers(clock) as (ours, theirs):
        await add(ours, a_question())

        assert await due(theirs, clock) == []
        assert await due(ours, clock) == [IDENTIFIER]

        clock.now = NOON + LEASE
        assert await due(theirs, clock) == [IDENTIFIER]
        assert await due(ours, clock) == []


async def test_of_two_that_want_a_row_that_nobody_has_one_gets_it() -> None:
    clock = SteppedClock()
    async with two_workers(clock) as (ours, theirs):
        many = [f"alert-{number}" for number in range(8)]
        await add(ours, *(a_question(name) for name in many))
        clock.now = NOON + LEASE

        shares = await asyncio.gather(due(ours, clock), due(theirs, clock))

        assert sorted(shares[0] + shares[1]) == many


async def test_a_row_that_is_due_later_goes_to_whoever_asks_first() -> None:
    clock = SteppedClock()
    async with two_workers(clock) as (ours, theirs):
        await add(ours, a_question(due_at=NOON + HOUR))
        clock.now = NOON + HOUR

        assert await due(theirs, clock) == [IDENTIFIER]
        assert await due(ours, clock) == []


async def test_work_that_takes_longer_than_the_lease_stays_with_whoever_asks_for_more() -> None:
    clock = SteppedClock()
    async with two_workers(clock) as (ours, theirs):
        await add(ours, a_question())
        assert await due(ours, clock) == [IDENTIFIER]

        clock.now = NOON + LEASE
        assert await due(ours, clock) == [IDENTIFIER]

        assert await due(theirs, clock) == []


async def test_a_claim_that_nobody_followed_up_is_in_doubt_and_due_for_another_worker() -> None:
    clock = SteppedClock()
    async with two_workers(clock) as (dead, theirs):
        await add(dead, a_question())
        claimed = a_question(
            version=1,
            state=State.POSTING,
            slack_id="U0ADA",
            claimed_at=NOON,
            in_doubt_since=NOON,
            due_at=NOON + CLAIM_LEASE,
        )
        assert await dead.save(Change(question=claimed))

        clock.now = NOON + 3 * SECOND
        assert await due(theirs, clock) == []
        clock.now = NOON + LEASE
        [found] = await theirs.due(Work.ASK, clock(), limit=10)

        assert found == replace(claimed, due_at=NOON)


async def test_what_was_changed_by_another_worker_is_let_go_of() -> None:
    clock = SteppedClock()
    async with two_workers(clock) as (ours, theirs):
        await add(ours, a_question(due_at=NOON + 5 * SECOND))
        changed = a_question(version=1, state=State.CLOSED, due_at=None)
        assert await theirs.save(Change(question=changed))

        assert not await ours.save(Change(question=a_question(version=1, slack_id="U0ADA")))

        clock.now = NOON + 5 * SECOND
        assert await due(ours, clock) == []
        assert await ours.next_due(NOON) is None


async def test_what_is_read_newer_than_it_was_held_is_let_go_of() -> None:
    clock = SteppedClock()
    async with two_workers(clock) as (ours, theirs):
        question = a_question()
        await add(ours, question)
        assert await theirs.save(Change(question=replace(question, version=1)))

        assert await ours.load(question.ref) == replace(question, version=1)

        assert await due(ours, clock) == []
        assert await due(theirs, clock) == [IDENTIFIER]


async def test_every_worker_knows_a_deadline_before_it_comes_and_the_first_save_counts() -> None:
    clock = SteppedClock()
    async with two_workers(clock) as (ours, theirs):
        deadline = NOON + HOUR
        await add(ours, a_question(due_at=None, deadline=deadline))
        clock.now = deadline - 5 * SECOND
        for store in (ours, theirs):
            assert list(await store.overdue(clock(), limit=10)) == []
            assert await store.next_due(clock()) == deadline

        clock.now = deadline
        both = [await store.overdue(clock(), limit=10) for store in (ours, theirs)]
        ended = a_question(version=1, due_at=None, reports=1)
        saved = [await store.save(Change(question=ended, report=a_report())) for store in (ours, theirs)]

        assert [names(each) for each in both] == [[IDENTIFIER]] * 2
        assert saved == [True, False]
        assert [list(await store.overdue(clock(), limit=10)) for store in (ours, theirs)] == [[], []]


async def test_a_report_is_sent_by_whoever_wrote_it_or_by_another_when_that_one_is_dead() -> None:
    clock = SteppedClock()
    async with two_workers(clock) as (dead, theirs):
        [report] = await report_times(dead, IDENTIFIER, NOON)
        assert await sendable(theirs, clock()) == []

        clock.now = NOON + LEASE

        assert await sendable(theirs, clock()) == [report.event_id]


async def test_a_report_waits_for_the_one_before_it_whoever_has_that() -> None:
    clock = SteppedClock()
    async with two_workers(clock) as (ours, theirs):
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


async def test_a_worker_is_told_when_another_has_left_work() -> None:
    clock = SteppedClock()
    async with two_workers(clock) as (dead, theirs):
        told = asyncio.Event()
        theirs.on_found = told.set
        await add(dead, a_question())
        assert await due(theirs, clock) == []

        clock.now = NOON + LEASE

        await asyncio.wait_for(told.wait(), 30)
        assert await due(theirs, clock) == [IDENTIFIER]


async def test_a_look_that_fails_in_an_unforeseen_way_is_not_the_last(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = SteppedClock()
    async with two_workers(clock) as (dead, theirs):
        told, looks = asyncio.Event(), iter([RuntimeError("nobody thought of this")])

        def hear() -> None:
            for error in looks:
                raise error
            told.set()

        theirs.on_found = hear
        await add(dead, a_question())
        assert await due(theirs, clock) == []

        clock.now = NOON + LEASE

        await asyncio.wait_for(told.wait(), 30)
    assert "nobody thought of this" in caplog.text


async def test_a_replay_by_a_command_is_sent_by_a_worker() -> None:
    clock = SteppedClock()
    async with two_workers(clock) as (worker, command):
        [report] = await report_times(worker, IDENTIFIER, NOON)
        await worker.mark_sent([report], NOON)

        await command.replay([IDENTIFIER], clock())
        clock.now = NOON + LEASE

        assert await sendable(worker, clock()) == [report.event_id]
