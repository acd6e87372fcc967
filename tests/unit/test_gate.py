"""Whether questions may be put at all: what happens while Slack takes nothing."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from asking_desk import Desk
from fakes import NOON

from bot.errors import CannotGoOn, TransientError
from bot.triage.model import State
from bot.triage.rate_limits import ABREAST_MAX, PROBE_INTERVAL, Gate

SECOND = timedelta(seconds=1)
REVOKED = CannotGoOn("token_revoked", remedy="Put a valid token into SLACK_BOT_TOKEN.")


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def gate() -> Gate:
    return Gate(spread=lambda: 1.0)


def test_an_open_gate_lets_all_pass_that_there_is_room_for(gate: Gate) -> None:
    assert gate.room(NOON, 100, under_way=7) == 100
    assert gate.room(NOON, ABREAST_MAX, under_way=7) == ABREAST_MAX - 7
    assert gate.room(NOON, 100, under_way=ABREAST_MAX + 1) == 0
    assert gate.opens_at(NOON) is None


def test_a_pause_shuts_it_until_its_end(gate: Gate) -> None:
    gate.pause(NOON + 30 * SECOND)

    assert gate.room(NOON + 29 * SECOND, 128, under_way=0) == 0
    assert gate.opens_at(NOON + 29 * SECOND) == NOON + 30 * SECOND
    assert gate.room(NOON + 30 * SECOND, 128, under_way=0) == 128
    assert gate.opens_at(NOON + 30 * SECOND) is None


def test_a_shorter_pause_does_not_end_a_longer_one(gate: Gate) -> None:
    gate.pause(NOON + 30 * SECOND)
    gate.pause(NOON + 5 * SECOND)

    assert gate.opens_at(NOON) == NOON + 30 * SECOND


def test_each_time_that_slack_asks_to_wait_half_as_many_are_let_through_afterwards(gate: Gate) -> None:
    now, rooms = NOON, []
    for _ in range(9):
        gate.slow_down(2 * SECOND, now)
        assert gate.room(now, ABREAST_MAX, under_way=0) == 0

        now += 2 * SECOND
        rooms.append(gate.room(now, ABREAST_MAX, under_way=0))

    assert rooms == [64, 32, 16, 8, 4, 2, 1, 1, 1]


def test_what_was_under_way_when_slack_asked_to_wait_is_the_same_refusal(gate: Gate) -> None:
    for tenths in range(10):
        gate.slow_down(2 * SECOND, NOON + tenths * SECOND / 10)

    assert gate.opens_at(NOON + SECOND) == NOON + 2.9 * SECOND
    assert gate.room(NOON + 3 * SECOND, ABREAST_MAX, under_way=0) == ABREAST_MAX // 2


def test_with_what_slack_takes_more_are_let_through_again_but_never_more_than_at_first() -> None:
    gate = Gate(spread=lambda: 1.0, abreast=8)
    gate.slow_down(SECOND, NOON)
    later, rooms = NOON + SECOND, []
    for _ in range(6):
        for _ in range(2):
            gate.resume()
        rooms.append(gate.room(later, ABREAST_MAX, under_way=0))

    assert rooms == [5, 6, 7, 8, 8, 8]


def test_a_refused_worker_tries_once_every_half_minute_with_one_question(gate: Gate) -> None:
    now = NOON
    for _ in range(5):
        gate.halt(REVOKED, now)
        assert gate.room(now, 128, under_way=0) == 0
        assert gate.opens_at(now) == now + PROBE_INTERVAL

        now += PROBE_INTERVAL
        assert gate.room(now, 128, under_way=0) == 1
        assert gate.room(now, 128, under_way=1) == 0


@pytest.mark.parametrize(("spread", "seconds"), [(0.0, 15), (0.5, 22.5), (1.0, 30)])
def test_the_tries_of_many_workers_are_spread(spread: float, seconds: float) -> None:
    gate = Gate(spread=lambda: spread)

    gate.halt(REVOKED, NOON)

    assert gate.opens_at(NOON) == NOON + seconds * SECOND


def test_a_question_that_slack_took_opens_it(gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    gate.halt(REVOKED, NOON)
    assert gate.halted_by == "token_revoked"

    gate.resume()

    assert gate.halted_by == ""
    assert gate.room(NOON + PROBE_INTERVAL, 100, under_way=5) == 100
    assert events(caplog, "asking.resumed") == [logging.WARNING]


def test_opening_what_was_open_is_not_worth_a_line(gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    gate.resume()

    assert caplog.records == []


def test_one_loud_line_an_hour_names_the_remedy(gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    for minutes in range(0, 150, 5):
        gate.halt(REVOKED, NOON + timedelta(minutes=minutes))

    assert events(caplog, "asking.halted") == [logging.CRITICAL] * 3
    assert all("token_revoked" in line and REVOKED.remedy in line for line in caplog.messages)


def test_another_code_is_told_at_once(gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    gate.halt(REVOKED, NOON)
    gate.halt(CannotGoOn("missing_scope", remedy="Add the scope and reinstall."), NOON + SECOND)

    assert len(events(caplog, "asking.halted")) == 2
    assert "reinstall" in caplog.messages[1]


# The gate and the asker


async def test_a_worker_that_slack_refuses_halts_and_goes_on_with_the_first_success(desk: Desk) -> None:
    desk.messenger.post_ends = [REVOKED]
    await desk.accept()

    await desk.work()
    assert desk.gate.halted_by == "token_revoked"
    assert desk.gate.opens_at(NOON) == NOON + PROBE_INTERVAL

    await desk.work(seconds=60)
    assert desk.gate.halted_by == ""
    assert (await desk.question()).state is State.ASKED


async def test_slacks_wait_is_everybodys(desk: Desk) -> None:
    desk.messenger.post_ends = [TransientError("429", retry_after=20 * SECOND)]
    await desk.accept()

    await desk.work()

    assert desk.gate.opens_at(NOON) == NOON + 20 * SECOND


async def test_a_failure_that_asks_for_no_wait_is_nobody_elses(desk: Desk) -> None:
    desk.messenger.post_ends = [TransientError("no network")]
    await desk.accept()

    await desk.work()

    assert desk.gate.opens_at(NOON) is None


def events(caplog: pytest.LogCaptureFixture, event: str) -> list[int]:
    return [record.levelno for record in caplog.records if getattr(record, "event", "") == event]
