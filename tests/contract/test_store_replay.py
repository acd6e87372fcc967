"""Sending again, byte for byte, what was sent before; and a backup that is put in place."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from any_store import IDENTIFIER, SECOND, a_question, add, report_times, sendable
from fakes import NOON, apart_from_trail
from memory_store import APART, AnyStore

from bot.triage.model import Choice, OutboxRow, State, Work
from bot.triage.outcomes import Outcome

pytest_plugins = ["store_fixtures"]

HOUR = timedelta(hours=1)
LATER = NOON + HOUR

# Replay


async def test_all_reports_of_an_identifier_go_again_as_they_were_and_in_order(store: AnyStore) -> None:
    reports = await report_times(store, IDENTIFIER, NOON, NOON, NOON)
    for number, report in enumerate(reports):
        await store.mark_sent([report], NOON + number * APART)

    await store.replay([IDENTIFIER], LATER)

    gone, now = list[OutboxRow](), LATER
    while rows := await store.sendable(now, limit=10):
        gone += rows
        await store.mark_sent(rows, now)
        assert await sendable(store, now + APART - SECOND) == []
        now += APART
    assert [(row.sequence, row.event_id, row.body) for row in gone] == [
        (report.sequence, report.event_id, report.body) for report in reports
    ]
    assert {row.replays for row in gone} == {1}


async def test_each_replay_is_counted_so_that_no_queue_takes_it_for_a_duplicate(store: AnyStore) -> None:
    await report_times(store, IDENTIFIER, NOON)

    await store.replay([IDENTIFIER], LATER)
    await store.replay([IDENTIFIER], LATER)

    assert [row.replays for row in await store.reports_of(IDENTIFIER)] == [2]


async def test_a_parked_report_is_replayed_too(store: AnyStore) -> None:
    first, second = await report_times(store, IDENTIFIER, NOON, NOON)
    await store.mark_parked([first], NOON)
    await store.mark_sent([second], NOON)

    await store.replay([IDENTIFIER], LATER)

    rows = await store.reports_of(IDENTIFIER)
    assert [(row.sent_at, row.parked_at, row.due_at) for row in rows] == [(None, None, LATER)] * 2
    assert await sendable(store, LATER) == [first.event_id]


async def test_a_report_that_is_held_stays_held(store: AnyStore) -> None:
    await report_times(store, "held", LATER + HOUR)

    await store.replay(["held"], LATER)

    assert await sendable(store, LATER + HOUR - SECOND) == []
    assert await sendable(store, LATER + HOUR) == ["event-held-0"]


async def test_a_replay_touches_nobody_else(store: AnyStore) -> None:
    [ours] = await report_times(store, IDENTIFIER, NOON)
    [other] = await report_times(store, "another", NOON)
    await store.mark_sent([ours, other], NOON)
    question = await store.find(IDENTIFIER)

    await store.replay([IDENTIFIER, "unknown"], LATER)
    await store.replay([], LATER)

    assert list(await store.reports_of("another")) == [replace(other, sent_at=NOON)]
    assert list(await store.reports_of("unknown")) == []
    assert apart_from_trail(await store.find(IDENTIFIER)) == apart_from_trail(question)


async def test_what_was_sent_since_a_moment_is_found_the_oldest_alert_first(store: AnyStore) -> None:
    for number, name in enumerate(("new", "middle", "old", "unsent")):
        await report_times(store, name, NOON, accepted_at=NOON - number * SECOND)
    for number, name in enumerate(("old", "middle", "new")):
        await store.mark_sent(await store.reports_of(name), NOON + number * HOUR)

    assert list(await store.identifiers_sent_since(NOON + HOUR)) == ["middle", "new"]
    assert list(await store.identifiers_sent_since(NOON + HOUR + SECOND)) == ["new"]
    assert list(await store.identifiers_sent_since(NOON)) == ["old", "middle", "new"]


async def test_what_waits_or_is_parked_is_found_once_each(store: AnyStore) -> None:
    await report_times(store, "waits", NOON, NOON, accepted_at=NOON + SECOND)
    [parked] = await report_times(store, "parked", NOON)
    [sent] = await report_times(store, "sent", NOON)
    await store.mark_parked([parked], NOON)
    await store.mark_sent([sent], NOON)

    assert list(await store.identifiers_unsent()) == ["parked", "waits"]


# Restored


async def test_what_was_not_asked_before_the_backup_is_in_doubt_and_due(store: AnyStore) -> None:
    accepted = a_question("accepted", due_at=LATER + HOUR, paced=True, deadline=NOON + HOUR)
    posting = a_question("posting", state=State.POSTING, slack_id="U0ADA", claimed_at=NOON)
    await add(store, accepted, posting)

    await store.reset_after_restore(LATER)

    for before in (accepted, posting):
        restored = await store.find(before.request.identifier)
        assert restored is not None
        assert (restored.in_doubt_since, restored.due_at, restored.paced) == (LATER, LATER, False)
        assert (restored.state, restored.claimed_at) == (before.state, before.claimed_at)
    assert len(await store.due(Work.ASK, LATER, limit=10)) == 2


async def test_open_deadlines_start_anew_as_long_as_they_were(store: AnyStore) -> None:
    await add(store, a_question("open", deadline=NOON + HOUR), a_question("expired", deadline=None))
    await store.reset_after_restore(LATER)

    assert list(await store.overdue(LATER + HOUR - SECOND, limit=10)) == []
    overdue = await store.overdue(LATER + HOUR, limit=10)
    assert [each.request.identifier for each in overdue] == ["open"]


async def test_what_was_answered_or_has_ended_is_left_as_it_was(store: AnyStore) -> None:
    place = {"channel": "D0ADA", "ts": "1.1"}
    answered = replace(a_question("answered", state=State.ASKED, **place), said=Choice.YES, reports=1)
    closed = a_question("closed", state=State.CLOSED, standing=Outcome.UNDELIVERABLE, due_at=None)
    await add(store, answered, closed)

    await store.reset_after_restore(LATER)

    for before in (answered, closed):
        assert await store.find(before.request.identifier) == before
