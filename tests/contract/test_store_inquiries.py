"""What every store must do with follow-up questions of the security team."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from any_store import IDENTIFIER, a_question, a_report, add
from fakes import NOON
from memory_store import AnyStore

from bot.triage.inquiry import Delivery, Inquiry
from bot.triage.model import Change, Question, State
from bot.triage.outcomes import Outcome

pytest_plugins = ["store_fixtures"]

DAY = timedelta(days=30)
SECOND = timedelta(seconds=1)


def an_inquiry(number: int = 1, *, identifier: str = IDENTIFIER) -> Inquiry:
    key = a_question(identifier).ref.partition(".")[0]
    return Inquiry(
        identifier=identifier,
        number=number,
        ref=f"{key}.{number:032x}",
        text="Was it the laptop?\n*Which* <@U0EVE> one? 🦊",
        slack_id="U0GRACE",
        slack_name="grace",
        window="0123456789abcdef",
        sequence=number,
        accepted_at=NOON,
        due_at=NOON + SECOND,
    )


FIRST = an_inquiry()
CLAIMED = replace(
    FIRST,
    version=2,
    delivery=Delivery.CLAIMED,
    claimed_at=NOON,
    in_doubt_since=NOON,
    due_at=NOON + 60 * SECOND,
    attempts=2,
)
ASKED = replace(
    CLAIMED,
    version=3,
    delivery=Delivery.ASKED,
    in_doubt_since=None,
    due_at=None,
    channel="D0ADA",
    ts="1764000001.000100",
    asked_at=NOON + SECOND,
    replies=("0011223344556677", "8899aabbccddeeff"),
    attempts=0,
)
FAILED = replace(CLAIMED, version=3, delivery=Delivery.FAILED, due_at=None, reason="user_disabled")


async def add_with_inquiries(store: AnyStore, *inquiries: Inquiry) -> Question:
    """Add the alert's question, and then each inquiry with a save of it; return it as it is then."""
    question = a_question(reports=1)
    await add(store, question, report=a_report())
    for inquiry in inquiries:
        after = replace(question, version=question.version + 1, reports=inquiry.number + 1)
        report = a_report(inquiry.number)
        assert await store.save(Change(question=after, before=question, report=report, inquiry=inquiry))
        question = after
    return question


async def test_inquiries_are_found_by_their_alert_in_order_as_they_were_saved(store: AnyStore) -> None:
    inquiries = [an_inquiry(number) for number in range(1, 11)]
    await add_with_inquiries(store, *inquiries)

    assert list(await store.inquiries_of(a_question().ref)) == inquiries
    assert list(await store.inquiries_of(FIRST.ref)) == inquiries
    assert list(await store.inquiries_of(a_question("other").ref)) == []


@pytest.mark.parametrize("last", [ASKED, FAILED], ids=lambda each: each.delivery)
async def test_an_inquiry_is_found_as_it_was_saved_last(store: AnyStore, last: Inquiry) -> None:
    await add_with_inquiries(store, FIRST)

    for inquiry in (CLAIMED, last):
        assert await store.save_inquiry(inquiry)

        assert list(await store.inquiries_of(FIRST.ref)) == [inquiry]


@pytest.mark.parametrize("version", [1, 2, 4])
async def test_a_save_of_any_other_version_of_an_inquiry_writes_nothing(
    store: AnyStore, version: int
) -> None:
    await add_with_inquiries(store, FIRST)
    await store.save_inquiry(CLAIMED)

    assert not await store.save_inquiry(replace(ASKED, version=version))

    assert list(await store.inquiries_of(FIRST.ref)) == [CLAIMED]


async def test_what_is_due_comes_first_to_last_and_what_is_asked_never(store: AnyStore) -> None:
    due_after = (30, 10, 20)
    each = [
        replace(an_inquiry(number), due_at=NOON + seconds * SECOND)
        for number, seconds in enumerate(due_after, start=1)
    ]
    asked = replace(an_inquiry(4), delivery=Delivery.ASKED, due_at=None)
    await add_with_inquiries(store, *each, asked)

    due = [await store.due_inquiries(NOON + seconds * SECOND, limit=2) for seconds in (9, 20, 40)]

    assert [[inquiry.number for inquiry in found] for found in due] == [[], [2, 3], [2, 3]]


@pytest.mark.parametrize(("question_version", "inquiry_version"), [(1, 2), (2, 1), (2, 3)], ids=str)
async def test_if_question_or_inquiry_is_not_the_one_that_was_decided_on_neither_is_written(
    store: AnyStore, question_version: int, inquiry_version: int
) -> None:
    question = a_question()
    await add(store, question)
    late = replace(question, version=question_version, reports=1)
    inquiry = replace(FIRST, version=inquiry_version)

    assert not await store.save(Change(question=late, before=question, report=a_report(), inquiry=inquiry))

    assert await store.find(IDENTIFIER) == question
    assert list(await store.inquiries_of(question.ref)) == []
    assert list(await store.reports_of(IDENTIFIER)) == []


async def test_a_trail_has_the_inquiries_of_its_alert(store: AnyStore) -> None:
    await add_with_inquiries(store, FIRST, an_inquiry(2))

    trail = await store.trail_of(IDENTIFIER)

    assert trail is not None
    assert list(trail.inquiries) == [FIRST, an_inquiry(2)]


async def test_inquiries_go_with_their_alert(store: AnyStore) -> None:
    question = await add_with_inquiries(store, replace(FIRST, due_at=None))
    await store.mark_sent(await store.reports_of(IDENTIFIER), NOON)
    current = await store.find(IDENTIFIER)
    assert current is not None
    ended: dict[str, Any] = {
        "state": State.ASKED,
        "standing": Outcome.NO,
        "settled_at": NOON,
        "due_at": None,
        "shown": 2,
    }
    at_rest = replace(current, version=current.version + 1, **ended)
    assert await store.save(Change(question=at_rest, before=current))
    assert question.reports == at_rest.reports

    assert await store.remove_ended(NOON + DAY, limit=10) == 1

    assert list(await store.inquiries_of(FIRST.ref)) == []
    assert await store.find(IDENTIFIER) is None


async def test_after_a_restore_what_may_have_been_asked_since_is_in_doubt(store: AnyStore) -> None:
    claimed = replace(an_inquiry(2), **_delivery_of(CLAIMED))
    done = [replace(an_inquiry(3), **_delivery_of(ASKED)), replace(an_inquiry(4), **_delivery_of(FAILED))]
    await add_with_inquiries(store, FIRST, claimed, *done)

    await store.reset_after_restore(NOON + DAY, since=NOON)

    waiting, was_claimed, *others = await store.inquiries_of(FIRST.ref)
    assert list(await store.due_inquiries(NOON + DAY, limit=10)) == [waiting, was_claimed]
    doubts = [(each.delivery, each.claimed_at, each.in_doubt_since) for each in (waiting, was_claimed)]
    assert doubts == [(Delivery.CLAIMED, NOON, NOON + DAY)] * 2
    assert others == done


def _delivery_of(inquiry: Inquiry) -> dict[str, Any]:
    names = ("delivery", "claimed_at", "in_doubt_since", "due_at", "reason", "asked_at", "channel", "ts")
    return {name: getattr(inquiry, name) for name in names}
