"""The checker must be able to fail: each promise about time, notes and the security team is broken once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bot.sandbox.fake_slack import Message

from .alerts import Alert, Kind
from .any_run import (
    ALERTED,
    ANSWERED_AT,
    ASKED_AT,
    CHANGED,
    IS_OVER,
    RECEIVED_AT,
    STILL,
    a_card,
    a_question,
    a_reminder,
    a_report,
    a_run,
    an_alert,
    broken,
    presses,
)
from .checker import judge
from .history import End, History, Note, Post
from .orders import EXPIRE_AFTER_SECONDS, REMIND_AFTER_SECONDS
from .promises import Promise

DEADLINE = ASKED_AT + EXPIRE_AFTER_SECONDS
REMINDED_AT = ASKED_AT + REMIND_AFTER_SECONDS + 1

#: How much later than MozDef is ready for it a report about the deadline is sent.
LATE = EXPIRE_AFTER_SECONDS


def a_silent_run(alert: Alert, **changes: Any) -> History:
    """Return a run in which the person is reminded twice and never answers."""
    silence = {
        "presses": [],
        "messages": [a_question(alert, answer=IS_OVER)],
        "reminders": [
            a_reminder(alert, at=REMINDED_AT),
            a_reminder(alert, at=REMINDED_AT + REMIND_AFTER_SECONDS, number=2),
        ],
        "reports": [a_report(alert, "timedOut", at=DEADLINE + 1, after=LATE)],
        "cards": [a_card(alert, "timedOut", at=DEADLINE + 2)],
    }
    return a_run(alert, **{**silence, **changes})


def a_no(alert: Alert, **changes: Any) -> History:
    """Return a run in which the person says that it was not them."""
    answer = {
        "presses": presses(alert, "no"),
        "messages": [a_question(alert, answer=ALERTED)],
        "reports": [a_report(alert, "no")],
        "cards": [a_card(alert, "no")],
    }
    return a_run(alert, **{**answer, **changes})


def place_of(message: Message) -> tuple[str, str]:
    return message.channel, message.ts


def test_a_run_in_which_somebody_never_answers_breaks_no_promise() -> None:
    assert judge(a_silent_run(an_alert())) == []


def test_a_third_reminder_is_one_too_many() -> None:
    alert = an_alert()
    run = a_silent_run(alert)

    third = a_reminder(alert, at=REMINDED_AT + 2 * REMIND_AFTER_SECONDS, number=3)

    assert broken(replace(run, reminders=[*run.reminders, third])) == {Promise.NAGGED}


#: How a run looks that goes like this, and which promises it breaks.
CASES: dict[str, tuple[Callable[[Alert], History], set[Promise]]] = {
    "no reminder comes twice": (
        lambda alert: a_silent_run(
            alert, reminders=[a_reminder(alert, at=REMINDED_AT + after) for after in (0, 9)]
        ),
        {Promise.NAGGED},
    ),
    "a reminder waits for its time": (
        lambda alert: a_silent_run(alert, reminders=[a_reminder(alert, at=REMINDED_AT - 2)]),
        {Promise.NAGGED},
    ),
    "a reminder stands in the thread of its question": (
        lambda alert: a_silent_run(
            alert, reminders=[a_reminder(alert, at=REMINDED_AT, thread="1000.500000")]
        ),
        {Promise.NAGGED},
    ),
    "nobody is reminded who has answered": (
        lambda alert: a_run(alert, reminders=[a_reminder(alert, at=REMINDED_AT)]),
        {Promise.REMINDED_LATE},
    ),
    "nobody is reminded whose time is over": (
        lambda alert: a_silent_run(alert, reminders=[a_reminder(alert, at=DEADLINE + 15)]),
        {Promise.REMINDED_LATE},
    ),
    "a deadline does not come early": (
        lambda alert: a_silent_run(alert, reports=[a_report(alert, "timedOut", at=DEADLINE - 1, after=LATE)]),
        {Promise.EARLY},
    ),
    "nobody runs out of time who was not asked": (
        lambda alert: a_silent_run(alert, messages=[], reminders=[]),
        {Promise.LOST, Promise.EARLY},
    ),
    "who was asked is not reported as unasked": (
        lambda alert: replace(a_late_question(alert), messages=[a_question(alert, answer="")]),
        {Promise.GIVEN_UP},
    ),
    "a deadline does not overrule an answer": (
        lambda alert: a_silent_run(alert, presses=presses(alert, "yes", at=DEADLINE - 30)),
        {Promise.OVERRULED, Promise.UNREPORTED},
    ),
    "a card of another outcome is stale": (
        lambda alert: a_no(alert, cards=[a_card(alert, "timedOut")]),
        {Promise.STALE},
    ),
    "a card shows that an answer was taken back": (
        lambda alert: replace(
            a_retraction(alert, "no", said="yes", retracted=True), cards=[a_card(alert, "no")]
        ),
        {Promise.STALE},
    ),
}


@pytest.mark.parametrize(("make", "promises"), CASES.values(), ids=CASES)
def test_a_run_breaks_these_promises_and_no_other(
    make: Callable[[Alert], History], promises: set[Promise]
) -> None:
    assert broken(make(an_alert())) == promises


def test_a_reminder_that_was_under_way_may_come_after_the_answer() -> None:
    alert = an_alert()
    reminder = a_reminder(alert, at=REMINDED_AT + 15)
    under_way = Post(arrived_at=REMINDED_AT, answered_at=REMINDED_AT + 15, spoiled=True)

    run = a_run(
        alert,
        presses=presses(alert, "yes", at=REMINDED_AT - 1),
        reminders=[reminder],
        posts={place_of(reminder): under_way},
    )

    assert judge(run) == []


def a_late_question(alert: Alert) -> History:
    """Return a run in which nobody could be asked in time, and then was."""
    at = RECEIVED_AT + EXPIRE_AFTER_SECONDS + 1
    return a_run(
        alert,
        presses=[],
        messages=[a_question(alert, ts=at + 5, answer="")],
        reports=[a_report(alert, "undeliverable", reason="not_asked_in_time", at=at, after=LATE)],
        cards=[a_card(alert, "undeliverable")],
    )


def test_who_could_not_be_asked_in_time_is_given_up_for_now() -> None:
    assert judge(a_late_question(an_alert())) == []


def test_nobody_is_given_up_before_the_time() -> None:
    alert = an_alert()
    at = RECEIVED_AT + EXPIRE_AFTER_SECONDS - 1
    early = a_report(alert, "undeliverable", reason="not_asked_in_time", at=at, after=LATE)

    assert broken(replace(a_late_question(alert), reports=[early])) == {Promise.EARLY}


def test_who_is_given_up_for_now_is_asked_in_the_end() -> None:
    assert broken(replace(a_late_question(an_alert()), messages=[])) == {Promise.LOST}


def test_a_worker_that_died_of_its_question_may_not_know_that_it_asked() -> None:
    alert = an_alert()
    death = End(wanted="kill", status="SIGKILL", seconds=0.1, at=ASKED_AT + 1)

    run = replace(a_late_question(alert), messages=[a_question(alert, answer="")], ends=[death])

    assert judge(run) == []


def test_a_deadline_does_not_come_after_the_report_of_an_answer() -> None:
    alert = an_alert()
    second = a_report(alert, "timedOut", sequence=1, at=DEADLINE + 1, after=LATE)

    run = a_run(alert, reports=[a_report(alert, "yes"), second], cards=[a_card(alert, "timedOut")])

    assert Promise.OVERRULED in broken(run)


def test_a_question_that_nobody_answers_ends() -> None:
    run = a_silent_run(an_alert(), reports=[])

    assert broken(run) == {Promise.OPEN}


def a_late_answer(alert: Alert, outcome: str, **facts: Any) -> History:
    """Return a run in which somebody says *yes* when the time is over, and what is reported then."""
    run = a_silent_run(alert)
    return replace(
        run,
        presses=presses(alert, "yes", at=DEADLINE + 20),
        messages=[a_question(alert)],
        reports=[*run.reports, a_report(alert, outcome, sequence=1, after=LATE + 20, **facts)],
        cards=[a_card(alert, "yes")],
    )


def test_a_late_answer_replaces_what_the_bot_decided() -> None:
    assert judge(a_late_answer(an_alert(), "yes")) == []


def test_a_late_answer_that_replaces_nothing_is_found() -> None:
    run = a_late_answer(an_alert(), "timedOut", said="yes")

    assert broken(run) == {Promise.UNREPLACED}


def test_a_late_answer_that_is_not_reported_is_found() -> None:
    run = a_late_answer(an_alert(), "yes")

    assert Promise.UNREPORTED in broken(replace(run, reports=run.reports[:1]))


def a_retraction(alert: Alert, outcome: str, **facts: Any) -> History:
    """Return a run in which somebody turns *no* into *yes*, and what is reported then."""
    return a_no(
        alert,
        presses=presses(alert, "no", "yes"),
        messages=[a_question(alert, answer=STILL)],
        reports=[a_report(alert, "no"), a_report(alert, outcome, sequence=1, after=6, **facts)],
        cards=[a_card(alert, "no", said_later="Yes, that was me")],
    )


def test_a_no_stays_escalated() -> None:
    assert judge(a_retraction(an_alert(), "no", said="yes", retracted=True)) == []


def test_a_no_that_a_yes_silences_is_found() -> None:
    assert broken(a_retraction(an_alert(), "yes")) == {Promise.SILENCED}


def test_a_note_is_reported() -> None:
    alert = an_alert()
    note = Note(identifier=alert.identifier, text="I was away", tries=1, acknowledged=True)

    assert broken(a_no(alert, notes=[note])) == {Promise.UNNOTED}


def a_noted(alert: Alert, *, shown: str, tries: int = 1) -> History:
    """Return a run in which somebody writes a note, and what the card shows of it."""
    note = Note(identifier=alert.identifier, text="I was away", tries=tries)
    comment = a_report(alert, "no", sequence=1, after=6, said="no", comment="I was away")
    card = a_card(alert, "no", note=shown)
    return a_no(alert, notes=[note], reports=[a_report(alert, "no"), comment], cards=[card])


def test_a_note_that_slack_calls_failed_may_have_been_taken() -> None:
    assert judge(a_noted(an_alert(), shown="I was away")) == []


def test_a_note_that_nobody_wrote_is_made_up() -> None:
    run = a_noted(an_alert(), shown="I was away")

    assert broken(replace(run, notes=[])) == {Promise.UNNOTED}


def test_a_card_shows_the_note() -> None:
    assert broken(a_noted(an_alert(), shown="")) == {Promise.STALE}


def test_an_alert_that_is_escalated_has_a_card() -> None:
    assert broken(a_no(an_alert(), cards=[])) == {Promise.CARDLESS}


def test_an_alert_about_which_nobody_could_be_asked_has_a_card() -> None:
    alert = an_alert(Kind.UNKNOWN)
    report = a_report(alert, "undeliverable", reason="users_not_found")

    run = a_run(alert, presses=[], messages=[], reports=[report])

    assert broken(run) == {Promise.CARDLESS}


def test_an_alert_whose_policy_wants_no_card_has_none() -> None:
    alert = an_alert(carded=False)

    assert judge(a_no(alert, cards=[])) == []
    assert broken(a_no(alert)) == {Promise.DOUBLED}


def test_a_card_shows_who_took_the_alert() -> None:
    alert = an_alert()

    assert broken(a_no(alert, taken={alert.identifier})) == {Promise.STALE}
    assert judge(a_no(alert, taken={alert.identifier}, cards=[a_card(alert, "no", last="taken")])) == []


def two_cards(alert: Alert, **changes: Any) -> History:
    """Return a run with an old card and the one that shows what stands."""
    both = [a_card(alert, "timedOut"), a_card(alert, "no", at=ANSWERED_AT + 60)]
    return a_no(alert, cards=both, **changes)


def test_a_second_card_needs_a_reason() -> None:
    assert broken(two_cards(an_alert())) == {Promise.DOUBLED}


def test_a_card_whose_post_was_ambiguous_may_be_repeated() -> None:
    alert = an_alert()
    place = place_of(a_card(alert, "timedOut"))
    post = Post(arrived_at=ANSWERED_AT, answered_at=ANSWERED_AT, spoiled=True)

    assert judge(two_cards(alert, posts={place: post})) == []


def test_a_card_whose_worker_died_of_it_may_be_repeated() -> None:
    death = End(wanted="kill", status="SIGKILL", seconds=0.1, at=ANSWERED_AT + 1)

    assert judge(two_cards(an_alert(), ends=[death])) == []


def test_a_card_whose_worker_died_long_after_may_not_be_repeated() -> None:
    death = End(wanted="kill", status="SIGKILL", seconds=0.1, at=ANSWERED_AT + 40)

    assert broken(two_cards(an_alert(), ends=[death])) == {Promise.DOUBLED}


def test_a_changed_mind_is_shown_as_one() -> None:
    alert = an_alert()
    run = a_no(
        alert,
        presses=presses(alert, "yes", "no"),
        reports=[a_report(alert, "yes"), a_report(alert, "no", sequence=1, after=6)],
    )

    assert broken(run) == {Promise.UNSHOWN}
    assert judge(replace(run, messages=[a_question(alert, answer=CHANGED.format(answer=ALERTED))])) == []
