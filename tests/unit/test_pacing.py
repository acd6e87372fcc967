"""How fast people are asked, and what happens while Slack takes nothing."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from asking_desk import Desk, people, seconds_of
from fakes import ADDRESS, NOON, a_request
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import CannotGoOn, TransientError
from bot.triage.model import State
from bot.triage.pacing import PROBE_INTERVAL, Gate, Pace

SECOND = timedelta(seconds=1)
REVOKED = CannotGoOn("token_revoked", remedy="Put a valid token into SLACK_BOT_TOKEN.")


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def gate() -> Gate:
    return Gate(spread=lambda: 1.0)


# A person's pace


def test_three_go_at_once_and_the_rest_one_a_second() -> None:
    pace = Pace()

    moments = [pace.reserve(ADDRESS, NOON) for _ in range(6)]

    assert seconds_of(moments) == [0, 0, 0, 1, 2, 3]


def test_whoever_was_left_alone_for_a_while_may_have_a_burst_again() -> None:
    pace = Pace()
    for _ in range(4):
        pace.reserve(ADDRESS, NOON)

    later = NOON + 10 * SECOND

    assert [pace.reserve(ADDRESS, later) for _ in range(3)] == [later] * 3
    assert pace.reserve(ADDRESS, later) == later + SECOND


def test_one_persons_pace_is_nobody_elses() -> None:
    pace = Pace()
    for _ in range(1000):
        pace.reserve(ADDRESS, NOON)

    assert pace.reserve("grace@example.com", NOON) == NOON


@given(st.lists(st.floats(min_value=0, max_value=5), max_size=60))
def test_nobody_is_ever_asked_more_than_three_times_in_a_moment(gaps: list[float]) -> None:
    pace, now, moments = Pace(), NOON, list[float]()

    for gap in gaps:
        now += timedelta(seconds=gap)
        moment = pace.reserve(ADDRESS, now)
        assert moment >= now
        moments += seconds_of([moment])

    assert moments == sorted(moments)
    for first, fourth in zip(moments, moments[3:], strict=False):
        assert fourth - first > 0.99


def test_memory_does_not_grow_with_the_number_of_people() -> None:
    pace, now = Pace(), NOON
    for _ in range(5000):
        pace.reserve("flooded@example.com", now)
        pace.reserve("flooded-too@example.com", now)

    for number in range(5000):
        now += SECOND / 2
        pace.reserve(f"person-{number}@example.com", now)

    assert len(vars(pace)["_next"]) < 20


# A flood


async def test_a_flood_for_one_person_defers_each_question_once_to_its_moment(desk: Desk) -> None:
    await desk.accept(*(a_request(f"alert-{number}") for number in range(40)))

    await desk.work()

    waiting = [each for each in await desk.store.list_questions(limit=100) if each.state is State.ACCEPTED]
    assert [(each.version, each.paced) for each in waiting] == [(1, True)] * 37
    assert sorted(seconds_of([each.due_at for each in waiting if each.due_at])) == list(range(1, 38))

    await desk.work(seconds=37)

    assert desk.post_times() == [0, 0, *range(38)]
    assert {each.version for each in await desk.store.list_questions(limit=3)} <= {2, 3}


async def test_a_flood_for_one_person_holds_up_nobody_else(desk: Desk) -> None:
    desk.messenger.people |= people("grace")
    await desk.accept(*(a_request(f"alert-{number}") for number in range(200)))
    await desk.accept(a_request("another", user="grace@example.com"))

    await desk.work()

    assert (await desk.question("another")).state is State.ASKED
    assert len(desk.messenger.posts) == 4


async def test_what_a_pause_held_up_does_not_all_go_at_once_afterwards(desk: Desk) -> None:
    await desk.accept(*(a_request(f"alert-{number}") for number in range(20)))
    await desk.work()
    posted = len(desk.messenger.posts)

    desk.clock.advance(seconds=60)
    await desk.work()

    assert len(desk.messenger.posts) - posted == 3
    await desk.work(seconds=60)
    assert len(desk.messenger.posts) == 20


async def test_questions_that_failed_together_are_not_repeated_together(desk: Desk) -> None:
    desk.messenger.post_ends = [TransientError("429", retry_after=10 * SECOND)] * 20
    await desk.accept(*(a_request(f"alert-{number}") for number in range(20)))
    await desk.work(seconds=300)

    times = desk.post_times()
    assert len(times) == 40
    assert all(fourth - first > 0.99 for first, fourth in zip(times, times[3:], strict=False))


# The gate


def test_an_open_gate_lets_all_pass(gate: Gate) -> None:
    assert gate.room(NOON, 128, under_way=7) == 128
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
    assert gate.room(NOON + PROBE_INTERVAL, 128, under_way=5) == 128
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
