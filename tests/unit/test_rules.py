"""The rules by which a question is accepted, claimed, asked and closed."""

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
from bot.triage.model import Choice, Confidence, MessageRef, Question, Report, State, Step
from bot.triage.outcomes import Outcome, Reason
from bot.triage.policy import Policy

POLICY = Policy()
QUIET = Policy(remind_after=None, expire_after=None)
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


def stepped(step: Step | None) -> tuple[Question, Report | None]:
    assert step is not None
    return step.question, step.report


def test_a_ref_begins_with_what_any_store_can_compute() -> None:
    ref = asking_rules.new_ref("9Zo02m4B7gIfixq3c4Xh", "f" * 32)

    key = hashlib.sha256(b"9Zo02m4B7gIfixq3c4Xh").hexdigest()[:32]
    assert ref == f"{key}.{'f' * 32}"
    assert asking_rules.row_key("9Zo02m4B7gIfixq3c4Xh") == key


@pytest.mark.parametrize("expire_after", [timedelta(hours=24), None])
def test_an_accepted_request_is_due_at_once(expire_after: timedelta | None) -> None:
    step = asking_rules.accept(a_request(), "key.secret", NOON, Policy(expire_after=expire_after))

    assert step.report is None
    deadline = NOON + expire_after if expire_after else None
    assert step.question == Question(
        request=a_request(), ref="key.secret", accepted_at=NOON, due_at=NOON, deadline=deadline
    )


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


def test_an_invalid_request_ends_before_it_began() -> None:
    question, report = stepped(asking_rules.reject(a_request(), "key.secret", NOON, POLICY))

    assert (question.state, question.standing) == (State.CLOSED, Outcome.UNDELIVERABLE)
    assert question.due_at is None
    assert report is not None
    assert (report.outcome, report.reason) == (Outcome.UNDELIVERABLE, "invalid_request")
    assert (report.sequence, report.note) == (0, False)


@pytest.mark.parametrize("confidence", list(Confidence))
def test_wrong_person_is_offered_only_up_to_moderate_confidence(confidence: Confidence) -> None:
    offered = asking_rules.offered_choices(confidence)

    assert offered[:3] == (Choice.YES, Choice.NO, Choice.NOT_SURE)
    sure = confidence in (Confidence.HIGHEST, Confidence.HIGH)
    assert offered[3:] == (() if sure else (Choice.WRONG_USER,))


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


def test_a_claim_says_whom_puts_the_question_in_doubt_and_keeps_the_time_of_an_earlier_one() -> None:
    claimed = asking_rules.claim(ACCEPTED, ADA, LATER).question
    again = asking_rules.claim(CLAIMED, ADA, LATER).question

    assert (claimed.state, claimed.slack_id, claimed.slack_name) == (State.POSTING, "U0ADA", "ada")
    assert claimed.offered == asking_rules.offered_choices(Confidence.LOWEST)
    assert claimed.claimed_at == claimed.in_doubt_since == LATER
    assert claimed.due_at is not None
    assert claimed.due_at > LATER
    assert (again.claimed_at, again.in_doubt_since) == (NOON, LATER)


def test_a_posted_question_is_asked_and_at_rest_where_no_clock_runs() -> None:
    question, report = stepped(asking_rules.record_asked(CLAIMED, PLACE, LATER, QUIET))

    assert report is None
    assert (question.state, question.message_ref, question.asked_at) == (State.ASKED, PLACE, LATER)
    assert (question.in_doubt_since, question.due_at, question.deadline) == (None, None, None)


def test_a_late_reply_tells_the_place_of_a_closed_question_and_else_changes_nothing() -> None:
    question, _ = stepped(asking_rules.record_asked(CLOSED, PLACE, LATER, POLICY))

    assert (question.state, question.standing) == (State.CLOSED, Outcome.UNDELIVERABLE)
    assert question.message_ref == PLACE
    assert asking_rules.record_asked(ASKED, PLACE, LATER, POLICY) is None  # a click has told it


def test_a_post_that_was_not_done_ends_the_doubt_and_keeps_the_claim() -> None:
    question, _ = stepped(asking_rules.record_not_posted(CLAIMED, LATER))

    assert (question.state, question.in_doubt_since, question.claimed_at) == (State.POSTING, None, NOON)
    assert (question.attempts, question.due_at) == (1, LATER)


@pytest.mark.parametrize("question", [ACCEPTED, ASKED, CLOSED])
def test_only_a_post_under_way_can_have_failed(question: Question) -> None:
    assert asking_rules.record_not_posted(question, LATER) is None


@pytest.mark.parametrize("question", [ACCEPTED, CLAIMED])
def test_a_question_that_was_not_asked_can_be_closed(question: Question) -> None:
    closed, report = stepped(asking_rules.close(question, Reason.USERS_NOT_FOUND, LATER, POLICY))

    assert closed.state is State.CLOSED
    assert (closed.standing, closed.reason) == (Outcome.UNDELIVERABLE, "users_not_found")
    assert (closed.in_doubt_since, closed.due_at, closed.outdated) == (None, None, False)
    assert report is not None
    assert (report.reason, report.sequence) == ("users_not_found", 0)


@pytest.mark.parametrize("question", [ASKED, CLOSED])
def test_a_question_that_was_asked_is_not_closed(question: Question) -> None:
    assert asking_rules.close(question, Reason.USERS_NOT_FOUND, LATER, POLICY) is None


@pytest.mark.parametrize(("reports", "due_at"), [(2, None), (3, LATER)])
def test_a_message_that_shows_all_is_at_rest_and_one_that_shows_less_stays_due(
    reports: int, due_at: datetime | None
) -> None:
    question = replace(ASKED, reports=reports, shown=0, attempts=3, due_at=LATER)

    shown = asking_rules.record_shown(question, 2).question

    assert (shown.shown, shown.attempts, shown.due_at) == (2, 0, due_at)
    assert shown.outdated is (due_at is not None)
