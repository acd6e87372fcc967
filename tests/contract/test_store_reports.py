"""In which order, and when, every store lets reports go."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from any_store import IDENTIFIER, SECOND, Opening, every_store, play, report_times, sendable
from effort import effort
from fakes import NOON
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_store import APART, AnyStore

pytest_plugins = ["store_fixtures"]

# Reports


async def test_reports_go_in_the_order_in_which_they_fall_due(store: AnyStore) -> None:
    await report_times(store, "b", NOON + 2 * SECOND)
    await report_times(store, "a", NOON + 3 * SECOND)
    await report_times(store, "c", NOON + 1 * SECOND)

    assert await sendable(store, NOON) == []
    assert await sendable(store, NOON + 2 * SECOND) == ["event-c-0", "event-b-0"]
    everything = await store.sendable(NOON + 9 * SECOND, limit=2)
    assert [row.identifier for row in everything] == ["c", "b"]


async def test_the_next_report_waits_until_the_one_before_was_sent_and_five_seconds_passed(
    store: AnyStore,
) -> None:
    first, second, _ = await report_times(store, IDENTIFIER, NOON, NOON, NOON)
    assert await sendable(store, NOON + 3600 * SECOND) == [first.event_id]

    await store.mark_sent([first], NOON + 10 * SECOND)

    assert await sendable(store, NOON + 15 * SECOND - timedelta(microseconds=1)) == []
    assert await store.next_sendable(NOON + 10 * SECOND) == NOON + 15 * SECOND
    assert await sendable(store, NOON + 15 * SECOND) == [second.event_id]
    assert await store.next_sendable(NOON + 15 * SECOND) is None


async def test_a_report_that_falls_due_earlier_does_not_overtake(store: AnyStore) -> None:
    first, second = await report_times(store, IDENTIFIER, NOON + 90 * SECOND, NOON)

    assert await sendable(store, NOON + 89 * SECOND) == []
    assert await store.next_sendable(NOON) == NOON + 90 * SECOND
    assert await sendable(store, NOON + 90 * SECOND) == [first.event_id]
    await store.mark_sent([first], NOON + 90 * SECOND)
    assert await sendable(store, NOON + 95 * SECOND) == [second.event_id]


async def test_a_parked_report_lets_the_next_one_go_at_once(store: AnyStore) -> None:
    first, second = await report_times(store, IDENTIFIER, NOON, NOON)

    await store.mark_parked([first], NOON)

    assert await sendable(store, NOON) == [second.event_id]


async def test_a_parked_report_does_not_shorten_the_wait_after_the_one_before_it(store: AnyStore) -> None:
    first, second, third = await report_times(store, IDENTIFIER, NOON, NOON, NOON)
    await store.mark_sent([first], NOON)

    await store.mark_parked([second], NOON + SECOND)

    assert await sendable(store, NOON + 2 * SECOND) == []
    assert await store.next_sendable(NOON + 2 * SECOND) == NOON + APART
    assert await sendable(store, NOON + APART) == [third.event_id]


async def test_sent_and_parked_reports_are_kept_with_their_moments(store: AnyStore) -> None:
    first, second = await report_times(store, IDENTIFIER, NOON, NOON)

    await store.mark_sent([first], NOON + SECOND)
    await store.mark_parked([second], NOON + 2 * SECOND)

    kept = await store.reports_of(IDENTIFIER)
    assert list(kept) == [
        replace(first, sent_at=NOON + SECOND),
        replace(second, parked_at=NOON + 2 * SECOND),
    ]
    assert await sendable(store, NOON + 3600 * SECOND) == []
    assert await store.next_sendable(NOON) is None


async def test_a_batch_is_marked_together(store: AnyStore) -> None:
    names = [f"alert-{number}" for number in range(10)]
    rows = [(await report_times(store, name, NOON))[0] for name in names]

    await store.mark_sent(rows, NOON)
    await store.mark_sent([], NOON)

    assert await sendable(store, NOON + 60 * SECOND) == []


steps = st.lists(
    st.tuples(st.sampled_from(["sent", "parked", "wait"]), st.integers(min_value=0, max_value=8)), max_size=12
)
dues = st.lists(
    st.lists(st.integers(min_value=0, max_value=20), min_size=1, max_size=4), min_size=1, max_size=3
)


@every_store
@settings(max_examples=effort(6, 40))
@given(dues=dues, steps=steps)
def test_reports_are_never_sent_out_of_order_nor_too_late(
    opening: Opening, dues: list[list[int]], steps: list[tuple[str, int]]
) -> None:
    """Send, park and wait at random: no two of one identifier, in order, and no moment is slept through."""

    async def scenario(store: AnyStore) -> None:
        for number, moments in enumerate(dues):
            await report_times(store, f"alert-{number}", *(NOON + each * SECOND for each in moments))
        now, settled = NOON, dict.fromkeys((f"alert-{number}" for number in range(len(dues))), 0)
        for deed, seconds in steps:
            rows = await store.sendable(now, limit=100)
            assert [row.sequence for row in rows] == [settled[row.identifier] for row in rows]
            assert len({row.identifier for row in rows}) == len(rows)
            if rows and deed != "wait":
                await (store.mark_sent if deed == "sent" else store.mark_parked)(rows[:1], now)
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
