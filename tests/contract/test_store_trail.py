"""The trail in each store: events with what they tell, all or nothing, chained, and gone with their alert."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from any_store import IDENTIFIER, SECOND, a_question, a_report, add
from fakes import ADA, ADDRESS, NOON, a_message, a_request
from memory_store import AnyStore
from trails import POLICY, answered_question, recorder_of, refuse

from bot.triage import restore_rules
from bot.triage.asking_rules import accept, new_ref
from bot.triage.event_kinds import EventKind
from bot.triage.model import Change, TrailEvent
from bot.triage.trail import REPEATS_MAX, UNKNOWN, find_breaks

pytest_plugins = ["store_fixtures"]

DAY = timedelta(days=1)


async def events_of(store: AnyStore, identifier: str = IDENTIFIER) -> Sequence[TrailEvent]:
    trail = await store.trail_of(identifier)
    assert trail
    assert list(find_breaks(trail)) == []
    return trail.events


async def test_every_decision_is_an_event_and_each_follows_the_one_before(store: AnyStore) -> None:
    await answered_question(store, IDENTIFIER)
    [report] = await store.reports_of(IDENTIFIER)
    await store.mark_sent([report], NOON + SECOND)
    await store.replay([IDENTIFIER], NOON + DAY)
    await store.mark_parked(await store.reports_of(IDENTIFIER), NOON + DAY + SECOND)

    events = await events_of(store)

    assert [(each.version, each.kind) for each in events] == list(
        enumerate(["accepted", "claimed", "asked", "answered", "sent", "replayed", "parked"])
    )
    assert [each.previous for each in events] == ["", *(each.hash for each in events[:-1])]
    stored = await store.find(IDENTIFIER)
    assert stored
    assert (stored.version, stored.trail_hash) == (6, events[-1].hash)
    assert events[3].facts["report"] == stored.report_hash
    assert not any(ADDRESS in str(each.facts) for each in events)


async def test_a_write_that_fails_leaves_no_event(store: AnyStore) -> None:
    question = await answered_question(store, IDENTIFIER)
    before = await events_of(store)
    late = Change(question=replace(question, version=2), event=replace(before[-1], version=2))

    assert not await store.save(late)
    assert list(await store.add([replace(late, question=a_question())])) == [False]

    assert await events_of(store) == before


async def test_of_two_rivals_one_is_told_and_the_other_follows_it(store: AnyStore) -> None:
    question = await answered_question(store, IDENTIFIER)
    recorder = recorder_of(store)
    [report] = await store.reports_of(IDENTIFIER)

    await asyncio.gather(
        *(recorder.decide(question, refuse) for _ in range(3)), store.mark_sent([report], NOON)
    )

    kinds = [each.kind for each in await events_of(store)][4:]
    assert sorted(kinds) == ["refused"] * 3 + ["sent"]


async def test_refused_clicks_are_events_at_first_and_then_counted_only(store: AnyStore) -> None:
    recorder = recorder_of(store)
    await add(store, a_question())
    question = await store.find(IDENTIFIER)
    for _ in range(REPEATS_MAX + 2):
        assert question
        question = await recorder.save(question, refuse(question))

    events = await events_of(store)
    assert [each.kind for each in events] == [EventKind.REFUSED] * REPEATS_MAX
    assert question
    assert question.refusals == REPEATS_MAX + 2


async def test_after_a_release_without_a_trail_the_gap_is_marked(store: AnyStore) -> None:
    question = await answered_question(store, IDENTIFIER)
    bare = replace(question, version=question.version + 1, trail_hash="", report_hash="", refusals=0)
    assert await store.save(Change(question=bare))

    [report] = await store.reports_of(IDENTIFIER)
    await store.mark_sent([report], NOON)
    await store.replay([IDENTIFIER], NOON)

    *before, gap, after = await events_of(store)
    assert [each.kind for each in before] == ["accepted", "claimed", "asked", "answered"]
    assert (gap.previous, after.previous) == (UNKNOWN, gap.hash)


async def test_events_go_with_their_alert(store: AnyStore) -> None:
    question = await answered_question(store, IDENTIFIER)
    await store.mark_sent(await store.reports_of(IDENTIFIER), NOON)
    shown = await store.find(IDENTIFIER)
    assert shown
    shown = replace(shown, version=shown.version + 1, shown=1, due_at=None)
    assert await store.save(Change(question=shown))

    assert await store.remove_ended(NOON + DAY, limit=10) == 1

    assert await store.trail_of(IDENTIFIER) is None
    again = replace(question, version=0, trail_hash="")
    assert list(await store.add([Change(question=again, report=a_report())])) == [True]
    assert await events_of(store) == []


@pytest.mark.parametrize(
    ("since", "until", "found"),
    [
        (NOON, NOON + DAY, {"old", "new"}),
        (NOON - DAY, NOON, set()),
        (NOON + SECOND, NOON + DAY, {"old"}),
        (NOON + SECOND, NOON + 2 * SECOND, {"old"}),
        (NOON + 2 * SECOND, NOON + DAY, set()),
    ],
)
async def test_alerts_of_a_time_are_those_to_which_something_happened_in_it(
    store: AnyStore, since: datetime, until: datetime, found: set[str]
) -> None:
    for name in ("old", "new"):
        await answered_question(store, name)
    await store.mark_sent(await store.reports_of("old"), NOON + SECOND)

    trails = [each async for each in store.trails(since, until)]

    assert {each.question.identifier for each in trails} == found
    assert all(len(each.reports) == 1 and not any(find_breaks(each)) for each in trails)


async def test_a_request_that_takes_over_a_message_begins_a_trail_of_its_own(store: AnyStore) -> None:
    recorder = recorder_of(store)
    first = accept(a_request(IDENTIFIER), new_ref(IDENTIFIER, "a" * 32), NOON, POLICY)
    await recorder.add([first])
    found = a_message(replace(first.question, ref=new_ref(IDENTIFIER, "f" * 32), ts="1.1"))

    adopted, _ = await recorder.decide(
        first.question, lambda row: restore_rules.adopt(row, found, ADA, NOON + SECOND, POLICY)
    )

    assert adopted
    assert adopted.ref == found.ref
    event = (await events_of(store))[-1]
    assert (event.previous, event.hash) == (UNKNOWN, adopted.trail_hash)
