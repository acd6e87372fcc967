"""What every store knows of people's questions, of the security team's cards, and of reminders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from any_store import IDENTIFIER, SECOND, a_question, a_report, add
from fakes import NOON
from memory_store import AnyStore

from bot.triage.model import RESTORE_SETTLES, Change, Choice, Question, State, Work
from bot.triage.outcomes import Outcome

pytest_plugins = ["store_fixtures"]

HOUR = timedelta(hours=1)
ADA, EVE = "U0ADA", "U0EVE"


def asked(identifier: str = IDENTIFIER, *, slack_id: str = ADA, seconds: float = 0, **more: Any) -> Question:
    known: dict[str, Any] = {
        "state": State.ASKED,
        "slack_id": slack_id,
        "channel": "D0ADA",
        "ts": "1.1",
        "asked_at": NOON + seconds * SECOND,
        "due_at": NOON + HOUR,
        "deadline": NOON + 2 * HOUR,
    }
    return a_question(identifier, **(known | more))


def answered(identifier: str, *, seconds: float, **more: Any) -> Question:
    known: dict[str, Any] = {
        "said": Choice.YES,
        "standing": Outcome.YES,
        "answered_at": NOON + seconds * SECOND,
        "due_at": None,
        "deadline": None,
        "reports": 1,
        "shown": 1,
    }
    return asked(identifier, **(known | more))


def names(questions: Sequence[Question]) -> list[str]:
    return [each.request.identifier for each in questions]


# A person's questions


async def test_a_persons_open_questions_are_found_the_newest_first(store: AnyStore) -> None:
    await add(store, asked("old", seconds=1), asked("new", seconds=3), asked("middle", seconds=2))
    await add(store, asked("another's", slack_id=EVE, seconds=4), answered("answered", seconds=9))

    assert names(await store.open_for(ADA, limit=10)) == ["new", "middle", "old"]
    assert names(await store.open_for(ADA, limit=2)) == ["new", "middle"]
    assert names(await store.open_for(EVE, limit=10)) == ["another's"]
    assert names(await store.open_for("U0NOBODY", limit=10)) == []


async def test_what_was_not_put_to_anybody_is_open_for_nobody(store: AnyStore) -> None:
    claimed = {"slack_id": ADA, "claimed_at": NOON}
    await add(
        store,
        a_question("accepted"),
        a_question("posting", state=State.POSTING, **claimed),
        a_question("closed", state=State.CLOSED, standing=Outcome.UNDELIVERABLE, **claimed),
    )

    assert names(await store.open_for(ADA, limit=10)) == []
    assert names(await store.open_for("", limit=10)) == []


async def test_what_the_bot_has_ended_without_an_answer_is_open_still(store: AnyStore) -> None:
    await add(
        store,
        asked("late", standing=Outcome.TIMED_OUT, reports=1, seconds=1),
        asked("late asked", standing=Outcome.UNDELIVERABLE, reports=1, seconds=2),
    )

    assert names(await store.open_for(ADA, limit=10)) == ["late asked", "late"]


async def test_what_a_person_answered_since_then_is_found_the_latest_first(store: AnyStore) -> None:
    for name, seconds in (("second", 20), ("third", 30), ("first", 10), ("long ago", 1)):
        await add(store, answered(name, seconds=seconds))
    await add(store, answered("another's", slack_id=EVE, seconds=40), asked("open"))

    since = NOON + 10 * SECOND
    assert names(await store.answered_by(ADA, since, limit=10)) == ["third", "second", "first"]
    assert names(await store.answered_by(ADA, since, limit=1)) == ["third"]
    later = since + timedelta(microseconds=1)
    assert names(await store.answered_by(ADA, later, limit=10)) == ["third", "second"]


async def test_an_answer_moves_a_question_from_one_list_to_the_other(store: AnyStore) -> None:
    await add(store, asked("one"))

    assert await store.save(Change(question=replace(answered("one", seconds=5), version=1)))

    assert names(await store.open_for(ADA, limit=10)) == []
    assert names(await store.answered_by(ADA, NOON, limit=10)) == ["one"]


async def test_a_persons_other_id_leads_to_the_one_under_which_they_were_asked(store: AnyStore) -> None:
    await add(store, asked("one", other_slack_id="W0ADA"), asked("two", slack_id=EVE))

    assert [await store.asked_as(each) for each in ("W0ADA", ADA, EVE, "W0EVE", "")] == [ADA, *[""] * 4]


# Cards


async def test_cards_are_due_in_order_of_their_moments_whatever_else_is_due(store: AnyStore) -> None:
    for name, seconds in (("third", 3), ("first", 1), ("later", 11), ("second", 2)):
        await add(store, answered(name, seconds=0, card_due_at=NOON + seconds * SECOND))
    await add(store, answered("none", seconds=0))

    now = NOON + 10 * SECOND
    assert names(await store.due(Work.CARD, now, limit=10)) == ["first", "second", "third"]
    assert names(await store.due(Work.CARD, now, limit=2)) == ["first", "second"]
    for other in (Work.REDRAW, Work.ASK, Work.REMIND):
        assert names(await store.due(other, now, limit=10)) == []


async def test_a_card_and_a_redraw_of_one_question_are_due_beside_each_other(store: AnyStore) -> None:
    question = answered("one", seconds=0, shown=0, due_at=NOON + 9 * SECOND, card_due_at=NOON + 5 * SECOND)
    await add(store, question)

    assert await store.next_due(NOON) == NOON + 5 * SECOND
    assert await store.next_due(NOON + 5 * SECOND) == NOON + 9 * SECOND
    assert await store.next_due(NOON + 9 * SECOND) is None
    now = NOON + 10 * SECOND
    assert names(await store.due(Work.CARD, now, limit=10)) == ["one"]
    assert names(await store.due(Work.REDRAW, now, limit=10)) == ["one"]


async def test_a_card_is_due_at_its_very_moment_and_not_before(store: AnyStore) -> None:
    moment = NOON + timedelta(microseconds=123_457)
    await add(store, answered("one", seconds=0, card_due_at=moment))

    assert names(await store.due(Work.CARD, moment - timedelta(microseconds=1), limit=10)) == []
    assert names(await store.due(Work.CARD, moment, limit=10)) == ["one"]


async def test_what_has_ended_stays_until_its_card_is_shown(store: AnyStore) -> None:
    ended = answered("one", seconds=0, settled_at=NOON, card_due_at=NOON)
    report = a_report(identifier="one")
    await add(store, ended, report=report)
    await store.mark_sent([report], NOON)

    assert await store.remove_ended(NOON + HOUR, limit=10) == 0
    shown = replace(ended, version=2, card_due_at=None, card_ts="7.000007")
    assert await store.save(Change(question=shown))
    assert await store.remove_ended(NOON + HOUR, limit=10) == 1


# Reminders


async def test_only_an_open_question_has_a_reminder_due(store: AnyStore) -> None:
    await add(store, asked("open"), asked("no more of them", due_at=None))
    await add(store, answered("answered", seconds=0), a_question("accepted"))

    assert names(await store.due(Work.REMIND, NOON + HOUR, limit=10)) == ["open"]
    assert names(await store.due(Work.REMIND, NOON + HOUR - SECOND, limit=10)) == []


async def test_what_is_open_is_due_once_the_history_has_settled_after_a_restore(store: AnyStore) -> None:
    before = [asked("open"), asked("reminded", due_at=None), answered("answered", seconds=0)]
    await add(store, *before)
    restored = NOON + 30 * HOUR

    await store.reset_after_restore(restored)

    after = [await store.find(name) for name in names(before)]
    settled = restored + RESTORE_SETTLES
    assert [each and each.due_at for each in after] == [settled, settled, None]
    assert names(await store.due(Work.REMIND, settled - SECOND, limit=10)) == []
    assert sorted(names(await store.due(Work.REMIND, settled, limit=10))) == ["open", "reminded"]
