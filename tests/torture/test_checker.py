"""The checker must be able to fail: each promise is broken once, by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from .alerts import Alert, Kind
from .answers import why_unexplained
from .any_run import (
    ALERTED,
    CHANGED,
    RECEIVED_AT,
    SORRY,
    THANKS,
    a_card,
    a_question,
    a_report,
    a_run,
    an_alert,
    broken,
    presses,
)
from .checker import judge
from .history import End, History, Restored
from .log_rules import leaks, unexpected
from .orders import HOLD_SECONDS
from .promises import Promise


def test_a_run_in_which_all_went_well_breaks_no_promise() -> None:
    assert judge(a_run(an_alert())) == []


def test_a_deleted_request_that_was_never_asked_is_lost() -> None:
    run = a_run(an_alert(), presses=[], messages=[], reports=[])

    assert broken(run) == {Promise.LOST}


def test_a_request_for_nobody_is_lost_if_it_is_not_reported() -> None:
    run = a_run(an_alert(Kind.UNKNOWN), presses=[], messages=[], reports=[])

    assert broken(run) == {Promise.LOST}


#: What a run with this fault looks like, and which promises it breaks.
CASES: dict[str, tuple[Callable[[Alert], History], set[Promise]]] = {
    "two questions of one alert are one too many": (
        lambda alert: a_run(alert, messages=[a_question(alert), a_question(alert, ts=1002.0)]),
        {Promise.TWICE},
    ),
    "a question in another conversation is misdirected": (
        lambda alert: a_run(alert, messages=[a_question(alert, channel="D0SOMEBODY")]),
        {Promise.MISDIRECTED},
    ),
    "a question tells the facts of its request": (
        lambda alert: a_run(alert, messages=[a_question(replace(alert, facts="Host: another"))]),
        {Promise.MISTOLD},
    ),
    "nobody who can be asked is given up": (
        lambda alert: a_run(
            alert,
            presses=[],
            messages=[a_question(alert, answer="")],
            reports=[a_report(alert, "undeliverable", reason="users_not_found")],
            cards=[a_card(alert, "undeliverable")],
        ),
        {Promise.GIVEN_UP},
    ),
    "an acknowledged change of mind needs a report": (
        lambda alert: a_run(alert, presses=presses(alert, "yes", "no")),
        {Promise.UNREPORTED},
    ),
    "a report that comes before mozdef knows the alert is unheard": (
        lambda alert: a_run(alert, reports=[a_report(alert, "yes", after=-1)]),
        {Promise.UNHEARD},
    ),
    "a message shows the answer": (
        lambda alert: a_run(alert, messages=[a_question(alert, answer="")]),
        {Promise.UNSHOWN},
    ),
    "a message shows the last answer and no other": (
        lambda alert: a_run(alert, messages=[a_question(alert, answer=ALERTED)]),
        {Promise.UNSHOWN},
    ),
    "a report that the queue refuses for good is not missed": (
        lambda alert: a_run(alert, reports=[], refused=frozenset({alert.identifier})),
        set(),
    ),
}


@pytest.mark.parametrize(("make", "promises"), CASES.values(), ids=CASES)
def test_a_run_breaks_these_promises_and_no_other(
    make: Callable[[Alert], History], promises: set[Promise]
) -> None:
    assert broken(make(an_alert())) == promises


def test_an_acknowledged_answer_needs_a_report() -> None:
    assert Promise.UNREPORTED in broken(a_run(an_alert(), reports=[]))


def test_an_answer_that_only_a_forger_gave_is_forged() -> None:
    alert = an_alert()
    [press] = presses(alert, "yes")
    press.honest = False

    assert broken(a_run(alert, presses=[press])) == {Promise.FORGED}


def test_first_outcomes_may_not_differ() -> None:
    alert = an_alert()
    again = a_report(alert, "no", eventId="another")

    assert Promise.CONFLICTING in broken(a_run(alert, reports=[a_report(alert, "yes"), again]))


def test_a_repeat_must_be_the_same_to_the_byte() -> None:
    alert = an_alert()
    report = a_report(alert, "yes")

    run = a_run(alert, reports=[report, replace(report, body=report.body + " ")])

    assert Promise.ALTERED in broken(run)


def test_a_repeat_that_is_the_same_to_the_byte_is_fine_even_after_a_later_report() -> None:
    alert = an_alert()
    first, second = a_report(alert, "yes"), a_report(alert, "no", sequence=1, after=6)

    run = a_run(
        alert,
        presses=presses(alert, "yes", "no"),
        messages=[a_question(alert, answer=CHANGED.format(answer=ALERTED))],
        reports=[first, second, first],
        cards=[a_card(alert, "no")],
    )

    assert judge(run) == []


def test_reports_come_in_their_order() -> None:
    alert = an_alert()
    first, second = a_report(alert, "yes", after=6), a_report(alert, "no", sequence=1)

    run = a_run(alert, presses=presses(alert, "yes", "no"), reports=[second, first])

    assert Promise.DISORDERLY in broken(run)


def test_two_reports_of_one_alert_are_five_seconds_apart() -> None:
    alert = an_alert()
    first, second = a_report(alert, "yes"), a_report(alert, "no", sequence=1, after=4)

    run = a_run(
        alert,
        presses=presses(alert, "yes", "no"),
        messages=[a_question(alert, answer=CHANGED.format(answer=ALERTED))],
        reports=[first, second],
        cards=[a_card(alert, "no")],
    )

    assert broken(run) == {Promise.DISORDERLY}


def test_a_report_that_repeats_what_mozdef_knows_is_unheard() -> None:
    alert = an_alert()
    first = a_report(alert, "notSure")
    second = a_report(alert, "wrongUser", sequence=1, after=6)

    run = a_run(
        alert,
        presses=presses(alert, "notSure", "wrongUser"),
        messages=[a_question(alert, answer=CHANGED.format(answer=SORRY))],
        reports=[first, second],
        cards=[a_card(alert, "wrongUser")],
    )

    assert broken(run) == {Promise.UNHEARD}


def test_a_valid_request_has_no_place_in_the_dead_letter_queue() -> None:
    alert = an_alert()
    copy = replace(a_report(alert, "yes"), body=alert.body)

    assert broken(a_run(alert, dead_letters=[copy])) == {Promise.MISJUDGED}


def test_an_invalid_request_is_copied() -> None:
    run = a_run(an_alert(Kind.UNREADABLE), presses=[], messages=[], reports=[])

    assert broken(run) == {Promise.UNCOPIED}


def test_a_request_that_stays_in_the_queue_is_left() -> None:
    assert broken(a_run(an_alert(), deleted={})) == {Promise.LEFT}


def test_a_worker_that_ends_by_itself_has_fallen() -> None:
    ends = [
        End(wanted="kill", status="SIGKILL", seconds=0.1),
        End(wanted="kill", status="exit code 1", seconds=0.1),
        End(wanted="term", status="exit code 0", seconds=11.0),
    ]

    found = judge(a_run(an_alert(), ends=ends))

    assert [violation.promise for violation in found] == [Promise.FALLEN, Promise.FALLEN]


@pytest.mark.parametrize(
    ("sequence", "restores", "found"),
    [(100, 1, set()), (100, 0, {Promise.DISORDERLY}), (50, 1, {Promise.DISORDERLY})],
)
def test_reports_go_on_from_the_next_hundred_only_after_a_restore(
    sequence: int, restores: int, found: set[Promise]
) -> None:
    alert = an_alert()
    run = a_run(alert, reports=[a_report(alert, "yes", sequence=sequence)], whole_restores=restores)

    assert broken(run) == found


@pytest.mark.parametrize(
    ("shown", "after", "found"),
    [(THANKS, 9, {Promise.OVERRULED}), (THANKS, 1, set()), ("", 9, set())],
    ids=["after the restore", "before it", "without an answer"],
)
def test_no_deadline_is_told_of_an_answer_that_a_restored_worker_can_read_not_even_as_a_note(
    shown: str, after: float, found: set[Promise]
) -> None:
    alert = an_alert()
    restored = Restored(at=RECEIVED_AT + HOLD_SECONDS + 5, shown={alert.key: shown})
    note = a_report(alert, "timedOut", note=True, sequence=100, after=after)

    assert broken(a_run(alert, reports=[note], restores=[restored])) == found


def test_a_secret_in_the_log_is_a_leak() -> None:
    log = ["asked somebody", "token xoxb-torture", "for p7@example.com", "question asked"]

    assert leaks(log, level="INFO") == ["token xoxb-torture", "for p7@example.com"]
    assert leaks(log, level="DEBUG") == ["token xoxb-torture"]
    assert broken(a_run(an_alert(), leaks=leaks(log, level="INFO"))) == {Promise.LEAKED}


def test_an_error_that_nobody_expected_is_found_in_the_log() -> None:
    log = [
        *("INFO asked", "ERROR work failed", "  Traceback (most recent call last):", "  KeyError: 'x'"),
        *("WARNING done", "Traceback (most recent call last):", "  SyntaxError"),
    ]

    assert unexpected(log) == ["ERROR work failed", "Traceback (most recent call last):"]
    assert broken(a_run(an_alert(), surprises=unexpected(log))) == {Promise.UNEXPECTED}


def test_a_press_that_slack_calls_failed_may_have_been_taken_or_not() -> None:
    alert = an_alert()
    failed = presses(alert, "yes", acknowledged=False)

    assert why_unexplained([*failed, *presses(alert, "no")], ["no"]) is None
    assert why_unexplained([*failed, *presses(alert, "no")], ["yes", "no"]) is None
