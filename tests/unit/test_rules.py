"""The rules by which a question is accepted, claimed, asked and closed, and what is reported of it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from fakes import ADA, NOON, a_request
from hypothesis import given
from hypothesis import strategies as st

from bot.triage import asking_rules
from bot.triage.model import Choice, MessageRef, Question, Report, State
from bot.triage.outcomes import Outcome, Profile, Reason
from bot.triage.policy import Policy
from bot.triage.reporting import report_due_at, report_on

POLICY = Policy()
PLACE = MessageRef(channel="D0ADA", ts="1764000000.000100")
LATER = NOON + timedelta(minutes=5)

ACCEPTED = asking_rules.accept(a_request(), "key.secret", NOON, POLICY).question
CLAIMED = asking_rules.claim(ACCEPTED, ADA, NOON).question
ASKED = replace(
    CLAIMED,
    state=State.ASKED,
    channel="D0ADA",
    ts="1.000001",
    asked_at=NOON,
    in_doubt_since=None,
    deadline=None,
)
ENDED: dict[str, Any] = {"standing": Outcome.UNDELIVERABLE, "reason": "x", "reports": 1, "shown": 1}
CLOSED = replace(CLAIMED, state=State.CLOSED, in_doubt_since=None, deadline=None, **ENDED)


def test_a_ref_begins_with_what_any_store_can_compute() -> None:
    ref = asking_rules.new_ref("9Zo02m4B7gIfixq3c4Xh", "f" * 32)

    key = hashlib.sha256(b"9Zo02m4B7gIfixq3c4Xh").hexdigest()[:32]
    assert ref == f"{key}.{'f' * 32}"
    assert asking_rules.row_key("9Zo02m4B7gIfixq3c4Xh") == key


@pytest.mark.parametrize(
    ("summary", "kept", "is_cut"),
    [
        ("x" * 4000, "x" * 4000, False),
        ("x" * 1_000_000, "x" * 4000, True),
        ("\u202ea\x00\r\n\n\n\u0065\u0301 ", "a\n\né", False),
        ("a" + "\u200b" * 50_000, "a", True),
        ("\u200b", "", False),
    ],
)
def test_of_a_cleaned_summary_4000_characters_are_kept(summary: str, kept: str, *, is_cut: bool) -> None:
    request = asking_rules.accept(a_request(summary=summary), "key.secret", NOON, POLICY).question.request

    assert (request.summary, request.is_cut) == (kept, is_cut)


@given(
    st.text(st.characters() | st.sampled_from(" \n\u0301\u0958\u200b"), max_size=30).map(
        lambda text: text * 200
    )
)
def test_a_request_that_comes_again_is_the_same_as_it_is_kept_and_as_the_release_before_kept_it(
    summary: str,
) -> None:
    request = a_request(summary=summary)
    kept = asking_rules.accept(request, "key.secret", NOON, POLICY).question

    for stored in (kept, replace(kept, request=request)):
        assert asking_rules.receive_again(stored, request, NOON, POLICY) is None


@pytest.mark.parametrize(
    ("ahead", "is_kept"), [(timedelta(days=1), True), (timedelta(days=1, seconds=1), False)]
)
def test_a_time_more_than_a_day_from_now_is_left_out(ahead: timedelta, *, is_kept: bool) -> None:
    request = replace(a_request(), occurred_at=NOON + ahead, left_out=("facts must be an array",))

    accepted = asking_rules.accept(request, "key.secret", NOON, POLICY).question.request

    assert accepted.occurred_at == (request.occurred_at if is_kept else None)
    late = [] if is_kept else ["occurredAt must not be more than a day from now"]
    assert list(accepted.left_out) == [*late, "facts must be an array"]


@pytest.mark.parametrize(
    ("person", "policy", "reason"),
    [
        ({}, POLICY, None),
        ({"deactivated": True}, POLICY, "user_deactivated"),
        ({"is_bot": True}, POLICY, "user_is_bot"),
        ({"is_external": True}, POLICY, "user_external"),
        ({"unconfirmed": True}, POLICY, "user_unconfirmed"),
        ({"is_guest": True}, POLICY, "user_is_guest"),
        ({"is_guest": True}, Policy(ask_guests=True), None),
        ({"is_guest": True, "is_external": True}, Policy(ask_guests=True), "user_external"),
        ({"unconfirmed": True}, Policy(ask_unconfirmed=True), None),
        ({"unconfirmed": True, "is_guest": True}, Policy(ask_unconfirmed=True), "user_is_guest"),
    ],
)
def test_only_ordinary_members_are_asked_and_who_else_the_engineer_says(
    person: dict[str, Any], policy: Policy, reason: str | None
) -> None:
    assert asking_rules.why_not_ask(replace(ADA, **person), policy) == reason


def test_a_late_reply_tells_the_place_of_a_closed_question_and_leaves_it_closed() -> None:
    step = asking_rules.record_asked(CLOSED, PLACE, LATER, POLICY)

    assert step is not None
    assert (step.question.state, step.question.standing) == (State.CLOSED, Outcome.UNDELIVERABLE)
    assert step.question.message_ref == PLACE


def test_what_came_meanwhile_is_not_undone() -> None:
    assert asking_rules.record_asked(ASKED, PLACE, LATER, POLICY) is None  # a click has told the place
    for question in (ACCEPTED, ASKED, CLOSED):  # only a post under way can have failed
        assert asking_rules.record_not_posted(question, LATER) is None
    for question in (ASKED, CLOSED):
        assert asking_rules.close(question, Reason.USERS_NOT_FOUND, LATER, POLICY) is None


CLICKED = NOON + timedelta(hours=1)
PUT = Question(
    request=a_request(),
    ref="key.secret",
    state=State.ASKED,
    accepted_at=NOON,
    due_at=None,
    slack_id="U0ADA",
    slack_name="ada",
    channel="D0ADA",
    ts="1.000001",
    asked_at=NOON + timedelta(seconds=2),
)


def after(before: Question, **changes: Any) -> Question:
    return replace(before, reports=before.reports + 1, **changes)


def report(before: Question, now: Question, policy: Policy = POLICY) -> Report:
    return report_on(before, now, at=CLICKED, policy=policy)


@pytest.mark.parametrize(
    ("policy", "at", "due_at"),
    [
        (POLICY, NOON + timedelta(seconds=10), NOON + timedelta(seconds=90)),
        (POLICY, NOON + timedelta(seconds=91), NOON + timedelta(seconds=91)),
        (Policy(hold=timedelta(0)), NOON, NOON),
    ],
    ids=["early", "late", "no hold"],
)
def test_a_report_waits_until_mozdef_knows_the_alert(policy: Policy, at: datetime, due_at: datetime) -> None:
    assert report_due_at(PUT, at, policy) == due_at


def test_an_answer_is_reported_with_its_author_and_times() -> None:
    now = after(PUT, standing=Outcome.NO, said=Choice.NO, answered_at=CLICKED)

    assert report(PUT, now) == Report(
        identifier="9Zo02m4B7gIfixq3c4Xh",
        sequence=0,
        outcome=Outcome.NO,
        response="no",
        note=False,
        at=CLICKED,
        email="ada@example.com",
        slack_id="U0ADA",
        slack_name="ada",
        confidence=a_request().confidence,
        alert="duo_bypass_codes_generated",
        asked_at=NOON + timedelta(seconds=2),
        answered_at=CLICKED,
        asked_slack_id="U0ADA",
    )


def test_without_an_outcome_there_is_nothing_to_report() -> None:
    with pytest.raises(ValueError, match="outcome"):
        report(PUT, PUT)


YES = after(PUT, standing=Outcome.YES, said=Choice.YES)
NOT_SURE = after(PUT, standing=Outcome.NOT_SURE, said=Choice.NOT_SURE)
OTHER_USER = after(NOT_SURE, standing=Outcome.WRONG_USER, said=Choice.WRONG_USER)
LATE = after(PUT, standing=Outcome.UNDELIVERABLE, reason="not_asked_in_time")


@pytest.mark.parametrize(
    ("before", "now", "policy", "note"),
    [
        (PUT, YES, POLICY, False),
        (YES, after(YES, standing=Outcome.NO, said=Choice.NO), POLICY, False),
        (NOT_SURE, OTHER_USER, POLICY, True),
        (NOT_SURE, OTHER_USER, Policy(profile=Profile.VERBATIM), False),  # for which it is another word
        (LATE, after(LATE, standing=Outcome.TIMED_OUT, reason=""), POLICY, True),
        # Another author: MozDef hears it as a change.
        (LATE, after(LATE, standing=Outcome.WRONG_USER, said=Choice.WRONG_USER), POLICY, False),
    ],
)
def test_a_report_that_mozdef_would_drop_goes_as_a_note(
    before: Question, now: Question, policy: Policy, *, note: bool
) -> None:
    told = report(before, now, policy)

    assert told.note is note
    assert told.said == (now.said if note else None)
    assert told.sequence == before.reports
