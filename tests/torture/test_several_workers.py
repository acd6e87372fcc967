"""What the checker excuses where several workers share a table, and what it does not."""

from __future__ import annotations

from typing import Any

from .alerts import Alert, Kind
from .any_run import ANSWERED_AT, RECEIVED_AT, a_card, a_report, a_run, an_alert, broken
from .checker import judge
from .history import End, History, Post
from .orders import EXPIRE_AFTER_SECONDS
from .promises import Promise

GIVEN_UP_AT = RECEIVED_AT + EXPIRE_AFTER_SECONDS + 1


def two_cards_of(worker: str, *, killed: str) -> History:
    """Return a run in which a worker posts a card, some worker is killed, and the card is posted again."""
    alert = an_alert(Kind.UNKNOWN)
    first, second = [a_card(alert, "undeliverable", at=ANSWERED_AT + after) for after in (0, 60)]
    post = Post(arrived_at=ANSWERED_AT, answered_at=ANSWERED_AT, spoiled=False, worker=worker)
    death = End(wanted="kill", status="SIGKILL", seconds=0.1, at=ANSWERED_AT + 1, worker=killed)
    return a_run(
        alert,
        presses=[],
        messages=[],
        reports=[a_report(alert, "undeliverable", reason="users_not_found")],
        cards=[first, second],
        posts={(first.channel, first.ts): post},
        ends=[death],
    )


def test_a_card_may_be_repeated_whose_own_worker_was_killed() -> None:
    assert judge(two_cards_of("2", killed="2")) == []


def test_the_death_of_another_worker_excuses_nothing() -> None:
    assert broken(two_cards_of("2", killed="3")) == {Promise.DOUBLED}


def test_every_death_is_an_excuse_where_nobody_knows_who_posted() -> None:
    assert judge(two_cards_of("", killed="3")) == []


def given_up_twice(alert: Alert, **facts: Any) -> History:
    """Return a run in which somebody is not asked in time, and the bot decides once more after that."""
    late = a_report(alert, "undeliverable", reason="not_asked_in_time", at=GIVEN_UP_AT, after=200)
    later = a_report(alert, "undeliverable", sequence=1, after=210, at=GIVEN_UP_AT + 9, **facts)
    card = a_card(alert, "undeliverable", at=GIVEN_UP_AT)
    return a_run(alert, presses=[], messages=[], reports=[late, later], cards=[card])


def test_a_note_may_say_why_somebody_who_was_not_asked_in_time_never_will_be() -> None:
    alert = an_alert(Kind.DEACTIVATED)

    assert judge(given_up_twice(alert, reason="users_not_found", said="")) == []


def test_the_bot_decides_no_second_time_over_somebody_who_can_be_asked() -> None:
    alert = an_alert()

    assert Promise.OVERRULED in broken(given_up_twice(alert, reason="users_not_found", said=""))


def test_the_bot_does_not_give_up_twice_for_want_of_time() -> None:
    alert = an_alert(Kind.DEACTIVATED)

    assert broken(given_up_twice(alert, reason="not_asked_in_time", said="")) == {Promise.OVERRULED}
