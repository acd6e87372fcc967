from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta

import pytest
from fakes import ADA, NOON, a_request
from hypothesis import given
from hypothesis import strategies as st

from bot.backoff import retry_delay
from bot.triage import asking_rules
from bot.triage.model import Choice, Confidence, MessageRef, Person, Question, State
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
CLOSED = replace(
    CLAIMED,
    state=State.CLOSED,
    standing=Outcome.UNDELIVERABLE,
    reason="x",
    reports=1,
    shown=1,
    in_doubt_since=None,
    deadline=None,
)


def test_a_ref_begins_with_what_any_store_can_compute() -> None:
    ref = asking_rules.new_ref("9Zo02m4B7gIfixq3c4Xh", "f" * 32)

    key = hashlib.sha256(b"9Zo02m4B7gIfixq3c4Xh").hexdigest()[:32]
    assert ref == f"{key}.{'f' * 32}"
    assert asking_rules.row_key("9Zo02m4B7gIfixq3c4Xh") == key


def test_an_accepted_request_is_due_at_once() -> None:
    step = asking_rules.accept(a_request(), "key.secret", NOON, POLICY)

    assert step.report is None
    assert step.question == Question(
        request=a_request(),
        ref="key.secret",
        accepted_at=NOON,
        due_at=NOON,
        deadline=NOON + timedelta(hours=24),
    )


def test_a_request_that_never_expires_has_no_deadline() -> None:
    step = asking_rules.accept(a_request(), "key.secret", NOON, Policy(expire_after=None))

    assert step.question.deadline is None


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
    step = asking_rules.reject(a_request(), "key.secret", NOON, POLICY)

    assert (step.question.state, step.question.standing) == (State.CLOSED, Outcome.UNDELIVERABLE)
    assert step.question.due_at is None
    assert step.report is not None
    assert (step.report.outcome, step.report.reason) == (Outcome.UNDELIVERABLE, "invalid_request")
    assert (step.report.sequence, step.report.note) == (0, False)


@pytest.mark.parametrize("confidence", list(Confidence))
def test_wrong_person_is_offered_only_up_to_moderate_confidence(confidence: Confidence) -> None:
    offered = asking_rules.offered_choices(confidence)

    assert offered[:3] == (Choice.YES, Choice.NO, Choice.NOT_SURE)
    sure = confidence in (Confidence.HIGHEST, Confidence.HIGH)
    assert offered[3:] == (() if sure else (Choice.WRONG_USER,))


def test_an_ordinary_member_may_be_asked() -> None:
    assert asking_rules.why_not_ask(ADA, POLICY) is None


@pytest.mark.parametrize(
    ("person", "reason"),
    [
        (replace(ADA, deactivated=True), "user_deactivated"),
        (replace(ADA, is_bot=True), "user_is_bot"),
        (replace(ADA, is_external=True), "user_external"),
        (replace(ADA, unconfirmed=True), "user_unconfirmed"),
        (replace(ADA, is_guest=True), "user_is_guest"),
    ],
)
def test_only_ordinary_members_are_asked(person: Person, reason: str) -> None:
    assert asking_rules.why_not_ask(person, POLICY) == reason


def test_guests_are_asked_where_the_engineer_says_so() -> None:
    assert asking_rules.why_not_ask(replace(ADA, is_guest=True), Policy(ask_guests=True)) is None
    stranger = replace(ADA, is_guest=True, is_external=True)
    assert asking_rules.why_not_ask(stranger, Policy(ask_guests=True)) == "user_external"


def test_people_whose_address_is_not_confirmed_are_asked_where_the_engineer_says_so() -> None:
    policy = Policy(ask_unconfirmed=True)
    assert asking_rules.why_not_ask(replace(ADA, unconfirmed=True), policy) is None
    assert asking_rules.why_not_ask(replace(ADA, unconfirmed=True, is_guest=True), policy) == "user_is_guest"


def test_a_claim_says_whom_and_puts_the_question_in_doubt() -> None:
    claimed = asking_rules.claim(ACCEPTED, ADA, LATER).question

    assert claimed.state is State.POSTING
    assert (claimed.slack_id, claimed.slack_name) == ("U0ADA", "ada")
    assert claimed.offered == asking_rules.offered_choices(Confidence.LOWEST)
    assert claimed.claimed_at == claimed.in_doubt_since == LATER
    assert claimed.due_at is not None
    assert claimed.due_at > LATER


def test_a_second_claim_keeps_the_time_of_the_first() -> None:
    claimed = asking_rules.claim(CLAIMED, ADA, LATER).question

    assert claimed.claimed_at == NOON
    assert claimed.in_doubt_since == LATER


def test_a_posted_question_is_asked_and_at_rest_where_no_clock_runs() -> None:
    step = asking_rules.record_asked(CLAIMED, PLACE, LATER, QUIET)

    assert step is not None
    assert step.report is None
    assert step.question.state is State.ASKED
    assert step.question.message_ref == PLACE
    assert step.question.asked_at == LATER
    assert (step.question.in_doubt_since, step.question.due_at) == (None, None)
    assert step.question.deadline is None


def test_a_late_reply_changes_nothing_once_a_click_told_the_place() -> None:
    assert asking_rules.record_asked(ASKED, PLACE, LATER, POLICY) is None


def test_a_late_reply_tells_the_place_of_a_closed_question_and_leaves_it_closed() -> None:
    step = asking_rules.record_asked(CLOSED, PLACE, LATER, POLICY)

    assert step is not None
    assert step.question.state is State.CLOSED
    assert step.question.standing is Outcome.UNDELIVERABLE
    assert step.question.message_ref == PLACE


def test_a_post_that_was_not_done_ends_the_doubt_and_keeps_the_claim() -> None:
    step = asking_rules.record_not_posted(CLAIMED, LATER)

    assert step is not None
    assert step.question.state is State.POSTING
    assert step.question.in_doubt_since is None
    assert step.question.claimed_at == NOON
    assert (step.question.attempts, step.question.due_at) == (1, LATER)


@pytest.mark.parametrize("question", [ACCEPTED, ASKED, CLOSED])
def test_only_a_post_under_way_can_have_failed(question: Question) -> None:
    assert asking_rules.record_not_posted(question, LATER) is None


@pytest.mark.parametrize("question", [ACCEPTED, CLAIMED])
def test_a_question_that_was_not_asked_can_be_closed(question: Question) -> None:
    step = asking_rules.close(question, Reason.USERS_NOT_FOUND, LATER, POLICY)

    assert step is not None
    assert step.question.state is State.CLOSED
    assert (step.question.standing, step.question.reason) == (Outcome.UNDELIVERABLE, "users_not_found")
    assert (step.question.in_doubt_since, step.question.due_at) == (None, None)
    assert not step.question.outdated
    assert step.report is not None
    assert (step.report.reason, step.report.sequence) == ("users_not_found", 0)


@pytest.mark.parametrize("question", [ASKED, CLOSED])
def test_a_question_that_was_asked_is_not_closed(question: Question) -> None:
    assert asking_rules.close(question, Reason.USERS_NOT_FOUND, LATER, POLICY) is None


def test_a_message_that_shows_all_is_at_rest() -> None:
    question = replace(ASKED, reports=2, shown=0, attempts=3, due_at=LATER)

    step = asking_rules.record_shown(question, 2)

    assert (step.question.shown, step.question.attempts, step.question.due_at) == (2, 0, None)


def test_a_message_that_shows_less_stays_due() -> None:
    question = replace(ASKED, reports=3, shown=0, due_at=LATER)

    step = asking_rules.record_shown(question, 2)

    assert (step.question.shown, step.question.due_at) == (2, LATER)
    assert step.question.outdated


def test_retries_double_up_to_half_a_minute() -> None:
    delays = [retry_delay(attempts, 1.0).total_seconds() for attempts in range(8)]

    assert delays == [1, 2, 4, 8, 16, 30, 30, 30]


@given(st.integers(min_value=0, max_value=10**9), st.floats(min_value=0, max_value=1))
def test_retries_are_spread_over_their_whole_delay(attempts: int, jitter: float) -> None:
    delay = retry_delay(attempts, jitter)

    assert timedelta(0) <= delay <= retry_delay(attempts, 1.0) <= timedelta(seconds=30)
