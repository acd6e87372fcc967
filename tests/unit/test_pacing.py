"""How fast people are asked, and what happens while Slack takes nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from asking_desk import Desk, people, seconds_of
from fakes import ADDRESS, NOON, a_request
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import CannotGoOn, TransientError
from bot.triage.model import State
from bot.triage.rate_limits import Gate, Pace

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
