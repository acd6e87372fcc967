"""The checker must be able to fail: each promise about time, notes and the security team is broken once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from wording import WORDING, as_read

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
    a_burst_line,
    a_card,
    a_line,
    a_question,
    a_reminder,
    a_report,
    a_run,
    an_alert,
    broken,
    presses,
)
from .history import CardAction, End, History, Note, Post
from .log_rules import timed_out
from .orders import EXPIRE_AFTER_SECONDS, REMIND_AFTER_SECONDS
from .promises import Promise

DEADLINE = ASKED_AT + EXPIRE_AFTER_SECONDS
REMINDED_AT = ASKED_AT + REMIND_AFTER_SECONDS + 1
GIVEN_UP_AT = RECEIVED_AT + EXPIRE_AFTER_SECONDS + 1

#: A line of a worker's log, without the identifier.
_TIMED_OUT = "12:00 WARNING card.delayed Slack's answer was lost (TimeoutError ) identifier={}"

#: How much later than MozDef is ready for it a report about the deadline is sent.
LATE = EXPIRE_AFTER_SECONDS


def a_silent_run(alert: Alert, **changes: Any) -> History:
    """Return a run in which the person is reminded twice and never answers."""
    silence = {
        "presses": [],
        "messages": [a_question(alert, answer=IS_OVER)],
        "reminders": reminders(alert, 2),
        "reports": [a_report(alert, "timedOut", at=DEADLINE + 1, after=LATE)],
        "cards": [a_card(alert, "timedOut", at=DEADLINE + 2)],
    }
    return a_run(alert, **{**silence, **changes})


def reminders(alert: Alert, count: int) -> list[Message]:
    return [a_reminder(alert, at=REMINDED_AT + n * REMIND_AFTER_SECONDS, number=n + 1) for n in range(count)]


def a_delayed_reminder(alert: Alert) -> History:
    """Return a run in which a reminder that was under way comes after the answer."""
    reminder = a_reminder(alert, at=REMINDED_AT + 15)
    under_way = Post(arrived_at=REMINDED_AT, answered_at=REMINDED_AT + 15, spoiled=True)
    answered = presses(alert, "yes", at=REMINDED_AT - 1)
    return a_run(alert, presses=answered, reminders=[reminder], posts={place_of(reminder): under_way})


def a_deed(alert: Alert, kind: str = "take", **facts: Any) -> CardAction:
    done: dict[str, Any] = {"acknowledged": True, **facts}
    return CardAction(identifier=alert.identifier, kind=kind, by="U0P0000001", **done)


def a_no(alert: Alert, **changes: Any) -> History:
    """Return a run in which the person says that it was not them."""
    answer = {
        "presses": presses(alert, "no"),
        "messages": [a_question(alert, answer=ALERTED)],
        "reports": [a_report(alert, "no")],
        "cards": [a_card(alert, "no")],
    }
    return a_run(alert, **{**answer, **changes})


def a_late_question(alert: Alert, **changes: Any) -> History:
    """Return a run in which nobody could be asked in time, and then was."""
    run = a_run(
        alert,
        presses=[],
        messages=[a_question(alert, ts=GIVEN_UP_AT + 5, answer="")],
        reports=[given_up(alert, at=GIVEN_UP_AT)],
        cards=[a_card(alert, "undeliverable")],
    )
    return replace(run, **changes)


def given_up(alert: Alert, *, at: float, **facts: Any) -> Any:
    return a_report(
        alert, "undeliverable", **{"reason": "not_asked_in_time", "at": at, "after": LATE, **facts}
    )


def given_up_twice(kind: Kind, reason: str) -> History:
    """Return a run in which somebody is not asked in time, and the bot decides once more after that."""
    alert = an_alert(kind)
    later = given_up(alert, at=GIVEN_UP_AT + 9, sequence=1, after=LATE + 60, reason=reason, said="")
    reports = [given_up(alert, at=GIVEN_UP_AT), later]
    return a_late_question(alert, messages=[], reports=reports)


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


def a_retraction(alert: Alert, outcome: str, **facts: Any) -> History:
    """Return a run in which somebody turns *no* into *yes*, and what is reported then."""
    return a_no(
        alert,
        presses=presses(alert, "no", "yes"),
        messages=[a_question(alert, answer=STILL)],
        reports=[a_report(alert, "no"), a_report(alert, outcome, sequence=1, after=6, **facts)],
        cards=[a_card(alert, "no", said_later="Yes, that was me")],
    )


def a_change(alert: Alert, answer: str) -> History:
    """Return a run in which somebody turns *yes* into *no*, and what their message shows then."""
    return a_no(
        alert,
        presses=presses(alert, "yes", "no"),
        messages=[a_question(alert, answer=answer)],
        reports=[a_report(alert, "yes"), a_report(alert, "no", sequence=1, after=6)],
    )


def a_noted(alert: Alert, *, shown: str) -> History:
    """Return a run in which somebody writes a note, and what the card shows of it."""
    comment = a_report(alert, "no", sequence=1, after=6, said="no", comment="I was away")
    card = a_card(alert, "no", note=shown)
    return a_no(alert, notes=[a_note(alert)], reports=[a_report(alert, "no"), comment], cards=[card])


def a_note(alert: Alert, *, acknowledged: bool = False) -> Note:
    return Note(identifier=alert.identifier, text="I was away", tries=1, acknowledged=acknowledged)


def two_cards(alert: Alert, **changes: Any) -> History:
    """Return a run with an old card and the one that shows what counts."""
    both = [a_card(alert, "timedOut"), a_card(alert, "no", at=ANSWERED_AT + 60)]
    return a_no(alert, cards=both, **changes)


def an_uncarded_stranger() -> History:
    """Return a run about somebody whom nobody knows, and about whom there is no card."""
    alert = an_alert(Kind.UNKNOWN)
    report = a_report(alert, "undeliverable", reason="users_not_found")
    return a_run(alert, presses=[], messages=[], reports=[report])


def posted_by(card: Message, worker: str = "", *, spoiled: bool = False) -> dict[tuple[str, str], Post]:
    post = Post(arrived_at=ANSWERED_AT, answered_at=ANSWERED_AT, spoiled=spoiled, worker=worker)
    return {place_of(card): post}


def two_cards_of(worker: str, *, killed: str) -> History:
    """Return a run in which a worker posts a card, some worker is killed, and the card is posted again."""
    run = two_cards(an_alert(), ends=[a_death(after=1, worker=killed)])
    return replace(run, posts=posted_by(run.cards[0], worker))


def two_cards_around_a_freeze(*, first: str, second: str) -> History:
    """Return a run in which worker 2 is suspended from the first card until after the second."""
    run = two_cards(an_alert(), suspensions=[("2", ANSWERED_AT + 1, ANSWERED_AT + 70)])
    times = {first: ANSWERED_AT, second: ANSWERED_AT + 60}
    posts = [Post(arrived_at=at, answered_at=at, spoiled=False, worker=each) for each, at in times.items()]
    return replace(run, posts=dict(zip(map(place_of, run.cards), posts, strict=True)))


def a_death(*, at: float = ANSWERED_AT, after: float, worker: str = "") -> End:
    return End(wanted="kill", status="SIGKILL", seconds=0.1, at=at + after, worker=worker)


def place_of(message: Message) -> tuple[str, str]:
    return message.channel, message.ts


#: What a run with this fault looks like, and which promises it breaks.
CASES: dict[str, tuple[Callable[[Alert], History], set[Promise]]] = {
    "somebody may never answer": (a_silent_run, set()),
    "a third reminder is one too many": (
        lambda alert: a_silent_run(alert, reminders=reminders(alert, 3)),
        {Promise.NAGGED},
    ),
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
    "a reminder is in the thread of its question": (
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
    "a reminder that was under way may come after the answer": (a_delayed_reminder, set()),
    "a deadline does not come early": (
        lambda alert: a_silent_run(alert, reports=[a_report(alert, "timedOut", at=DEADLINE - 1, after=LATE)]),
        {Promise.EARLY},
    ),
    "nobody runs out of time who was not asked": (
        lambda alert: a_silent_run(alert, messages=[], reminders=[]),
        {Promise.LOST, Promise.EARLY},
    ),
    "a question that nobody answers ends": (lambda alert: a_silent_run(alert, reports=[]), {Promise.OPEN}),
    "a deadline does not overrule an answer": (
        lambda alert: a_silent_run(alert, presses=presses(alert, "yes", at=DEADLINE - 30)),
        {Promise.OVERRULED, Promise.UNREPORTED},
    ),
    "a deadline does not come after the report of an answer": (
        lambda alert: a_run(
            alert,
            reports=[
                a_report(alert, "yes"),
                a_report(alert, "timedOut", sequence=1, at=DEADLINE + 1, after=LATE),
            ],
            cards=[a_card(alert, "timedOut")],
        ),
        {Promise.OVERRULED, Promise.UNSHOWN, Promise.STALE},
    ),
    "who could not be asked in time is given up for now": (a_late_question, set()),
    "nobody is given up before the time": (
        lambda alert: a_late_question(alert, reports=[given_up(alert, at=GIVEN_UP_AT - 2)]),
        {Promise.EARLY},
    ),
    "who is given up for now is asked in the end": (
        lambda alert: a_late_question(alert, messages=[]),
        {Promise.LOST},
    ),
    "who is given up for now may then wait for a place until the end": (
        lambda alert: a_late_question(alert, messages=[], burst_lines=[a_burst_line(alert)]),
        set(),
    ),
    "who was asked is not reported as unasked": (
        lambda alert: a_late_question(alert, messages=[a_question(alert, answer="")]),
        {Promise.GIVEN_UP},
    ),
    "a worker that died of its question may not know that it asked": (
        lambda alert: a_late_question(
            alert, messages=[a_question(alert, answer="")], ends=[a_death(at=ASKED_AT, after=1)]
        ),
        set(),
    ),
    "a note may say why somebody who was not asked in time never will be": (
        lambda _: given_up_twice(Kind.DEACTIVATED, "users_not_found"),
        set(),
    ),
    "the bot decides no second time over somebody who can be asked": (
        lambda _: given_up_twice(Kind.ASKABLE, "users_not_found"),
        {Promise.LOST, Promise.OVERRULED, Promise.GIVEN_UP},
    ),
    "the bot does not give up twice for want of time": (
        lambda _: given_up_twice(Kind.DEACTIVATED, "not_asked_in_time"),
        {Promise.OVERRULED},
    ),
    "a late answer replaces what the bot decided": (lambda alert: a_late_answer(alert, "yes"), set()),
    "a late answer that replaces nothing is found": (
        lambda alert: a_late_answer(alert, "timedOut", said="yes"),
        {Promise.UNREPLACED},
    ),
    "a late answer that is not reported is found": (
        lambda alert: replace(a_late_answer(alert, "yes"), reports=a_silent_run(alert).reports),
        {Promise.UNREPORTED, Promise.UNSHOWN, Promise.STALE},
    ),
    "what a card shows is not judged where the report of it is missing": (
        lambda alert: a_no(alert, reports=[a_report(alert, "no", sequence=1, comment="A note.")]),
        {Promise.UNREPORTED, Promise.DISORDERLY, Promise.UNSHOWN, Promise.SILENCED, Promise.UNNOTED},
    ),
    "a no stays escalated": (lambda alert: a_retraction(alert, "no", said="yes", retracted=True), set()),
    "a no that a yes silences is found": (lambda alert: a_retraction(alert, "yes"), {Promise.SILENCED}),
    "a changed mind is shown as one": (lambda alert: a_change(alert, CHANGED.format(answer=ALERTED)), set()),
    "a changed mind is not shown as a first answer": (
        lambda alert: a_change(alert, ALERTED),
        {Promise.UNSHOWN},
    ),
    "a note is reported": (
        lambda alert: a_no(alert, notes=[a_note(alert, acknowledged=True)]),
        {Promise.UNNOTED},
    ),
    "a note that slack calls failed may have been taken": (
        lambda alert: a_noted(alert, shown="I was away"),
        set(),
    ),
    "a note that nobody wrote is made up": (
        lambda alert: replace(a_noted(alert, shown="I was away"), notes=[]),
        {Promise.UNNOTED},
    ),
    "a card shows the note": (lambda alert: a_noted(alert, shown=""), {Promise.STALE}),
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
    "a card that does not show who took the alert is stale": (
        lambda alert: a_no(alert, card_actions=[a_deed(alert)]),
        {Promise.STALE},
    ),
    "a card shows who took the alert": (
        lambda alert: a_no(alert, card_actions=[a_deed(alert)], cards=[a_card(alert, "no", taken_by="@p1")]),
        set(),
    ),
    "a card shows who was handed the alert last": (
        lambda alert: a_no(
            alert,
            card_actions=[a_deed(alert), a_deed(alert, "hand over", to="U0P0000002")],
            cards=[a_card(alert, "no", taken_by="@p1")],
        ),
        {Promise.STALE},
    ),
    "a release that slack calls failed may have been taken": (
        lambda alert: a_no(
            alert,
            card_actions=[a_deed(alert), a_deed(alert, "release", acknowledged=False)],
            cards=[a_card(alert, "no", taken_by="@p1")],
        ),
        set(),
    ),
    "an alert that an intruder took": (
        lambda alert: a_no(
            alert, card_actions=[a_deed(alert, honest=False)], cards=[a_card(alert, "no", taken_by="@p1")]
        ),
        {Promise.INTRUDED, Promise.STALE},
    ),
    "a line that names an intruder": (
        lambda alert: a_no(
            alert,
            card_actions=[a_deed(alert, "release", honest=False)],
            cards=[a_card(alert, "no")],
            lines=[a_line(as_read(WORDING["card"]["released_line"], who="@p1"))],
        ),
        {Promise.INTRUDED},
    ),
    "a line that names who took it": (
        lambda alert: a_no(
            alert,
            card_actions=[a_deed(alert), a_deed(alert, "release")],
            cards=[a_card(alert, "no")],
            lines=[a_line(as_read(WORDING["card"]["taken_line"], who="@p1"))],
        ),
        set(),
    ),
    "an alert that is escalated has a card": (lambda alert: a_no(alert, cards=[]), {Promise.CARDLESS}),
    "an alert about which nobody could be asked has a card": (
        lambda _: an_uncarded_stranger(),
        {Promise.CARDLESS},
    ),
    "an alert whose policy wants no card needs none": (
        lambda _: a_no(an_alert(carded=False), cards=[]),
        set(),
    ),
    "an alert whose policy wants no card has none": (
        lambda _: a_no(an_alert(carded=False)),
        {Promise.DOUBLED},
    ),
    "a second card needs a reason": (two_cards, {Promise.DOUBLED}),
    "a card whose post was ambiguous may be repeated": (
        lambda alert: two_cards(alert, posts=posted_by(a_card(alert, "timedOut"), spoiled=True)),
        set(),
    ),
    "a card whose post timed out, by the log, may be repeated": (
        lambda alert: two_cards(alert, timed_out=timed_out([_TIMED_OUT.format(alert.identifier)])),
        set(),
    ),
    "a card may not be repeated because another's post timed out": (
        lambda alert: two_cards(alert, timed_out=timed_out([_TIMED_OUT.format("another")])),
        {Promise.DOUBLED},
    ),
    "a card whose worker died of it may be repeated": (
        lambda alert: two_cards(alert, ends=[a_death(after=1)]),
        set(),
    ),
    "a card whose worker died long after may not be repeated": (
        lambda alert: two_cards(alert, ends=[a_death(after=40)]),
        {Promise.DOUBLED},
    ),
    "of several workers the one that posted is excused by its death": (
        lambda _: two_cards_of("2", killed="2"),
        set(),
    ),
    "of several workers none is excused by the death of another": (
        lambda _: two_cards_of("2", killed="3"),
        {Promise.DOUBLED},
    ),
    "no other worker knows of a card whose worker was suspended": (
        lambda _: two_cards_around_a_freeze(first="2", second="3"),
        set(),
    ),
    "a worker does not repeat a card because another was suspended": (
        lambda _: two_cards_around_a_freeze(first="3", second="4"),
        {Promise.DOUBLED},
    ),
    "every death is an excuse where nobody knows who posted": (lambda _: two_cards_of("", killed="3"), set()),
}


@pytest.mark.parametrize(("make", "promises"), CASES.values(), ids=CASES)
def test_a_run_breaks_these_promises_and_no_other(
    make: Callable[[Alert], History], promises: set[Promise]
) -> None:
    assert broken(make(an_alert())) == promises
