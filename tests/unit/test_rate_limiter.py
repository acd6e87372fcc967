"""How fast people are asked, and what happens while Slack takes nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from asking_harness import AskingHarness, people, seconds_of
from fakes import ADDRESS, UPTIME, a_request
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import AppRejected, TransientError
from bot.triage.model import State
from bot.triage.rate_limits import ConcurrencyLimiter, RateLimiter

SECOND = timedelta(seconds=1)
REVOKED = AppRejected("token_revoked", remedy="Put a valid token into SLACK_BOT_TOKEN.")


@pytest.fixture
def harness() -> AskingHarness:
    return AskingHarness()


@pytest.fixture
def limiter() -> ConcurrencyLimiter:
    return ConcurrencyLimiter(jitter=lambda: 1.0)


# A person's pace


def test_three_go_at_once_and_the_rest_one_a_second() -> None:
    rate_limiter = RateLimiter()

    moments = [rate_limiter.reserve(ADDRESS, UPTIME) for _ in range(6)]

    assert [(moment - UPTIME) / SECOND for moment in moments] == [0, 0, 0, 1, 2, 3]


def test_whoever_was_left_alone_for_a_while_may_have_a_burst_again() -> None:
    rate_limiter = RateLimiter()
    for _ in range(4):
        rate_limiter.reserve(ADDRESS, UPTIME)

    later = UPTIME + 10 * SECOND

    assert [rate_limiter.reserve(ADDRESS, later) for _ in range(3)] == [later] * 3
    assert rate_limiter.reserve(ADDRESS, later) == later + SECOND


def test_one_persons_pace_is_nobody_elses() -> None:
    rate_limiter = RateLimiter()
    for _ in range(1000):
        rate_limiter.reserve(ADDRESS, UPTIME)

    assert rate_limiter.reserve("grace@example.com", UPTIME) == UPTIME


@given(st.lists(st.floats(min_value=0, max_value=5), max_size=60))
def test_nobody_is_ever_asked_more_than_three_times_in_a_moment(gaps: list[float]) -> None:
    rate_limiter, now, moments = RateLimiter(), UPTIME, list[float]()

    for gap in gaps:
        now += timedelta(seconds=gap)
        moment = rate_limiter.reserve(ADDRESS, now)
        assert moment >= now
        moments.append((moment - UPTIME) / SECOND)

    assert moments == sorted(moments)
    for first, fourth in zip(moments, moments[3:], strict=False):
        assert fourth - first > 0.99


def test_memory_does_not_grow_with_the_number_of_people() -> None:
    rate_limiter, now = RateLimiter(), UPTIME
    for _ in range(5000):
        rate_limiter.reserve("flooded@example.com", now)
        rate_limiter.reserve("flooded-too@example.com", now)

    for number in range(5000):
        now += SECOND / 2
        rate_limiter.reserve(f"person-{number}@example.com", now)

    assert len(vars(rate_limiter)["_next"]) < 20


# A flood


async def test_a_flood_for_one_person_defers_each_question_once_to_its_moment(harness: AskingHarness) -> None:
    await harness.accept(*(a_request(f"alert-{number}") for number in range(40)))

    await harness.work()

    waiting = [each for each in await harness.store.list_questions(limit=100) if each.state is State.ACCEPTED]
    assert [(each.version, each.paced) for each in waiting] == [(1, True)] * 37
    assert sorted(seconds_of([each.due_at for each in waiting if each.due_at])) == list(range(1, 38))

    await harness.work(seconds=37)

    assert harness.post_times() == [0, 0, *range(38)]
    assert {each.version for each in await harness.store.list_questions(limit=3)} <= {2, 3}


async def test_a_flood_for_one_person_holds_up_nobody_else(harness: AskingHarness) -> None:
    harness.messenger.people |= people("grace")
    await harness.accept(*(a_request(f"alert-{number}") for number in range(200)))
    await harness.accept(a_request("another", user="grace@example.com"))

    await harness.work()

    assert (await harness.question("another")).state is State.ASKED
    assert len(harness.messenger.posts) == 4


async def test_what_a_pause_held_up_does_not_all_go_at_once_afterwards(harness: AskingHarness) -> None:
    await harness.accept(*(a_request(f"alert-{number}") for number in range(20)))
    await harness.work()
    posted = len(harness.messenger.posts)

    harness.clock.advance(seconds=60)
    await harness.work()

    assert len(harness.messenger.posts) - posted == 3
    await harness.work(seconds=60)
    assert len(harness.messenger.posts) == 20


async def test_questions_that_failed_together_are_not_repeated_together(harness: AskingHarness) -> None:
    harness.messenger.post_ends = [TransientError("429", retry_after=10 * SECOND)] * 20
    await harness.accept(*(a_request(f"alert-{number}") for number in range(20)))
    await harness.work(seconds=300)

    times = harness.post_times()
    assert len(times) == 40
    assert all(fourth - first > 0.99 for first, fourth in zip(times, times[3:], strict=False))
