"""What every store must do, whatever it is made of; the one of the unit tests included."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from any_store import IDENTIFIER, SECOND, a_question, a_report, add
from fakes import NOON, UPTIME, ScriptedMessenger, SteppedClock, a_request
from memory_store import AnyStore
from wiring import instead, wired
from world import eventually

from bot.errors import StoreError
from bot.triage.asking_rules import new_ref
from bot.triage.model import Change, State, Work

pytest_plugins = ["store_fixtures"]

# Questions


async def test_what_was_added_is_found_by_ref_and_by_identifier(store: AnyStore) -> None:
    question = a_question()
    await add(store, question, a_question("another"))

    assert await store.load(question.ref) == question
    assert await store.find(IDENTIFIER) == question
    assert await store.find("unknown") is None


async def test_a_ref_with_another_second_part_finds_nothing(store: AnyStore) -> None:
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


async def test_a_known_identifier_is_not_added_again(store: AnyStore) -> None:
    question = a_question()
    await add(store, question)
    again = replace(question, ref=new_ref(IDENTIFIER, "f" * 32), reports=1, state=State.CLOSED)

    added = await store.add([Change(question=again, report=a_report()), Change(question=a_question("new"))])

    assert list(added) == [False, True]
    assert await store.find(IDENTIFIER) == question
    assert list(await store.reports_of(IDENTIFIER)) == []


async def test_an_identifier_twice_in_a_batch_is_added_once(store: AnyStore) -> None:
    question = a_question()
    twin = replace(question, ref=new_ref(IDENTIFIER, "f" * 32))

    added = await store.add([Change(question=question), Change(question=twin)])

    assert list(added) == [True, False]
    assert await store.find(IDENTIFIER) == question


async def test_nothing_to_add_is_nothing_added(store: AnyStore) -> None:
    assert list(await store.add([])) == []


async def test_a_poisoned_row_fails_alone(store: AnyStore) -> None:
    poisoned = replace(a_question("poisoned"), request=a_request("poisoned", summary="\ud800"))
    batch = [a_question("one"), poisoned, a_question("two")]

    added = await store.add([Change(question=each) for each in batch])

    assert (added[0], added[2]) == (True, True)
    assert isinstance(added[1], StoreError)
    assert await store.find("poisoned") is None
    assert {each.request.identifier for each in await store.list_questions(limit=10)} == {"one", "two"}


async def test_a_save_replaces_the_version_before_it(store: AnyStore) -> None:
    await add(store, a_question())
    changed = a_question(version=1, state=State.POSTING, slack_id="U0ADA", due_at=None)

    assert await store.save(Change(question=changed))

    assert await store.find(IDENTIFIER) == changed


@pytest.mark.parametrize("version", [0, 1, 3, 7])
async def test_a_save_of_any_other_version_writes_nothing(store: AnyStore, version: int) -> None:
    await add(store, a_question())
    current = a_question(version=1, slack_id="U0ADA")
    assert await store.save(Change(question=current))
    late = a_question(version=version, slack_id="U0EVE", reports=1)

    assert not await store.save(Change(question=late, report=a_report()))

    assert await store.find(IDENTIFIER) == current
    assert list(await store.reports_of(IDENTIFIER)) == []


async def test_a_save_of_an_unknown_question_or_ref_writes_nothing(store: AnyStore) -> None:
    question = a_question()
    assert not await store.save(Change(question=replace(question, version=1), report=a_report()))
    await add(store, question)
    forged = replace(question, ref=new_ref(IDENTIFIER, "f" * 32), version=1, slack_id="U0EVE")

    assert not await store.save(Change(question=forged, report=a_report()))

    assert await store.find(IDENTIFIER) == question
    assert list(await store.reports_of(IDENTIFIER)) == []


async def test_of_many_saves_at_once_one_is_first(store: AnyStore) -> None:
    await add(store, a_question())
    rivals = [a_question(version=1, slack_id=f"U{number}", reports=1) for number in range(10)]

    first = await asyncio.gather(*(store.save(Change(question=each, report=a_report())) for each in rivals))

    assert sum(first) == 1
    assert await store.find(IDENTIFIER) == rivals[first.index(True)]
    assert len(await store.reports_of(IDENTIFIER)) == 1


async def test_question_and_report_are_written_in_one_step(store: AnyStore) -> None:
    await add(store, a_question(reports=1), report=a_report())
    answered = a_question(version=1, reports=2)

    assert await store.save(Change(question=answered, report=a_report(1)))

    assert await store.find(IDENTIFIER) == answered
    assert list(await store.reports_of(IDENTIFIER)) == [a_report(0), a_report(1)]


# What is due


async def test_questions_are_due_in_order_of_their_moments(store: AnyStore) -> None:
    for name, seconds in (("third", 3), ("first", 1), ("later", 11), ("second", 2)):
        await add(store, a_question(name, due_at=NOON + seconds * SECOND))
    await add(store, a_question("never", due_at=None))

    due = await store.due(Work.ASK, NOON + 10 * SECOND, limit=10)
    assert [each.request.identifier for each in due] == ["first", "second", "third"]
    due = await store.due(Work.ASK, NOON + 10 * SECOND, limit=2)
    assert [each.request.identifier for each in due] == ["first", "second"]


async def test_those_that_are_left_out_take_nobodys_place(store: AnyStore) -> None:
    names = [f"alert-{number}" for number in range(4)]
    questions = [a_question(name, due_at=NOON + n * SECOND) for n, name in enumerate(names)]
    await store.add([Change(question=each) for each in questions])
    exclude = frozenset({questions[0].ref, questions[2].ref})

    due = await store.due(Work.ASK, NOON + 10 * SECOND, limit=2, exclude=exclude)

    assert [each.request.identifier for each in due] == ["alert-1", "alert-3"]


async def test_a_question_is_due_at_its_very_moment_and_not_before(store: AnyStore) -> None:
    moment = NOON + timedelta(microseconds=123_457)
    await add(store, a_question(due_at=moment))

    assert list(await store.due(Work.ASK, moment - timedelta(microseconds=1), limit=10)) == []
    assert len(await store.due(Work.ASK, moment, limit=10)) == 1
    assert await store.next_due(moment - timedelta(microseconds=1)) == moment
    assert await store.next_due(moment) is None


async def test_the_next_due_moment_is_the_earliest_to_come(store: AnyStore) -> None:
    assert await store.next_due(NOON) is None
    for name, seconds in (("past", -5), ("far", 50), ("near", 7)):
        await add(store, a_question(name, due_at=NOON + seconds * SECOND))

    assert await store.next_due(NOON) == NOON + 7 * SECOND


# What the commands read


async def test_the_questions_accepted_last_are_listed_first(store: AnyStore) -> None:
    for name, seconds in (("old", 1), ("new", 3), ("middle", 2)):
        await add(store, a_question(name, accepted_at=NOON + seconds * SECOND))

    listed = await store.list_questions(limit=2)

    assert [each.request.identifier for each in listed] == ["new", "middle"]


async def test_an_unknown_identifier_has_no_reports(store: AnyStore) -> None:
    assert list(await store.reports_of("unknown")) == []


async def test_no_number_of_strangers_hides_a_known_person_from_the_sweeper(store: AnyStore) -> None:
    messenger = ScriptedMessenger(clock=SteppedClock())
    parts = wired(store, clock=SteppedClock(), messenger=instead(messenger))
    finder = parts.actors.asker.finder
    await finder.find(a_question("whose person is known"))
    finder.limiter.pause(UPTIME + timedelta(hours=1))
    invented = [a_request(f"login-{n}", user=f"LOGIN{n}@example.com") for n in range(300)]
    assert all(await parts.service.receive([*invented, a_request("known")]))
    stop = asyncio.Event()
    sweeping = asyncio.create_task(parts.sweeper.run(stop))

    await eventually(lambda: messenger.posts)
    stop.set()
    await sweeping

    assert [question.identifier for _, question in messenger.posts] == ["known"]
