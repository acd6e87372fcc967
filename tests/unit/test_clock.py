"""The time by which everything is decided: what services say, carried on by CLOCK_BOOTTIME."""

from __future__ import annotations

from datetime import timedelta

import pytest
from fakes import NOON
from hypothesis import given
from hypothesis import strategies as st
from machine import FakeMachine

from bot.clock import APART_MAX, PATIENCE, WIDTH_MAX, Service

SLACK, AWS = Service.SLACK, Service.AWS
DAY = 86400.0
TOO_LATE = "Fri, 31 Dec 9999 23:59:59 GMT"


def behind(machine: FakeMachine) -> float:
    return (machine.now - machine.clock()).total_seconds()


def test_before_the_first_answer_the_time_is_the_machines_and_nothing_is_known() -> None:
    machine = FakeMachine(ahead=DAY)

    assert machine.clock() == NOON + timedelta(days=1)
    assert (machine.clock.is_known, machine.clock.ahead, machine.clock.trouble) == (False, None, "")


@given(
    ahead=st.floats(-1e6, 1e6),
    moves=st.lists(
        st.tuples(
            st.sampled_from(["wait", "suspend", "step", "hear"]), st.floats(0, 1e5), st.sampled_from(Service)
        )
    ),
)
def test_it_is_never_ahead_and_at_most_five_seconds_behind(
    ahead: float, moves: list[tuple[str, float, Service]]
) -> None:
    machine = FakeMachine(ahead=ahead)
    machine.hear(SLACK)

    for move, seconds, service in moves:
        if move == "hear":
            machine.hear(service, took=seconds % 8)
        elif move == "step":
            machine.ahead = seconds - 5e4
        elif move == "suspend":
            machine.suspended += seconds
        else:
            machine.passed += seconds
        assert -0.001 <= behind(machine) <= machine.clock.lag.total_seconds() + 0.001 <= WIDTH_MAX + 0.01


def test_the_narrowest_bound_of_the_last_hour_counts_by_its_lower_end() -> None:
    machine = FakeMachine()
    machine.passed += 0.9
    machine.hear(SLACK, took=3)
    assert behind(machine) == pytest.approx(1.9)

    machine.hear(AWS, took=0.2)
    assert behind(machine) == pytest.approx(0.1, abs=0.001)
    machine.hear(SLACK, took=2)
    assert behind(machine) == pytest.approx(0.1, abs=0.001)

    machine.passed += 3601
    machine.hear(SLACK, took=2)
    assert 1 <= behind(machine) <= 3


@pytest.mark.parametrize(("took", "date"), [(20, None), (0, ""), (0, "yesterday"), (0, TOO_LATE)])
def test_an_answer_to_a_long_poll_or_without_a_date_tells_nothing(took: float, date: str | None) -> None:
    machine = FakeMachine(ahead=-DAY)

    machine.hear(AWS, took=took, date=date)

    assert (machine.clock.is_known, machine.clock.lag) == (False, timedelta(0))
    assert "nothing final is decided" in machine.clock.trouble
    machine.hear(AWS)
    assert (machine.clock.is_known, machine.clock.trouble) == (True, "")


def test_where_nobody_dates_their_answers_the_machines_clock_counts_after_ten_minutes_and_loudly() -> None:
    machine = FakeMachine(ahead=3.0)
    machine.hear(AWS, date="")
    machine.passed += PATIENCE - 1
    machine.hear(AWS, date="")
    assert "nothing final is decided" in machine.clock.trouble

    machine.passed += 1
    machine.hear(AWS, date="")

    assert machine.clock.is_known
    assert machine.clock() == machine.now + timedelta(seconds=3)
    assert "the machine's clock counts" in machine.clock.trouble
    machine.hear(SLACK)
    assert 0 <= behind(machine) <= 1
    assert machine.clock.trouble == ""


@pytest.mark.parametrize(("liar", "other"), [(SLACK, AWS), (AWS, SLACK)])
@pytest.mark.parametrize("first", [True, False])
def test_of_two_that_disagree_the_one_that_is_near_the_machines_clock_counts(
    liar: Service, other: Service, *, first: bool
) -> None:
    machine = FakeMachine(ahead=50)
    for service in (liar, other) if first else (other, liar):
        machine.hear(service, off=DAY if service is liar else 0)

    assert 0 <= behind(machine) <= 1
    assert f"near that of {other}, which counts" in machine.clock.trouble
    for _ in range(3):
        machine.hear(liar)
    assert machine.clock.trouble == ""


def test_where_neither_is_near_the_last_offset_stays() -> None:
    machine = FakeMachine(ahead=-DAY)
    machine.hear(SLACK)
    machine.hear(AWS, off=APART_MAX + 2)

    assert 0 <= behind(machine) <= 1
    assert "the time continues as before" in machine.clock.trouble


def test_one_server_whose_clock_is_wrong_changes_nothing() -> None:
    machine = FakeMachine()
    machine.hear(SLACK)
    for _ in range(5):
        machine.hear(SLACK, off=DAY)
        machine.hear(SLACK, off=DAY)
        machine.hear(SLACK)

    assert 0 <= behind(machine) <= 1


def test_after_a_pause_of_the_whole_machine_the_services_are_believed_again() -> None:
    machine = FakeMachine()
    machine.hear(SLACK)
    machine.paused = 600.0

    for _ in range(3):
        machine.hear(SLACK)

    assert 0 <= behind(machine) <= 1


def test_it_tells_how_far_the_machines_clock_is_ahead() -> None:
    machine = FakeMachine(ahead=90)
    machine.hear(AWS)

    assert machine.clock.ahead is not None
    assert 90 <= machine.clock.ahead.total_seconds() <= 91


def test_a_refusal_for_the_time_is_told_until_that_service_accepts_something() -> None:
    clock = FakeMachine().clock
    clock.note_refusal("sqs", "AWS refuses the time of this machine")
    clock.note_refusal("dynamodb")

    assert clock.trouble.startswith("AWS refuses the time of this machine; enable NTP")
    clock.note_refusal("sqs")
    assert clock.trouble == ""
