"""What every store must do, whatever its implementation; the one of the unit tests included."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from any_store import IDENTIFIER, SECOND, a_question, a_report, add, due, names, overdue
from fakes import NOON, UPTIME, ScriptedMessenger, SteppedClock, a_request, apart_from_trail
from memory_store import AnyStore
from wiring import instead, wired
from world import eventually

from bot.errors import StoreError
from bot.store.dynamodb import listing
from bot.store.sqlite import statements
from bot.triage.asking_rules import new_ref
from bot.triage.listing import Filter
from bot.triage.model import Change, Question, State, Work
from bot.triage.outcomes import Outcome

pytest_plugins = ["store_fixtures"]

MICROSECOND = timedelta(microseconds=1)

# Questions


async def test_what_was_added_is_found_by_ref_and_by_identifier_and_by_no_other(store: AnyStore) -> None:
    question = a_question()
    await add(store, question, a_question("another"))
    key = question.ref.partition(".")[0]

    assert await store.load(question.ref) == question
    assert await store.find(IDENTIFIER) == question
    assert await store.find("unknown") is None
    assert list(await store.reports_of("unknown")) == []
    for ref in (f"{key}.{'f' * 32}", f"{key}.", key, question.ref[:-1], question.ref + "0", "", ".", "é.ü"):
        assert await store.load(ref) is None


async def test_a_known_identifier_is_not_added_again(store: AnyStore) -> None:
    question = a_question()
    again = replace(question, ref=new_ref(IDENTIFIER, "f" * 32), reports=1, state=State.CLOSED)

    assert list(await store.add([])) == []
    assert list(await store.add([Change(question=question), Change(question=again)])) == [True, False]
    added = await store.add([Change(question=again, report=a_report()), Change(question=a_question("new"))])

    assert list(added) == [False, True]
    assert await store.find(IDENTIFIER) == question
    assert list(await store.reports_of(IDENTIFIER)) == []


async def test_a_poisoned_row_fails_alone(store: AnyStore) -> None:
    poisoned = replace(a_question("poisoned"), request=a_request("poisoned", summary="\ud800"))
    batch = [a_question("one"), poisoned, a_question("two")]

    added = await store.add([Change(question=each) for each in batch])

    assert (added[0], added[2]) == (True, True)
    assert isinstance(added[1], StoreError)
    assert await store.find("poisoned") is None
    assert set(names(await store.list_questions(limit=10))) == {"one", "two"}


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


# What is due


async def test_questions_are_due_in_order_of_their_moments(store: AnyStore) -> None:
    await add(store, a_question("never", due_at=None))
    for name, seconds in (("third", 3), ("first", 1), ("later", 11), ("second", 2)):
        await add(store, a_question(name, due_at=NOON + seconds * SECOND))

    assert await due(store, NOON + 10 * SECOND) == ["first", "second", "third"]
    assert await due(store, NOON + 10 * SECOND, limit=2) == ["first", "second"]


async def test_those_that_are_left_out_take_nobodys_place(store: AnyStore) -> None:
    questions = [a_question(f"alert-{n}", due_at=NOON + n * SECOND) for n in range(4)]
    await add(store, *questions)
    exclude = frozenset({questions[0].ref, questions[2].ref})

    found = await store.due(Work.ASK, NOON + 10 * SECOND, limit=2, exclude=exclude)

    assert names(found) == ["alert-1", "alert-3"]


@pytest.mark.parametrize(
    ("of", "work"),
    [("due_at", Work.ASK), ("deadline", None), ("card_due_at", Work.CARD)],
    ids=["question", "deadline", "card"],
)
async def test_work_is_due_at_its_very_moment_not_before(store: AnyStore, of: str, work: Work | None) -> None:
    moment = NOON + timedelta(microseconds=123_457)
    state: dict[str, Any] = {} if work is Work.ASK else {"state": State.CLOSED, "due_at": None}
    await add(store, a_question(**{**state, of: moment}), a_question("never", due_at=None))

    async def look(now: datetime) -> list[str]:
        return await (due(store, now, work) if work else overdue(store, now))

    assert await look(moment - MICROSECOND) == []
    assert await look(moment) == [IDENTIFIER]
    assert await store.next_due(moment - MICROSECOND) == moment
    assert await store.next_due(moment) is None


async def test_the_next_due_moment_is_the_earliest_to_come(store: AnyStore) -> None:
    assert await store.next_due(NOON) is None
    for name, seconds in (("past", -5), ("far", 50), ("near", 7)):
        await add(store, a_question(name, due_at=NOON + seconds * SECOND, deadline=NOON + 9 * SECOND))

    assert await store.next_due(NOON) == NOON + 7 * SECOND
    assert await store.next_due(NOON + 7 * SECOND) == NOON + 9 * SECOND


# What the commands read


async def test_the_questions_accepted_last_are_listed_first(store: AnyStore) -> None:
    for name, seconds in (("old", 1), ("new", 3), ("middle", 2)):
        await add(store, a_question(name, accepted_at=NOON + seconds * SECOND))

    assert names(await store.list_questions(limit=2)) == ["new", "middle"]


def listed_question(number: int, **changes: Any) -> Question:
    """Return the question of an alert that was accepted this many seconds after noon."""
    request = {name: changes.pop(name) for name in ("user", "alert") if name in changes}
    question = a_question(f"{number}", accepted_at=NOON + number * SECOND, **changes)
    return replace(question, request=replace(question.request, **request))


LISTED = [
    listed_question(1, user="grace@example.com"),
    listed_question(2, user="Grace@Example.com", standing=Outcome.NO, taken_by="U0RADIA"),
    listed_question(3, alert="ssh_access_sign_releng", taken_by="U0RADIA"),
    listed_question(4, alert="ssh_access_sign_releng", standing=Outcome.YES),
    listed_question(5, standing=Outcome.NO, taken_by="U0GRACE"),
    listed_question(
        6,
        user="grace@example.com",
        alert="ssh_access_sign_releng",
        standing=Outcome.NO,
        taken_by="U0RADIA",
    ),
    listed_question(7),
]


@pytest.mark.parametrize(
    ("only", "found"),
    [
        (Filter(), "7654321"),
        (Filter(is_open=True), "731"),
        (Filter(user="GRACE@example.com"), "621"),
        (Filter(user="grace@example"), ""),
        (Filter(alert="ssh_access_sign_releng"), "643"),
        (Filter(outcome=Outcome.NO), "652"),
        (Filter(since=NOON + 5 * SECOND), "765"),
        (Filter(user="grace@example.com", alert="ssh_access_sign_releng", outcome=Outcome.NO), "6"),
        (Filter(is_open=True, since=NOON + 2 * SECOND), "73"),
        (Filter(taken_by="U0RADIA"), "632"),
        (Filter(taken_by="U0RADIA", is_open=True), "3"),
        (Filter(taken_by="U0RADIA", outcome=Outcome.NO, since=NOON + 3 * SECOND), "6"),
        (Filter(taken_by="U0GRACE"), "5"),
        (Filter(taken_by="U0NOBODY"), ""),
    ],
)
async def test_a_list_has_what_is_wanted_and_its_limit_counts_that(
    store: AnyStore, monkeypatch: pytest.MonkeyPatch, only: Filter, found: str
) -> None:
    monkeypatch.setattr(statements, "LIST_STEP", 2)  # so that a few alerts take several reads
    monkeypatch.setattr(listing, "PAGE", 2)
    await add(store, *LISTED)

    assert names(await store.list_questions(limit=10**18, only=only)) == list(found)
    assert names(await store.list_questions(limit=2, only=only)) == list(found[:2])


async def test_alerts_that_were_accepted_at_once_are_all_listed(
    store: AnyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "LIST_STEP", 2)
    await add(store, *(a_question(str(number)) for number in range(5)))

    assert sorted(names(await store.list_questions(limit=9))) == list("01234")


@pytest.mark.slow
async def test_no_number_of_strangers_hides_a_known_person_from_the_sweeper(store: AnyStore) -> None:
    messenger = ScriptedMessenger(clock=SteppedClock())
    parts = wired(store, clock=SteppedClock(), messenger=instead(messenger))
    finder = parts.actors.asker.finder
    await finder.find(a_question("whose person is known"))
    finder.limiter.pause(UPTIME + timedelta(hours=1))
    invented = [a_request(f"login-{n}", user=f"LOGIN{n}@example.com") for n in range(150)]
    assert all(await parts.service.receive([*invented, a_request("known")]))
    stop = asyncio.Event()
    sweeping = asyncio.create_task(parts.sweeper.run(stop))

    await eventually(lambda: messenger.posts)
    stop.set()
    await sweeping

    assert [question.identifier for _, question in messenger.posts] == ["known"]


DAY = timedelta(days=1)


def ended(identifier: str = IDENTIFIER, *, at: datetime = NOON, **changes: Any) -> Question:
    closed = {"state": State.CLOSED, "standing": Outcome.UNDELIVERABLE, "reports": 1, "shown": 1}
    return a_question(identifier, due_at=None, settled_at=at, **(closed | changes))


async def keep(store: AnyStore, question: Question, *, sent_at: datetime | None = NOON) -> None:
    report = a_report(identifier=question.request.identifier)
    await add(store, question, report=report)
    if sent_at:
        await store.mark_sent([report], sent_at)


# Deadlines


async def test_the_oldest_deadline_is_met_first(store: AnyStore) -> None:
    for name, seconds in (("third", 3), ("first", 1), ("second", 2), ("later", 9)):
        await add(store, a_question(name, due_at=None, deadline=NOON + seconds * SECOND))

    assert await overdue(store, NOON + 5 * SECOND, limit=2) == ["first", "second"]


async def test_work_is_due_by_its_kind(store: AnyStore) -> None:
    answered = a_question("answered", state=State.ASKED, channel="D0ADA", ts="1.1", reports=1)
    at_rest = a_question("at rest", state=State.ASKED, channel="D0ADA", ts="1.2")
    await add(store, a_question("new"), answered, at_rest)

    assert await due(store, NOON, Work.REDRAW) == ["answered"]
    assert await due(store, NOON, Work.ASK) == ["new"]
    assert await store.next_due(NOON - SECOND) == NOON


# Probe


async def test_a_probe_leaves_nothing_to_be_read(store: AnyStore) -> None:
    await store.probe()
    await store.probe()

    assert list(await store.list_questions(limit=10)) == []
    assert await store.next_due(NOON - DAY) is None


# Retention


async def test_what_ended_and_was_sent_before_then_is_removed_with_its_reports(store: AnyStore) -> None:
    question = ended()
    await keep(store, question)

    assert await store.remove_ended(NOON, limit=10) == 0
    assert await store.remove_ended(NOON + MICROSECOND, limit=10) == 1

    assert await store.find(IDENTIFIER) is await store.load(question.ref) is None  # for a click
    assert not await store.save(Change(question=replace(question, version=1), report=a_report(1)))
    assert list(await store.reports_of(IDENTIFIER)) == []
    assert list(await store.add([Change(question=a_question())])) == [True]


@pytest.mark.parametrize(
    "question",
    [
        ended(at=NOON + DAY),
        ended(deadline=NOON + 300 * DAY),
        ended(state=State.ACCEPTED),
        ended(state=State.POSTING),
        ended(state=State.ASKED, channel="D0ADA", ts="1.1", shown=0),
        ended(card_due_at=NOON),
        a_question(reports=1),
        a_question(state=State.ASKED, due_at=None, channel="D0ADA", ts="1.1"),
    ],
    ids=["later", "deadline", "to ask", "in doubt", "to redraw", "to show", "accepted", "not answered"],
)
async def test_a_question_that_is_not_at_its_end_stays(store: AnyStore, question: Question) -> None:
    await keep(store, question)

    assert await store.remove_ended(NOON + DAY, limit=10) == 0

    assert apart_from_trail(await store.find(IDENTIFIER)) == apart_from_trail(question)


@pytest.mark.parametrize("fate", ["unsent", "parked", "sent later"])
async def test_a_question_whose_last_report_is_needed_stays_with_all(store: AnyStore, fate: str) -> None:
    await keep(store, ended())
    later = replace(ended(), version=2, reports=2, shown=2)  # the first report's event took 1
    assert await store.save(Change(question=later, report=a_report(1)))
    if fate == "parked":
        await store.mark_parked([a_report(1)], NOON)
    if fate == "sent later":
        await store.mark_sent([a_report(1)], NOON + 2 * DAY)

    assert await store.remove_ended(NOON + DAY, limit=10) == 0

    assert len(await store.reports_of(IDENTIFIER)) == 2


async def test_a_replayed_question_stays_until_it_was_sent_again_long_ago(store: AnyStore) -> None:
    await keep(store, ended())
    await store.replay([IDENTIFIER], NOON + DAY)
    assert await store.remove_ended(NOON + DAY, limit=10) == 0

    await store.mark_sent(await store.sendable(NOON + DAY, limit=10), NOON + DAY)

    assert await store.remove_ended(NOON + DAY, limit=10) == 0
    assert await store.remove_ended(NOON + 2 * DAY, limit=10) == 1


async def test_a_step_removes_so_many_and_the_oldest_first(store: AnyStore) -> None:
    for number in range(7):
        await keep(store, ended(f"alert-{number}", at=NOON + number * SECOND))
    await add(store, a_question("new"))

    steps = [await store.remove_ended(NOON + DAY, limit=3)]
    left = names(await store.list_questions(limit=1000))
    assert set(left) == {"alert-3", "alert-4", "alert-5", "alert-6", "new"}
    steps += [await store.remove_ended(NOON + DAY, limit=3) for _ in range(3)]

    assert steps == [3, 3, 1, 0]
    assert names(await store.list_questions(limit=1000)) == ["new"]
