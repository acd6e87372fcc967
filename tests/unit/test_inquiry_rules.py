"""Follow-up questions and replies: who may ask and reply, what each changes, and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from fakes import NOON, a_request

from bot.triage import inquiry_rules
from bot.triage.answer_rules import NOTE_LENGTH_MAX, Refusal
from bot.triage.asking_rules import new_ref
from bot.triage.assignments import CardClick
from bot.triage.inquiry import Delivery, Inquiry, Reply
from bot.triage.inquiry_rules import INQUIRIES_MAX, INQUIRY_LENGTH_MAX, REPLIES_MAX, InquiryDraft
from bot.triage.model import Choice, Question, State, Step
from bot.triage.outcomes import Outcome
from bot.triage.policy import Policy

POLICY = Policy(security_channel="C0CARDS")
CARD_TS = "1764000000.000200"
MINUTE = timedelta(minutes=1)
ANSWERED = Question(
    request=a_request(),
    ref=new_ref(a_request().identifier, "0" * 32),
    state=State.ASKED,
    accepted_at=NOON - MINUTE,
    due_at=None,
    deadline=None,
    slack_id="U0ADA",
    other_slack_id="W0ADA",
    channel="D0ADA",
    ts="1764000000.000100",
    asked_at=NOON - MINUTE,
    standing=Outcome.NO,
    said=Choice.YES,
    answered_at=NOON,
    answers=2,
    reports=2,
    shown=2,
    card_ts=CARD_TS,
    card_shown=2,
)


def a_click(**changes: Any) -> CardClick:
    known: dict[str, Any] = {"slack_id": "U0GRACE", "slack_name": "grace", "key": "V1"}
    given = known | changes
    return CardClick(
        card=ANSWERED.card, channel="C0CARDS", ts=CARD_TS, same_workspace=True, at=NOON + MINUTE, **given
    )


def ask(
    question: Question = ANSWERED,
    known: tuple[Inquiry, ...] = (),
    text: str = "Which laptop?",
    **changes: Any,
) -> Step | Refusal | None:
    wanted = InquiryDraft(text=text, secret=f"{len(known) + 10:032x}")
    return inquiry_rules.ask_back(question, known, a_click(**changes), wanted, POLICY)


def asked(question: Question = ANSWERED, known: tuple[Inquiry, ...] = (), **changes: Any) -> Step:
    step = ask(question, known, **changes)
    assert isinstance(step, Step)
    return step


def an_inquiry() -> Inquiry:
    inquiry = asked().inquiry
    assert inquiry is not None
    return inquiry


def reply(
    known: tuple[Inquiry, ...], question: Question = ANSWERED, *, text: str = "The blue one.", **changes: Any
) -> Step | Refusal | None:
    given: dict[str, Any] = {
        "ref": known[0].ref,
        "slack_id": "U0ADA",
        "same_workspace": True,
        "at": NOON + 2 * MINUTE,
        "view_id": "V2",
    }
    return inquiry_rules.take_reply(question, known, Reply(text=text, **(given | changes)), POLICY)


def test_what_a_window_says_of_its_card_is_no_place_of_a_card() -> None:
    """A forged value on another alert's card opens it, too: this alert's must not be drawn over that one."""
    assert asked(replace(ANSWERED, card_ts="")).question.card_ts == ""


def test_a_question_asked_back_is_a_row_and_a_note_and_changes_nothing_that_was_answered() -> None:
    step = asked(text="Which *laptop* <!here>?")

    inquiry, report, after = step.inquiry, step.report, step.question
    assert inquiry is not None
    assert report is not None
    assert (inquiry.number, inquiry.sequence, inquiry.delivery) == (1, 2, Delivery.WAITING)
    assert (inquiry.text, inquiry.slack_id, inquiry.channel) == (
        "Which *laptop* <!here>?",
        "U0GRACE",
        "D0ADA",
    )
    assert inquiry.ref.startswith(ANSWERED.ref.partition(".")[0])
    assert inquiry.ref != ANSWERED.ref
    assert (report.sequence, report.note, report.comment, report.in_reply_to) == (2, True, "", None)
    assert report.inquiry is not None
    assert report.inquiry.text == inquiry.text
    kept = ("standing", "said", "answered_at", "deadline", "answers", "taken_by", "note", "reason")
    assert [getattr(after, name) for name in kept] == [getattr(ANSWERED, name) for name in kept]
    assert (after.reports, after.card_due_at) == (3, NOON + MINUTE)


def test_a_window_that_slack_delivers_twice_asks_once() -> None:
    first = an_inquiry()

    assert ask(known=(first,)) is None
    assert isinstance(ask(known=(first,), key="V9"), Step)
    assert isinstance(ask(known=(first,), text="And when?"), Step)


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("", Refusal.NO_TEXT),
        (" \n\t", Refusal.NO_TEXT),
        ("\u200b\u2800", Refusal.NO_TEXT),
        ("x" * (INQUIRY_LENGTH_MAX + 1), Refusal.TOO_LONG),
        ("x" * 3000, Refusal.TOO_LONG),
    ],
)
def test_a_text_with_nothing_to_see_or_too_long_is_not_asked(text: str, refusal: Refusal) -> None:
    assert ask(text=text) is refusal
    assert isinstance(ask(text="x" * INQUIRY_LENGTH_MAX), Step)


def test_nothing_is_asked_before_it_is_known_where_the_question_is() -> None:
    assert ask(replace(ANSWERED, channel="", ts="")) is Refusal.NOT_ASKED_YET
    assert ask(replace(ANSWERED, standing=None, said=None)) is Refusal.NOT_ASKED_YET


def test_ten_questions_are_asked_back_and_no_more() -> None:
    known: tuple[Inquiry, ...] = ()
    for number in range(INQUIRIES_MAX):
        inquiry = asked(known=known, key=f"V{number}").inquiry
        assert inquiry is not None
        known = (*known, inquiry)

    assert [each.number for each in known] == list(range(1, 11))
    assert ask(known=known, key="V99") is Refusal.TOO_MANY_INQUIRIES
    assert inquiry_rules.why_not_ask(ANSWERED, known) is Refusal.TOO_MANY_INQUIRIES


def test_a_reply_is_a_note_that_names_the_question_and_changes_nothing_that_was_answered() -> None:
    inquiry = an_inquiry()

    step = reply((inquiry,))

    assert isinstance(step, Step)
    report, after = step.report, step.question
    assert report is not None
    assert (report.comment, report.slack_id, report.in_reply_to) == ("The blue one.", "U0ADA", 2)
    assert (report.note, report.outcome, report.said) == (True, Outcome.NO, Choice.YES)
    kept = ("standing", "said", "answered_at", "deadline", "answers", "taken_by", "note", "notes")
    assert [getattr(after, name) for name in kept] == [getattr(ANSWERED, name) for name in kept]
    assert after.card_due_at == NOON + 2 * MINUTE


@pytest.mark.parametrize("standing", [Outcome.TIMED_OUT, Outcome.UNPROVEN, Outcome.YES])
def test_a_reply_is_the_persons_whatever_stands(standing: Outcome) -> None:
    step = reply((an_inquiry(),), replace(ANSWERED, standing=standing, said=None))

    assert isinstance(step, Step)
    assert step.report is not None
    assert (step.report.slack_id, step.report.note, step.question.standing) == ("U0ADA", True, standing)


def test_a_reply_proves_that_the_question_was_asked() -> None:
    doubted = inquiry_rules.claim(an_inquiry(), NOON)

    step = reply((doubted,))

    assert isinstance(step, Step)
    assert step.inquiry is not None
    found = step.inquiry
    assert (found.delivery, found.in_doubt_since, found.due_at) == (Delivery.ASKED, None, None)
    assert found.version == doubted.version + 1


def test_a_reply_that_slack_delivers_twice_counts_once() -> None:
    first = reply((an_inquiry(),))
    assert isinstance(first, Step)
    assert first.inquiry is not None

    assert reply((first.inquiry,)) is None
    assert isinstance(reply((first.inquiry,), text="And the red one."), Step)
    assert isinstance(reply((first.inquiry,), view_id="V3"), Step)


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"slack_id": "U0EVE"}, Refusal.OTHER_PERSON),
        ({"slack_id": "U0GRACE"}, Refusal.OTHER_PERSON),
        ({"slack_id": ""}, Refusal.OTHER_PERSON),
        ({"same_workspace": False}, Refusal.OTHER_WORKSPACE),
        ({"ref": f"{ANSWERED.ref.partition('.')[0]}.{'f' * 32}"}, Refusal.LOST_INQUIRY),
        ({"ref": ANSWERED.ref}, Refusal.LOST_INQUIRY),
        ({"text": " \u200b\n"}, Refusal.NO_TEXT),
        ({"text": "\u200b" * NOTE_LENGTH_MAX + "cut off"}, Refusal.NO_TEXT),
    ],
    ids=lambda value: str(value)[:60],
)
def test_nobody_else_replies_and_not_to_anything_else(changes: dict[str, Any], refusal: Refusal) -> None:
    assert reply((an_inquiry(),), **changes) is refusal


def test_a_person_replies_under_either_of_their_ids() -> None:
    step = reply((an_inquiry(),), slack_id="W0ADA")

    assert isinstance(step, Step)
    assert step.report is not None
    assert step.report.slack_id == "U0ADA"


def test_twenty_replies_are_taken_and_no_more() -> None:
    inquiry = replace(an_inquiry(), replies=tuple(f"{number:016x}" for number in range(REPLIES_MAX - 1)))
    second = replace(inquiry, number=2, ref=inquiry.ref[:-1] + "f", replies=("last",))

    assert reply((inquiry, second)) is Refusal.TOO_MANY_REPLIES
    assert isinstance(reply((inquiry,)), Step)


def test_a_long_reply_is_cut_as_a_note_is() -> None:
    step = reply((an_inquiry(),), text="x" * 4000)

    assert isinstance(step, Step)
    assert step.report is not None
    assert len(step.report.comment) == 3000


def test_an_inquiry_that_cannot_be_asked_is_told_to_mozdef() -> None:
    claimed = inquiry_rules.claim(an_inquiry(), NOON)
    failed = replace(claimed, reason="user_disabled")

    step = inquiry_rules.fail(ANSWERED, (claimed,), failed, NOON + MINUTE, POLICY)

    assert step is not None
    assert step.inquiry is not None
    assert step.report is not None
    assert (step.inquiry.delivery, step.inquiry.due_at) == (Delivery.FAILED, None)
    assert (step.report.note, step.report.reason, step.report.in_reply_to) == (True, "user_disabled", 2)
    assert step.question.standing is ANSWERED.standing
    replied = replace(claimed, version=claimed.version + 1, delivery=Delivery.ASKED)
    assert inquiry_rules.fail(ANSWERED, (replied,), failed, NOON, POLICY) is None
