from __future__ import annotations

from datetime import timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from bot.backoff import RETRY_SHORTEST, Backoff, retry_delay

#: Draws the same waits in every run.
SAME = Random(1)


def wait_after(failures: int, random: Random) -> float:
    return retry_delay(failures - 1, random.random(), shortest=RETRY_SHORTEST).total_seconds()


@given(failures=st.integers(1, 10**6), random=st.randoms(use_true_random=False))
def test_every_wait_is_half_a_second_to_half_a_minute(failures: int, random: Random) -> None:
    assert 0.5 <= wait_after(failures, random) <= 30


def test_the_first_wait_is_short_and_later_ones_spread_over_the_whole_range() -> None:
    first = [wait_after(1, SAME) for _ in range(1000)]
    later = [wait_after(20, SAME) for _ in range(1000)]

    assert max(first) <= 1
    assert min(later) < 2
    assert max(later) > 28


def test_retries_double_up_to_half_a_minute() -> None:
    delays = [retry_delay(attempts, 1.0).total_seconds() for attempts in range(8)]

    assert delays == [1, 2, 4, 8, 16, 30, 30, 30]


@given(st.integers(min_value=0, max_value=10**9), st.floats(min_value=0, max_value=1))
def test_retries_are_spread_over_their_whole_delay(attempts: int, jitter: float) -> None:
    delay = retry_delay(attempts, jitter)

    assert timedelta(0) <= delay <= retry_delay(attempts, 1.0) <= timedelta(seconds=30)


def test_a_success_begins_again() -> None:
    backoff = Backoff(SAME)

    waits = [backoff.after_failure() for _ in range(50)]
    backoff.after_success()

    assert max(waits) > 1
    assert backoff.after_failure() <= 1
