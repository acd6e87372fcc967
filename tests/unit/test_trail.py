"""Which event tells which step, and what it says: read off the question before and after."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from fakes import ADA, ADDRESS, NOON, a_request
from trails import PLACE, POLICY, answer, refuse

from bot.sqs.wire import write_report
from bot.triage import asking_rules, factor_rules, inquiry_rules, place_rules
from bot.triage.answer_rules import add_note
from bot.triage.assignments import CardClick
from bot.triage.event_kinds import EventKind
from bot.triage.factor import Attempt, Verdict
from bot.triage.inquiry import Inquiry, Reply
from bot.triage.inquiry_rules import InquiryDraft
from bot.triage.model import (
    Choice,
    Note,
    Person,
    Question,
    State,
    Step,
    Trail,
    TriageRequest,
    change_question,
)
from bot.triage.outcomes import Outcome, Reason
from bot.triage.responder_rules import hand_over, release_alert, take_alert
from bot.triage.trail import REPEATS_MAX, UNKNOWN, find_breaks, find_event, make_event, previous_report

DAY = timedelta(days=1)
REQUEST: TriageRequest = a_request()
NEW = asking_rules.accept(REQUEST, "0.1", NOON, POLICY).question


def done(step: object) -> Question:
    assert isinstance(step, Step)
    return step.question


CLAIMED = done(asking_rules.claim(NEW, ADA, NOON))
RETRIED = done(asking_rules.record_not_posted(CLAIMED, NOON))
ASKED = done(asking_rules.record_asked(CLAIMED, PLACE, NOON, POLICY))
ANSWERED = done(answer(ASKED, Choice.YES))
DUE = change_question(ASKED, due_at=NOON, deadline=NOON)
REMINDED = change_question(ASKED, reminders=1)
REJECTED = done(asking_rules.reject(REQUEST, "0.1", NOON, POLICY))
CARDED = change_question(ANSWERED, card_due_at=NOON)
WAITS = done(place_rules.wait_for_place(NEW, "U0ADA", NOON, POLICY, lag=timedelta(0)))
UNASKED = done(asking_rules.expire(WAITS, NOON + DAY, POLICY))
OTHER = replace(ADA, slack_id="U0EVE")

NOTE = Note(ref="0.1", text=f"I am {ADDRESS}.", slack_id="U0ADA", same_workspace=True, at=NOON)
CHANNEL = replace(PLACE, channel="C0SEC")
GRACE = Person(slack_id="U0GRACE", slack_name="grace")
TAKE = CardClick(
    card="0.2",
    slack_id="U0SEC",
    slack_name="sec",
    same_workspace=True,
    channel=CHANNEL.channel,
    ts=CHANNEL.ts,
    at=NOON,
)
TAKEN = done(take_alert(CARDED, TAKE))
PERSON, WHERE = {"person": "U0ADA"}, {"channel": PLACE.channel, "ts": PLACE.ts}
SAID = {"by": "U0ADA", "said": "yes", "outcome": "yes", "sequence": 0}

#: A question, the step that is taken with it, and the event of that.
ATTEMPT = Attempt(subject="ada@example.com", ref=ASKED.ref, code="CODE23", started_at=NOON, sent_at=NOON)
PROVING = change_question(ASKED, said=Choice.YES, proof_code="CODE23", proofs=1)
PROVED = {"outcome": "yes", "sequence": 0}
NOT_PROVED = {"n": 1, "outcome": "unproven", "sequence": 0, "reason": "factor_refused"}

ANSWERED_BACK = replace(
    NEW,
    state=State.ASKED,
    slack_id="U0ADA",
    channel="D0ADA",
    ts="1.1",
    standing=Outcome.NO,
    said=Choice.NO,
    reports=1,
)
ASKING = CardClick(
    card="0.2", channel="C0CARDS", ts="1.2", slack_id="U0GRACE", slack_name="g", same_workspace=True, at=NOON
)
INQUIRY = Inquiry(
    identifier=REQUEST.identifier,
    number=1,
    ref=f"0.{'1' * 32}",
    text="Which?",
    slack_id="U0GRACE",
    slack_name="g",
    window="",
    sequence=1,
    accepted_at=NOON,
    due_at=None,
    version=2,
)
REPLY = Reply(ref=INQUIRY.ref, text="That one.", slack_id="U0ADA", same_workspace=True, at=NOON, view_id="V1")

STEPS: list[tuple[Question | None, object, str, dict[str, Any]]] = [
    (None, Step(question=NEW), "accepted", {"confidence": "lowest"}),
    (
        None,
        asking_rules.reject(REQUEST, "0.1", NOON, POLICY),
        "accepted",
        {"confidence": "lowest", "outcome": "undeliverable", "sequence": 0, "reason": "invalid_request"},
    ),
    (
        REJECTED,
        asking_rules.receive_again(REJECTED, REQUEST, NOON, POLICY),
        "reopened",
        {"confidence": "lowest"},
    ),
    (NEW, asking_rules.claim(NEW, ADA, NOON), "claimed", PERSON),
    (RETRIED, asking_rules.claim(RETRIED, OTHER, NOON), "claimed", {"person": "U0EVE"}),
    (
        change_question(NEW, in_doubt_since=NOON),
        asking_rules.claim_restored(change_question(NEW, in_doubt_since=NOON), ADA, NOON),
        "claimed",
        PERSON,
    ),
    (CLAIMED, asking_rules.record_not_posted(CLAIMED, NOON), "notPosted", {}),
    (CLAIMED, asking_rules.record_asked(CLAIMED, PLACE, NOON, POLICY), "asked", WHERE),
    (DUE, asking_rules.remind(DUE, NOON, POLICY), "reminded", {"n": 1}),
    (
        REMINDED,
        asking_rules.take_back_reminder(REMINDED, NOON, number=REMINDED.reminders),
        "notReminded",
        {"n": 1},
    ),
    (ASKED, answer(ASKED, Choice.YES), "answered", SAID),
    (CLAIMED, answer(CLAIMED, Choice.YES), "answered", SAID | WHERE),
    (
        ANSWERED,
        add_note(ANSWERED, NOTE, POLICY),
        "noted",
        {"by": "U0ADA", "outcome": "yes", "sequence": 1},
    ),
    (CARDED, take_alert(CARDED, TAKE), "taken", {"by": "U0SEC"}),
    (TAKEN, hand_over(TAKEN, TAKE, GRACE), "handedOver", {"by": "U0SEC", "to": "U0GRACE"}),
    (TAKEN, release_alert(TAKEN, TAKE), "released", {"by": "U0SEC"}),
    (DUE, asking_rules.expire(DUE, NOON, POLICY), "ended", {"outcome": "timedOut", "sequence": 0}),
    (
        CLAIMED,
        asking_rules.close(CLAIMED, Reason.USER_IS_BOT, NOON, POLICY),
        "ended",
        {"outcome": "undeliverable", "sequence": 0, "reason": "user_is_bot"},
    ),
    (PROVING, factor_rules.judge(PROVING, ATTEMPT, Verdict.APPROVED, NOON, POLICY), "proved", PROVED),
    (PROVING, factor_rules.judge(PROVING, ATTEMPT, Verdict.REFUSED, NOON, POLICY), "notProved", NOT_PROVED),
    (
        ANSWERED,
        factor_rules.judge(ANSWERED, ATTEMPT, Verdict.APPROVED, NOON, POLICY),
        "proofIgnored",
        {"verdict": "approved"},
    ),
    (NEW, place_rules.wait_for_place(NEW, "U0ADA", NOON, POLICY, lag=timedelta(0)), "waited", {}),
    (UNASKED, place_rules.stop_waiting(UNASKED, NOON + 2 * DAY, POLICY), "givenUp", {}),
    (ASKED, refuse(ASKED), "refused", {"by": "U0EVE", "reason": "other_person"}),
    (
        ANSWERED_BACK,
        inquiry_rules.ask_back(
            ANSWERED_BACK, (), ASKING, InquiryDraft(text="Which?", secret="1" * 32), POLICY
        ),
        "askedBack",
        {"by": "U0GRACE", "n": 1, "outcome": "no", "sequence": 1},
    ),
    (
        ANSWERED_BACK,
        inquiry_rules.fail(ANSWERED_BACK, (INQUIRY,), replace(INQUIRY, reason="user_disabled"), NOON, POLICY),
        "notAskedBack",
        {"n": 1, "why": "user_disabled", "outcome": "no", "sequence": 1},
    ),
    (
        ANSWERED_BACK,
        inquiry_rules.take_reply(ANSWERED_BACK, (INQUIRY,), REPLY, POLICY),
        "replied",
        {"by": "U0ADA", "n": 1, "outcome": "no", "sequence": 1},
    ),
]


@pytest.mark.parametrize(("before", "step", "kind", "facts"), STEPS)
def test_a_decision_is_an_event(
    before: Question | None, step: object, kind: str, facts: dict[str, Any]
) -> None:
    assert isinstance(step, Step)
    report = write_report(step.report, NOON) if step.report else None

    found = find_event(before, step, report)

    assert found
    assert found[0] == kind
    assert dict(found[1]) == (facts | {"report": report.hash} if report else facts)


def test_each_kind_but_those_of_the_outbox_is_among_the_steps() -> None:
    told = {kind for *_, kind, _ in STEPS}

    assert told == set(EventKind) - {EventKind.SENT, EventKind.PARKED, EventKind.REPLAYED}


@pytest.mark.parametrize(
    ("before", "step"),
    [
        (NEW, asking_rules.wait_in_line(NEW, NOON, jitter=0.0)),
        (NEW, asking_rules.defer(NEW, NOON)),
        (CLAIMED, asking_rules.defer(CLAIMED, NOON)),
        (ANSWERED, asking_rules.record_shown(ANSWERED, 1)),
    ],
)
def test_what_is_no_decision_about_the_alert_is_no_event(before: Question, step: object) -> None:
    assert isinstance(step, Step)
    assert find_event(before, step, None) is None


@pytest.mark.parametrize(
    ("before", "step"),
    [
        (change_question(RETRIED, attempts=REPEATS_MAX), asking_rules.claim(RETRIED, ADA, NOON)),
        (change_question(CLAIMED, attempts=REPEATS_MAX), asking_rules.record_not_posted(CLAIMED, NOON)),
        (change_question(DUE, attempts=REPEATS_MAX), asking_rules.remind(DUE, NOON, POLICY)),
    ],
)
def test_an_attempt_that_fails_for_ever_is_not_told_for_ever(before: Question, step: object) -> None:
    assert isinstance(step, Step)
    assert find_event(before, step, None) is None
    assert find_event(change_question(before, attempts=REPEATS_MAX - 1), step, None) is not None


def test_the_hash_of_an_event_covers_all_that_it_says() -> None:
    known: dict[str, Any] = {
        "identifier": "alert",
        "version": 3,
        "trail_hash": "0" * 64,
        "kind": EventKind.SENT,
        "facts": {"sequence": 0},
        "at": NOON,
    }
    others: dict[str, Any] = {
        "identifier": "other",
        "version": 4,
        "trail_hash": "",
        "kind": EventKind.PARKED,
        "facts": {"sequence": 1},
        "at": NOON.replace(microsecond=1),
    }

    hashes = {make_event(**(known | {name: value})).hash for name, value in others.items()}

    assert len(hashes | {make_event(**known).hash}) == len(known) + 1


def test_a_break_is_named_where_it_is() -> None:
    question = change_question(NEW, state=State.ASKED)
    events = []
    for version in range(4):
        event = make_event(
            "alert", version, question.trail_hash, kind=EventKind.SENT, facts={"sequence": version}, at=NOON
        )
        events.append(event)
        question = change_question(question, trail_hash=event.hash)
    changed = [events[0], replace(events[1], facts={"sequence": 9}), *events[2:]]

    assert list(find_breaks(Trail(question=question, events=events, reports=()))) == []
    assert list(find_breaks(Trail(question=question, events=changed, reports=()))) == [
        "event 1 (sent) is changed, or the one before it is missing"
    ]
    assert list(find_breaks(Trail(question=question, events=events[:-1], reports=()))) == [
        "the last event is missing"
    ]


@pytest.mark.parametrize(
    ("reports", "known", "sequence", "previous"),
    [
        (0, "", 0, ""),
        (1, "a1", 1, "a1"),
        (1, "", 1, UNKNOWN),  # a release without a trail wrote the row
        (0, "", 1, UNKNOWN),  # the store was restored: the message shows a report that it does not know
        (1, "a1", 3, UNKNOWN),
        (1, "a1", 100, UNKNOWN),
    ],
)
def test_a_report_names_the_one_before_it_or_says_that_it_does_not_know_it(
    reports: int, known: str, sequence: int, previous: str
) -> None:
    before = change_question(ASKED, reports=reports, report_hash=known)

    assert previous_report(before, sequence) == previous
