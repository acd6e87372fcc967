"""What every store must do, whatever it is made of; the one of the unit tests included."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fakes import APART, NOON, AnyStore, MemoryStore, a_request
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.errors import StoreError
from bot.store import open_store
from bot.triage.model import (
    Change,
    Choice,
    Confidence,
    OutboxRow,
    Outcome,
    Question,
    State,
    TriageRequest,
)
from bot.triage.rules import new_ref

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

Opening = Callable[[], AbstractAsyncContextManager[AnyStore]]

IDENTIFIER = "9Zo02m4B7gIfixq3c4Xh"
SECOND = timedelta(seconds=1)


@asynccontextmanager
async def memory_store() -> AsyncIterator[AnyStore]:
    yield MemoryStore()


@asynccontextmanager
async def sqlite_store() -> AsyncIterator[AnyStore]:
    with tempfile.TemporaryDirectory() as folder:
        store = await open_store(f"sqlite:///{Path(folder) / 'store.db'}", create=True)
        try:
            yield store
        finally:
            await store.close()


STORES = [pytest.param(memory_store, id="memory"), pytest.param(sqlite_store, id="sqlite")]
every_store = pytest.mark.parametrize("opening", STORES)


def a_question(identifier: str = IDENTIFIER, **changes: Any) -> Question:
    known: dict[str, Any] = {"accepted_at": NOON, "due_at": NOON}
    ref = new_ref(identifier, "0123456789abcdef" * 2)
    return Question(request=a_request(identifier), ref=ref, **(known | changes))


def a_report(sequence: int = 0, *, identifier: str = IDENTIFIER, due_at: datetime = NOON) -> OutboxRow:
    return OutboxRow(
        identifier=identifier,
        sequence=sequence,
        event_id=f"event-{identifier}-{sequence}",
        body=f'{{"sequence":{sequence}}}',
        due_at=due_at,
    )


async def add(store: AnyStore, *questions: Question, report: OutboxRow | None = None) -> None:
    added = await store.add([Change(question=each, report=report) for each in questions])
    assert list(added) == [True] * len(questions)


async def report_times(store: AnyStore, identifier: str, *due: datetime) -> list[OutboxRow]:
    """Add a question with a report due at each of these moments; return the reports."""
    reports = [a_report(number, identifier=identifier, due_at=each) for number, each in enumerate(due)]
    question = a_question(identifier, reports=1)
    await add(store, question, report=reports[0])
    for version, report in enumerate(reports[1:], start=1):
        assert await store.save(Change(question=replace(question, version=version), report=report))
    return reports


async def sendable(store: AnyStore, now: datetime) -> list[str]:
    return [row.event_id for row in await store.sendable(now, limit=1000)]


# Questions


@every_store
async def test_what_was_added_is_found_by_ref_and_by_identifier(opening: Opening) -> None:
    async with opening() as store:
        question = a_question()
        await add(store, question, a_question("another"))

        assert await store.load(question.ref) == question
        assert await store.find(IDENTIFIER) == question
        assert await store.find("unknown") is None


@every_store
async def test_a_ref_with_another_second_part_finds_nothing(opening: Opening) -> None:
    async with opening() as store:
        question = a_question()
        await add(store, question)
        key = question.ref.partition(".")[0]

        strangers = [
            f"{key}.{'f' * 32}",
            f"{key}.",
            key,
            question.ref[:-1],
            question.ref + "0",
            "",
            ".",
            "é.ü",
        ]
        for ref in strangers:
            assert await store.load(ref) is None


@every_store
async def test_a_known_identifier_is_not_added_again(opening: Opening) -> None:
    async with opening() as store:
        question = a_question()
        await add(store, question)
        again = replace(question, ref=new_ref(IDENTIFIER, "f" * 32), reports=1, state=State.CLOSED)

        added = await store.add(
            [Change(question=again, report=a_report()), Change(question=a_question("new"))]
        )

        assert list(added) == [False, True]
        assert await store.find(IDENTIFIER) == question
        assert list(await store.reports_of(IDENTIFIER)) == []


@every_store
async def test_an_identifier_twice_in_a_batch_is_added_once(opening: Opening) -> None:
    async with opening() as store:
        question = a_question()
        twin = replace(question, ref=new_ref(IDENTIFIER, "f" * 32))

        added = await store.add([Change(question=question), Change(question=twin)])

        assert list(added) == [True, False]
        assert await store.find(IDENTIFIER) == question


@every_store
async def test_nothing_to_add_is_nothing_added(opening: Opening) -> None:
    async with opening() as store:
        assert list(await store.add([])) == []


@every_store
async def test_a_poisoned_row_fails_alone(opening: Opening) -> None:
    async with opening() as store:
        poisoned = replace(a_question("poisoned"), request=a_request("poisoned", summary="\ud800"))
        batch = [a_question("one"), poisoned, a_question("two")]

        added = await store.add([Change(question=each) for each in batch])

        assert (added[0], added[2]) == (True, True)
        assert isinstance(added[1], StoreError)
        assert await store.find("poisoned") is None
        assert {each.request.identifier for each in await store.list_questions(limit=10)} == {"one", "two"}


@every_store
async def test_a_save_replaces_the_version_before_it(opening: Opening) -> None:
    async with opening() as store:
        await add(store, a_question())
        changed = a_question(version=1, state=State.POSTING, slack_id="U0ADA", due_at=None)

        assert await store.save(Change(question=changed))

        assert await store.find(IDENTIFIER) == changed


@every_store
@pytest.mark.parametrize("version", [0, 1, 3, 7])
async def test_a_save_of_any_other_version_writes_nothing(opening: Opening, version: int) -> None:
    async with opening() as store:
        await add(store, a_question())
        current = a_question(version=1, slack_id="U0ADA")
        assert await store.save(Change(question=current))
        late = a_question(version=version, slack_id="U0EVE", reports=1)

        assert not await store.save(Change(question=late, report=a_report()))

        assert await store.find(IDENTIFIER) == current
        assert list(await store.reports_of(IDENTIFIER)) == []


@every_store
async def test_a_save_of_an_unknown_question_or_ref_writes_nothing(opening: Opening) -> None:
    async with opening() as store:
        question = a_question()
        assert not await store.save(Change(question=replace(question, version=1), report=a_report()))
        await add(store, question)
        forged = replace(question, ref=new_ref(IDENTIFIER, "f" * 32), version=1, slack_id="U0EVE")

        assert not await store.save(Change(question=forged, report=a_report()))

        assert await store.find(IDENTIFIER) == question
        assert list(await store.reports_of(IDENTIFIER)) == []


@every_store
async def test_of_many_saves_at_once_one_is_first(opening: Opening) -> None:
    async with opening() as store:
        await add(store, a_question())
        rivals = [a_question(version=1, slack_id=f"U{number}", reports=1) for number in range(10)]

        first = await asyncio.gather(
            *(store.save(Change(question=each, report=a_report())) for each in rivals)
        )

        assert sum(first) == 1
        assert await store.find(IDENTIFIER) == rivals[first.index(True)]
        assert len(await store.reports_of(IDENTIFIER)) == 1


@every_store
async def test_question_and_report_are_written_in_one_step(opening: Opening) -> None:
    async with opening() as store:
        await add(store, a_question(reports=1), report=a_report())
        answered = a_question(version=1, reports=2)

        assert await store.save(Change(question=answered, report=a_report(1)))

        assert await store.find(IDENTIFIER) == answered
        assert list(await store.reports_of(IDENTIFIER)) == [a_report(0), a_report(1)]


moments = st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone
maybe = st.none() | moments
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
tokens = st.text("ABCDEFGHIJ0123456789.", max_size=20)
counts = st.integers(min_value=0, max_value=2**40)
questions = st.builds(
    Question,
    request=st.builds(
        TriageRequest,
        identifier=words.filter(bool),
        alert=words,
        summary=words,
        user=words,
        confidence=st.sampled_from(Confidence),
    ),
    ref=st.just("not yet known"),
    state=st.sampled_from(State),
    version=st.just(0),
    accepted_at=moments,
    due_at=maybe,
    attempts=counts,
    slack_id=tokens,
    slack_name=words,
    offered=st.lists(st.sampled_from(Choice), unique=True).map(tuple),
    claimed_at=maybe,
    in_doubt_since=maybe,
    channel=tokens,
    ts=tokens,
    asked_at=maybe,
    standing=st.none() | st.sampled_from(Outcome),
    reason=words,
    said=st.none() | st.sampled_from(Choice),
    answered_at=maybe,
    answers=counts,
    idle_changes=counts,
    reports=counts,
    shown=counts,
).map(lambda each: replace(each, ref=new_ref(each.request.identifier, "0" * 32)))


def play(opening: Opening, scenario: Callable[[AnyStore], Awaitable[None]]) -> None:
    async def run() -> None:
        async with opening() as store:
            await scenario(store)

    asyncio.run(run())


@every_store
@settings(max_examples=50)
@given(question=questions, later=questions)
def test_every_field_comes_back_as_it_was(opening: Opening, question: Question, later: Question) -> None:
    async def scenario(store: AnyStore) -> None:
        await add(store, question)
        assert await store.load(question.ref) == question
        fixed = replace(later, request=question.request, ref=question.ref)
        saved = replace(fixed, accepted_at=question.accepted_at, version=1)

        assert await store.save(Change(question=saved))

        assert await store.load(question.ref) == saved

    play(opening, scenario)


@every_store
@settings(max_examples=25)
@given(body=words, event_id=words, due_at=moments)
def test_every_report_comes_back_as_it_was(
    opening: Opening, body: str, event_id: str, due_at: datetime
) -> None:
    report = replace(a_report(), body=body, event_id=event_id, due_at=due_at)

    async def scenario(store: AnyStore) -> None:
        await add(store, a_question(reports=1), report=report)

        assert list(await store.reports_of(IDENTIFIER)) == [report]

    play(opening, scenario)


# What is due


@every_store
async def test_questions_are_due_in_order_of_their_moments(opening: Opening) -> None:
    async with opening() as store:
        for name, seconds in (("third", 3), ("first", 1), ("later", 11), ("second", 2)):
            await add(store, a_question(name, due_at=NOON + seconds * SECOND))
        await add(store, a_question("never", due_at=None))

        due = await store.due(NOON + 10 * SECOND, limit=10)
        assert [each.request.identifier for each in due] == ["first", "second", "third"]
        due = await store.due(NOON + 10 * SECOND, limit=2)
        assert [each.request.identifier for each in due] == ["first", "second"]


@every_store
async def test_a_question_is_due_at_its_very_moment_and_not_before(opening: Opening) -> None:
    async with opening() as store:
        moment = NOON + timedelta(microseconds=123_457)
        await add(store, a_question(due_at=moment))

        assert list(await store.due(moment - timedelta(microseconds=1), limit=10)) == []
        assert len(await store.due(moment, limit=10)) == 1
        assert await store.next_due(moment - timedelta(microseconds=1)) == moment
        assert await store.next_due(moment) is None


@every_store
async def test_the_next_due_moment_is_the_earliest_to_come(opening: Opening) -> None:
    async with opening() as store:
        assert await store.next_due(NOON) is None
        for name, seconds in (("past", -5), ("far", 50), ("near", 7)):
            await add(store, a_question(name, due_at=NOON + seconds * SECOND))

        assert await store.next_due(NOON) == NOON + 7 * SECOND


# Reports


@every_store
async def test_reports_go_in_the_order_in_which_they_fall_due(opening: Opening) -> None:
    async with opening() as store:
        await report_times(store, "b", NOON + 2 * SECOND)
        await report_times(store, "a", NOON + 3 * SECOND)
        await report_times(store, "c", NOON + 1 * SECOND)

        assert await sendable(store, NOON) == []
        assert await sendable(store, NOON + 2 * SECOND) == ["event-c-0", "event-b-0"]
        everything = await store.sendable(NOON + 9 * SECOND, limit=2)
        assert [row.identifier for row in everything] == ["c", "b"]


@every_store
async def test_the_next_report_waits_until_the_one_before_was_sent_and_five_seconds_passed(
    opening: Opening,
) -> None:
    async with opening() as store:
        first, second, _ = await report_times(store, IDENTIFIER, NOON, NOON, NOON)
        assert await sendable(store, NOON + 3600 * SECOND) == [first.event_id]

        await store.mark_sent([first], NOON + 10 * SECOND)

        assert await sendable(store, NOON + 15 * SECOND - timedelta(microseconds=1)) == []
        assert await store.next_sendable(NOON + 10 * SECOND) == NOON + 15 * SECOND
        assert await sendable(store, NOON + 15 * SECOND) == [second.event_id]
        assert await store.next_sendable(NOON + 15 * SECOND) is None


@every_store
async def test_a_report_that_falls_due_earlier_does_not_overtake(opening: Opening) -> None:
    async with opening() as store:
        first, second = await report_times(store, IDENTIFIER, NOON + 90 * SECOND, NOON)

        assert await sendable(store, NOON + 89 * SECOND) == []
        assert await store.next_sendable(NOON) == NOON + 90 * SECOND
        assert await sendable(store, NOON + 90 * SECOND) == [first.event_id]
        await store.mark_sent([first], NOON + 90 * SECOND)
        assert await sendable(store, NOON + 95 * SECOND) == [second.event_id]


@every_store
async def test_a_parked_report_lets_the_next_one_go_at_once(opening: Opening) -> None:
    async with opening() as store:
        first, second = await report_times(store, IDENTIFIER, NOON, NOON)

        await store.mark_parked([first], NOON)

        assert await sendable(store, NOON) == [second.event_id]


@every_store
async def test_a_parked_report_does_not_shorten_the_wait_after_the_one_before_it(opening: Opening) -> None:
    async with opening() as store:
        first, second, third = await report_times(store, IDENTIFIER, NOON, NOON, NOON)
        await store.mark_sent([first], NOON)

        await store.mark_parked([second], NOON + SECOND)

        assert await sendable(store, NOON + 2 * SECOND) == []
        assert await store.next_sendable(NOON + 2 * SECOND) == NOON + APART
        assert await sendable(store, NOON + APART) == [third.event_id]


@every_store
async def test_sent_and_parked_reports_are_kept_with_their_moments(opening: Opening) -> None:
    async with opening() as store:
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


@every_store
async def test_a_batch_is_marked_together(opening: Opening) -> None:
    async with opening() as store:
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
@settings(max_examples=40)
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
    assert await sendable(store, just_before) == before


# What the commands read


@every_store
async def test_the_questions_accepted_last_are_listed_first(opening: Opening) -> None:
    async with opening() as store:
        for name, seconds in (("old", 1), ("new", 3), ("middle", 2)):
            await add(store, a_question(name, accepted_at=NOON + seconds * SECOND))

        listed = await store.list_questions(limit=2)

        assert [each.request.identifier for each in listed] == ["new", "middle"]


@every_store
async def test_an_unknown_identifier_has_no_reports(opening: Opening) -> None:
    async with opening() as store:
        assert list(await store.reports_of("unknown")) == []
