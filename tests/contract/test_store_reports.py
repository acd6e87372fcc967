"""The order and the times in which every store releases reports, also again; and a restored backup."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from any_store import (
    IDENTIFIER,
    SECOND,
    Opening,
    a_question,
    add,
    due,
    every_store,
    overdue,
    play,
    report_times,
    sendable,
)
from effort import effort
from fakes import NOON, apart_from_trail
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_store import APART, AnyStore

from bot.triage.event_kinds import EventKind
from bot.triage.model import Choice, OutboxRow, State
from bot.triage.outcomes import Outcome

pytest_plugins = ["store_fixtures"]


async def test_reports_go_in_the_order_in_which_they_fall_due(store: AnyStore) -> None:
    await report_times(store, "b", NOON + 2 * SECOND)
    await report_times(store, "a", NOON + 3 * SECOND)
    await report_times(store, "c", NOON + 1 * SECOND)

    assert await sendable(store, NOON) == []
    assert await sendable(store, NOON + 2 * SECOND) == ["event-c-0", "event-b-0"]
    everything = await store.sendable(NOON + 9 * SECOND, limit=2)
    assert [row.identifier for row in everything] == ["c", "b"]


async def test_the_next_report_waits_until_five_seconds_after_the_one_before(store: AnyStore) -> None:
    first, second, _ = await report_times(store, IDENTIFIER, NOON, NOON, NOON)
    assert await sendable(store, NOON + 3600 * SECOND) == [first.event_id]

    await store.mark_sent([first], NOON + 10 * SECOND)

    assert await sendable(store, NOON + 15 * SECOND - timedelta(microseconds=1)) == []
    assert await store.next_sendable(NOON + 10 * SECOND) == NOON + 15 * SECOND
    assert await sendable(store, NOON + 15 * SECOND) == [second.event_id]
    assert await store.next_sendable(NOON + 15 * SECOND) is None


async def test_a_parked_report_holds_up_no_other_and_shortens_no_wait(store: AnyStore) -> None:
    first, second = await report_times(store, "parked", NOON, NOON)
    sent, parked, third = await report_times(store, IDENTIFIER, NOON, NOON, NOON)

    await store.mark_parked([first], NOON)
    await store.mark_sent([sent], NOON)
    await store.mark_parked([parked], NOON + SECOND)

    assert await sendable(store, NOON + 2 * SECOND) == [second.event_id]
    assert await store.next_sendable(NOON + 2 * SECOND) == NOON + APART
    assert await sendable(store, NOON + APART) == [second.event_id, third.event_id]


async def test_sent_and_parked_reports_are_kept_with_their_moments(store: AnyStore) -> None:
    first, second = await report_times(store, IDENTIFIER, NOON, NOON)
    others = [(await report_times(store, f"alert-{number}", NOON))[0] for number in range(10)]

    await store.mark_sent([first, *others], NOON + SECOND)
    await store.mark_sent([], NOON)
    await store.mark_parked([second], NOON + 2 * SECOND)

    sent, parked = replace(first, sent_at=NOON + SECOND), replace(second, parked_at=NOON + 2 * SECOND)
    assert list(await store.reports_of(IDENTIFIER)) == [sent, parked]
    assert await sendable(store, NOON + 3600 * SECOND) == []
    assert await store.next_sendable(NOON) is None


steps = st.lists(
    st.tuples(st.sampled_from(["sent", "parked", "wait"]), st.integers(min_value=0, max_value=8)), max_size=12
)
dues = st.lists(
    st.lists(st.integers(min_value=0, max_value=20), min_size=1, max_size=4), min_size=1, max_size=3
)


@every_store
@settings(max_examples=effort(6, 20))
@given(dues=dues, steps=steps)
def test_reports_are_never_sent_out_of_order_nor_too_late(
    opening: Opening, dues: list[list[int]], steps: list[tuple[str, int]]
) -> None:
    """Send, park and wait at random: no two of one identifier, in order, and no moment is slept through."""

    async def scenario(store: AnyStore) -> None:
        for number, moments in enumerate(dues):
            await report_times(store, f"alert-{number}", *(NOON + each * SECOND for each in moments))
        now, settled = NOON, dict.fromkeys((f"alert-{number}" for number in range(len(dues))), 0)
        for kind, seconds in steps:
            rows = await store.sendable(now, limit=100)
            assert [row.sequence for row in rows] == [settled[row.identifier] for row in rows]
            assert len({row.identifier for row in rows}) == len(rows)
            if rows and kind != "wait":
                await (store.mark_sent if kind == "sent" else store.mark_parked)(rows[:1], now)
                settled[rows[0].identifier] += 1
            await nothing_is_slept_through(store, now)
            now += seconds * SECOND

    play(opening, scenario)


async def nothing_is_slept_through(store: AnyStore, now: datetime) -> None:
    """Check that nothing becomes sendable before the moment that `next_sendable` names."""
    before = await sendable(store, now)
    moment = await store.next_sendable(now)
    assert moment is None or moment > now
    just_before = NOON + timedelta(days=1) if moment is None else moment - timedelta(microseconds=1)
    assert set(await sendable(store, just_before)) == set(before)


HOUR = timedelta(hours=1)
LATER = NOON + HOUR


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


async def test_a_parked_report_is_replayed_too_and_one_that_is_held_stays_held(store: AnyStore) -> None:
    first, second = await report_times(store, IDENTIFIER, NOON, NOON)
    await report_times(store, "held", LATER + HOUR)
    await store.mark_parked([first], NOON)
    await store.mark_sent([second], NOON)

    await store.replay([IDENTIFIER, "held"], LATER)
    await store.replay([IDENTIFIER], LATER)

    rows = await store.reports_of(IDENTIFIER)
    assert [(row.sent_at, row.parked_at, row.due_at) for row in rows] == [(None, None, LATER)] * 2
    assert [row.replays for row in rows] == [2, 2]  # so that no queue takes it for a duplicate
    assert await sendable(store, LATER + HOUR - SECOND) == [first.event_id]
    assert await sendable(store, LATER + HOUR) == [first.event_id, "event-held-0"]


async def test_what_is_not_selected_stays_sent_and_holds_up_nothing(store: AnyStore) -> None:
    reports = await report_times(store, IDENTIFIER, NOON, NOON, NOON)
    await store.mark_sent(reports, NOON)

    await store.replay([IDENTIFIER], LATER, select=lambda row: row.sequence != 1)
    await store.replay([IDENTIFIER], LATER, select=lambda _: False)

    rows = await store.reports_of(IDENTIFIER)
    assert [(row.sent_at, row.replays) for row in rows] == [(None, 1), (NOON, 0), (None, 1)]
    trail = await store.trail_of(IDENTIFIER)
    assert trail is not None
    assert [each.facts for each in trail.events if each.kind is EventKind.REPLAYED] == [{"reports": 2}]
    await store.mark_sent([rows[0]], LATER)
    assert await sendable(store, LATER + APART) == [rows[2].event_id]


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
    assert len(await due(store, LATER)) == 2


async def test_open_deadlines_start_anew_as_long_as_they_were(store: AnyStore) -> None:
    await add(store, a_question("open", deadline=NOON + HOUR), a_question("expired", deadline=None))
    await store.reset_after_restore(LATER)

    assert await overdue(store, LATER + HOUR - SECOND) == []
    assert await overdue(store, LATER + HOUR) == ["open"]


async def test_what_was_answered_or_has_ended_is_left_as_it_was(store: AnyStore) -> None:
    place = {"channel": "D0ADA", "ts": "1.1"}
    answered = replace(a_question("answered", state=State.ASKED, **place), said=Choice.YES, reports=1)
    closed = a_question("closed", state=State.CLOSED, standing=Outcome.UNDELIVERABLE, due_at=None)
    await add(store, answered, closed)

    await store.reset_after_restore(LATER)

    for before in (answered, closed):
        assert await store.find(before.request.identifier) == before
