"""What every store knows of people, cards and reminders, what it counts, and how old what waits in it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from any_store import IDENTIFIER, SECOND, a_question, add, due, names, report_times
from fakes import NOON
from memory_store import AnyStore

from bot.triage.listing import Counts
from bot.triage.model import RESTORE_SETTLES, Change, Choice, Question, State, Work
from bot.triage.outcomes import ENDINGS, Outcome, Reason
from bot.triage.statistics import AlertStatistics

pytest_plugins = ["store_fixtures"]

HOUR = timedelta(hours=1)
ADA, EVE, GRACE = "U0ADA", "U0EVE", "U0GRACE"
TAKEN: dict[str, Any] = {"taken_by": GRACE, "taken_name": "grace", "taken_at": NOON}


def asked(identifier: str = IDENTIFIER, *, slack_id: str = ADA, seconds: float = 0, **more: Any) -> Question:
    placed: dict[str, Any] = {"state": State.ASKED, "slack_id": slack_id, "channel": "D0ADA", "ts": "1.1"}
    times: dict[str, Any] = {
        "asked_at": NOON + seconds * SECOND,
        "due_at": NOON + HOUR,
        "deadline": NOON + 2 * HOUR,
    }
    return a_question(identifier, **(placed | times | more))


def answered(identifier: str, *, seconds: float, **more: Any) -> Question:
    said: dict[str, Any] = {
        "said": Choice.YES,
        "standing": Outcome.YES,
        "answered_at": NOON + seconds * SECOND,
    }
    at_rest: dict[str, Any] = {"due_at": None, "deadline": None, "reports": 1, "shown": 1}
    return asked(identifier, **(said | at_rest | more))


async def open_for(store: AnyStore, slack_id: str = ADA, *, limit: int = 10) -> list[str]:
    return names(await store.open_for(slack_id, limit=limit))


async def test_a_persons_open_questions_are_found_the_newest_first(store: AnyStore) -> None:
    expired: dict[str, Any] = {
        "standing": Outcome.TIMED_OUT,
        "reports": 1,
    }  # ended without an answer: it is open still
    await add(store, asked("old", seconds=1), asked("new", seconds=3), asked("middle", seconds=2, **expired))
    await add(store, asked("another's", slack_id=EVE, seconds=4), answered("answered", seconds=9))

    assert await open_for(store) == ["new", "middle", "old"]
    assert await open_for(store, limit=2) == ["new", "middle"]
    assert await open_for(store, EVE) == ["another's"]
    assert await open_for(store, "U0NOBODY") == []


async def test_what_was_not_put_to_anybody_is_open_for_nobody(store: AnyStore) -> None:
    claimed = {"slack_id": ADA, "claimed_at": NOON}
    await add(
        store,
        a_question("accepted"),
        a_question("posting", state=State.POSTING, **claimed),
        a_question("closed", state=State.CLOSED, standing=Outcome.UNDELIVERABLE, **claimed),
    )

    assert await open_for(store) == await open_for(store, "") == []


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

    assert await open_for(store) == []
    assert names(await store.answered_by(ADA, NOON, limit=10)) == ["one"]


async def test_a_persons_other_id_leads_to_the_one_under_which_they_were_asked(store: AnyStore) -> None:
    await add(store, asked("one", other_slack_id="W0ADA"), asked("two", slack_id=EVE))

    assert [await store.asked_as(each) for each in ("W0ADA", ADA, EVE, "W0EVE", "")] == [ADA, *[""] * 4]


async def test_what_somebody_has_taken_is_found_the_newest_first(store: AnyStore) -> None:
    for name, seconds in (("second", 2), ("third", 3), ("first", 1)):
        await add(store, answered(name, seconds=0, accepted_at=NOON + seconds * SECOND, **TAKEN))
    await add(
        store, answered("another's", seconds=0, **{**TAKEN, "taken_by": EVE}), answered("nobody's", seconds=0)
    )

    assert names(await store.taken_by(GRACE, limit=10)) == ["third", "second", "first"]
    assert names(await store.taken_by(GRACE, limit=2)) == ["third", "second"]
    assert names(await store.taken_by(EVE, limit=2)) == ["another's"]
    assert [names(await store.taken_by(each, limit=9)) for each in (ADA, "U0NOBODY", "")] == [[], [], []]
    assert await open_for(store, GRACE) == names(await store.answered_by(GRACE, NOON, limit=9)) == []


async def test_an_alert_is_found_by_whoever_has_it_now(store: AnyStore) -> None:
    question = answered("one", seconds=0, **TAKEN)
    await add(store, question)
    steps: list[dict[str, Any]] = [{"taken_by": EVE}, {"taken_by": "", "taken_at": None}, TAKEN]

    found = []
    for version, changes in enumerate(steps, start=1):
        changed = replace(question, version=version, **changes)
        assert await store.save(Change(question=changed, before=question))
        question = changed
        found.append([names(await store.taken_by(each, limit=9)) for each in (GRACE, EVE)])

    assert found == [[[], ["one"]], [[], []], [["one"], []]]


async def test_a_question_is_found_by_the_first_part_of_its_ref(store: AnyStore) -> None:
    await add(store, asked("one"), asked("two"))
    question = await store.find("one")
    assert question is not None

    assert await store.load_by_key(question.ref.partition(".")[0]) == question
    assert [await store.load_by_key(each) for each in ("", "0" * 32, question.ref)] == [None] * 3


async def test_cards_are_due_in_order_of_their_moments_whatever_else_is_due(store: AnyStore) -> None:
    for name, seconds in (("third", 3), ("first", 1), ("later", 11), ("second", 2)):
        await add(store, answered(name, seconds=0, card_due_at=NOON + seconds * SECOND))
    await add(store, answered("none", seconds=0))

    now = NOON + 10 * SECOND
    assert await due(store, now, Work.CARD) == ["first", "second", "third"]
    assert await due(store, now, Work.CARD, limit=2) == ["first", "second"]
    for other in (Work.REDRAW, Work.ASK, Work.REMIND):
        assert await due(store, now, other) == []


async def test_a_card_and_a_redraw_of_one_question_are_due_beside_each_other(store: AnyStore) -> None:
    moments = {"due_at": NOON + 9 * SECOND, "card_due_at": NOON + 5 * SECOND}
    await add(store, answered("one", seconds=0, shown=0, **moments))

    looks = [await store.next_due(NOON + seconds * SECOND) for seconds in (0, 5, 9)]
    assert looks == [NOON + 5 * SECOND, NOON + 9 * SECOND, None]
    for work in (Work.CARD, Work.REDRAW):
        assert await due(store, NOON + 10 * SECOND, work) == ["one"]


async def test_only_an_open_question_has_a_reminder_due(store: AnyStore) -> None:
    await add(store, asked("open"), asked("no more of them", due_at=None))
    await add(store, answered("answered", seconds=0), a_question("accepted"))

    assert await due(store, NOON + HOUR, Work.REMIND) == ["open"]
    assert await due(store, NOON + HOUR - SECOND, Work.REMIND) == []


async def test_what_is_open_is_due_once_the_history_has_settled_after_a_restore(store: AnyStore) -> None:
    before = [asked("open"), asked("reminded", due_at=None), answered("answered", seconds=0)]
    await add(store, *before)
    restored = NOON + 30 * HOUR

    await store.reset_after_restore(restored)

    after = [await store.find(name) for name in names(before)]
    settled = restored + RESTORE_SETTLES
    assert [each and each.due_at for each in after] == [settled, settled, None]
    assert await due(store, settled - SECOND, Work.REMIND) == []
    assert sorted(await due(store, settled, Work.REMIND)) == ["open", "reminded"]


MINUTE = timedelta(minutes=1)


def alerted(identifier: str, *, alert: str = "duo", **changes: Any) -> Question:
    question = asked(identifier, **{"due_at": None, "deadline": None, **changes})
    return replace(question, request=replace(question.request, alert=alert))


def said(identifier: str, choice: Choice, *, minutes: int) -> Question:
    at = NOON + minutes * MINUTE
    standing = Outcome(choice.value)
    return alerted(identifier, said=choice, standing=standing, answered_at=at, first_answered_at=at)


async def test_questions_are_summed_up_by_alert_and_by_the_outcome_that_stands(store: AnyStore) -> None:
    choices = [
        (Choice.YES, 1),
        (Choice.YES, 3),
        (Choice.NO, 10),
        (Choice.WRONG_USER, 2),
        (Choice.NOT_SURE, 4),
    ]
    await add(store, *(said(f"{minutes}", choice, minutes=minutes) for choice, minutes in choices))
    await add(
        store,
        alerted("6", standing=Outcome.TIMED_OUT),
        alerted("7", standing=Outcome.UNDELIVERABLE, reason="not_asked_in_time"),
        alerted("8"),
        alerted("9", alert="ssh"),
    )

    duo, ssh = await store.statistics(NOON)

    counts = {"yes": 2, "no": 1, "wrongUser": 1, "notSure": 1, "unanswered": 2}
    assert duo == AlertStatistics(
        alert="duo",
        asked=8,
        endings={ending.key: 0 for ending in ENDINGS} | counts,
        open=1,
        median=3 * MINUTE,
        p90=10 * MINUTE,
    )
    assert (ssh.alert, ssh.asked, ssh.open, ssh.median, ssh.p90) == ("ssh", 1, 1, None, None)


async def test_only_what_was_asked_and_asked_since_then_is_summed_up(store: AnyStore) -> None:
    await add(
        store,
        a_question("waits"),
        a_question("closed", state=State.CLOSED, standing=Outcome.UNDELIVERABLE, due_at=None),
        alerted("before", asked_at=NOON - timedelta(microseconds=1)),
        alerted("then"),
    )

    [only] = await store.statistics(NOON)

    assert only.asked == 1


async def test_a_changed_mind_does_not_change_how_long_the_first_answer_took(store: AnyStore) -> None:
    first = said("1", Choice.YES, minutes=1)
    later = NOON + timedelta(days=2)
    await add(store, replace(first, said=Choice.NO, standing=Outcome.NO, answered_at=later))

    [only] = await store.statistics(NOON)

    assert (only.endings["no"], only.endings["yes"], only.median) == (1, 0, MINUTE)


async def test_an_empty_store_has_no_figures(store: AnyStore) -> None:
    assert list(await store.statistics(NOON)) == []
    assert await store.oldest_open() is None
    assert await store.oldest_unsent() is None
    assert await store.count() == Counts(
        open_questions=0, unsent_reports=0, parked_reports=0, invalid_requests=0
    )


async def test_what_is_open_waits_is_parked_or_invalid_is_counted(store: AnyStore) -> None:
    rows = [*await report_times(store, "a", NOON, NOON, NOON), *await report_times(store, "b", NOON, NOON)]
    await store.mark_parked(rows[:3], NOON)
    await store.mark_sent(rows[3:4], NOON)
    await store.replay(["a"], NOON, select=lambda row: row.sequence == 2)
    refused = [refused_question(name) for name in ("c", "d", "e")]
    await add(store, *refused)
    assert await store.save(Change(question=a_question("e", version=1), before=refused[-1]))

    assert await store.count() == Counts(
        open_questions=3, unsent_reports=2, parked_reports=2, invalid_requests=2
    )


def refused_question(identifier: str) -> Question:
    """Return the question of a request that broke the contract."""
    question = a_question(identifier, standing=Outcome.UNDELIVERABLE, reason=Reason.INVALID_REQUEST)
    return replace(question, request=replace(question.request, left_out=("user is missing",)))


async def test_the_oldest_open_question_is_the_first_that_has_no_outcome(store: AnyStore) -> None:
    await add(
        store,
        a_question("ended", accepted_at=NOON - 9 * SECOND, standing=Outcome.TIMED_OUT),
        a_question("newer", accepted_at=NOON - 1 * SECOND),
        alerted("oldest", accepted_at=NOON - 5 * SECOND),
    )

    assert await store.oldest_open() == NOON - 5 * SECOND


async def test_the_oldest_unsent_report_is_neither_sent_nor_parked(store: AnyStore) -> None:
    [sent] = await report_times(store, "sent", NOON - 9 * SECOND)
    [parked] = await report_times(store, "parked", NOON - 7 * SECOND)
    await report_times(store, "waits", NOON + SECOND)
    await report_times(store, "waits longer", NOON - 2 * SECOND)
    await store.mark_sent([sent], NOON)
    await store.mark_parked([parked], NOON)

    assert await store.oldest_unsent() == NOON - 2 * SECOND
