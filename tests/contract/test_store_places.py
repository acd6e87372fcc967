"""What every store must do with the places of people's open questions, and with those that wait for one."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from any_store import a_question, add
from fakes import NOON
from memory_store import AnyStore

from bot.triage.asking_rules import new_ref
from bot.triage.model import Change, Question
from bot.triage.places import Burst, Line, Place, Places

pytest_plugins = ["store_fixtures"]

SECOND = timedelta(seconds=1)
ADA, GRACE = "U0ADA", "U0GRACE"
PLACE = Place(ref=a_question().ref, identifier="an alert", label="decoy", is_extra=True)
LINE = Line(ref="0.1", claimed_at=NOON, in_doubt_since=NOON, due_at=NOON + SECOND, attempts=2)
BURST = Burst(
    since=NOON,
    line=LINE,
    card_secret="1" * 32,
    card_ts="1.2",
    card_due_at=NOON,
    waiting=7,
    called={"decoy": 1},
    kinds={"decoy": 8, "é": 1},
    first=("a", "b"),
    denied=("c",),
    taken_by="U0RADIA",
    taken_name="radia",
    taken_at=NOON,
    idle_since=NOON,
    ended_at=NOON + SECOND,
)
FIRST = Places(person=ADA, slack_id=ADA, slack_name="ada", version=1, held=(PLACE,), touched_at=NOON)
WHOLE = replace(FIRST, version=2, other_slack_id="W0ADA", burst=BURST, due_at=NOON, touched_at=NOON + SECOND)


def waiting(identifier: str, *, label: str, at: datetime, person: str = ADA) -> Question:
    plain = a_question(identifier)
    return replace(
        plain,
        ref=new_ref(identifier, "2" * 32),
        request=replace(plain.request, identifier=identifier, alert=label),
        accepted_at=at,
        due_at=None,
        waits_for=person,
        waited_since=at,
    )


async def add_waiting(store: AnyStore, *questions: Question) -> None:
    """Store questions, and then make each of them wait."""
    for each in questions:
        plain = replace(each, waits_for="", waited_since=None)
        await add(store, plain)
        assert await store.save(Change(question=replace(each, version=1), before=plain))


async def test_places_are_found_as_they_were_saved(store: AnyStore) -> None:
    for places in (FIRST, WHOLE, replace(FIRST, version=3)):
        assert await store.save_places(places)

        assert await store.find_places(ADA) == places

    assert await store.find_places(GRACE) is None


@pytest.mark.parametrize("version", [0, 1, 2, 4])
async def test_a_save_of_any_other_version_of_places_writes_nothing(store: AnyStore, version: int) -> None:
    for places in (FIRST, WHOLE):
        await store.save_places(places)

    assert not await store.save_places(replace(FIRST, version=version))

    assert await store.find_places(ADA) == WHOLE


async def test_places_are_due_until_there_is_no_burst(store: AnyStore) -> None:
    await store.save_places(FIRST)
    assert await store.due_places(NOON, limit=10) == []

    await store.save_places(WHOLE)
    assert await store.due_places(NOON - SECOND, limit=10) == []
    assert await store.due_places(NOON, limit=10) == [WHOLE]

    await store.save_places(replace(FIRST, version=3))
    assert await store.due_places(NOON, limit=10) == []


async def test_a_place_is_reserved_with_its_question_or_neither_is_stored(store: AnyStore) -> None:
    question = a_question()
    await add(store, question)
    changed = replace(question, version=1, slack_id=ADA)
    await store.save_places(FIRST)

    stale = Change(question=changed, before=question, places=replace(FIRST, held=()))
    assert not await store.save(stale)
    assert await store.load(question.ref) == question

    assert await store.save(Change(question=changed, before=question, places=WHOLE))
    assert await store.find_places(ADA) == WHOLE

    late = Change(question=changed, before=question, places=replace(FIRST, version=3))
    assert not await store.save(late)
    assert await store.find_places(ADA) == WHOLE


async def test_the_oldest_of_each_label_that_waits_is_found_by_its_person(store: AnyStore) -> None:
    oldest = waiting("first", label="decoy", at=NOON)
    other = waiting("real", label="another kind", at=NOON + 5 * SECOND)
    await add_waiting(
        store,
        waiting("third", label="decoy", at=NOON + 2 * SECOND),
        oldest,
        other,
        waiting("second", label="decoy", at=NOON + SECOND),
        waiting("hers", label="decoy", at=NOON - SECOND, person=GRACE),
    )

    found = await store.first_waiting(ADA)
    count = await store.count_waiting(ADA, limit=3)

    assert {each.identifier for each in found} == {"first", "real"}
    assert dict(count.kinds) == {"decoy": 3, "another kind": 1}
    assert list(count.first) == ["first", "second", "third"]


async def test_what_was_called_or_given_up_waits_no_longer(store: AnyStore) -> None:
    called, given_up = (waiting(name, label="decoy", at=NOON) for name in ("called", "given up"))
    await add_waiting(store, called, given_up)
    await store.save_places(FIRST)

    for each, places in ((called, WHOLE), (given_up, None)):
        before = replace(each, version=1)
        after = replace(before, version=2, waits_for="")
        assert await store.save(Change(question=after, before=before, places=places))

    assert await store.first_waiting(ADA) == []
    assert dict((await store.count_waiting(ADA, limit=3)).kinds) == {}


async def test_what_waits_is_not_due(store: AnyStore) -> None:
    await add_waiting(store, waiting("waits", label="decoy", at=NOON))

    assert await store.next_due(NOON - SECOND) is None


async def test_a_restore_doubts_a_line_that_was_not_posted_yet(store: AnyStore) -> None:
    fresh = replace(BURST, line=Line(ref="0.1"))
    posted = replace(BURST, line=replace(LINE, is_over=True))
    await store.save_places(replace(WHOLE, version=1, burst=fresh))
    await store.save_places(replace(WHOLE, person=GRACE, version=1, burst=posted))

    await store.reset_after_restore(NOON + 9 * SECOND)

    hers, theirs = await store.find_places(ADA), await store.find_places(GRACE)
    assert hers
    assert hers.burst
    assert hers.burst.line == Line(ref="0.1", claimed_at=BURST.since, in_doubt_since=NOON + 9 * SECOND)
    assert theirs
    assert theirs.burst == posted
