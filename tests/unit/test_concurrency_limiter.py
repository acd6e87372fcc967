"""Whether questions may be put at all: what happens while Slack takes nothing."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from asking_harness import AskingHarness
from fakes import UPTIME

from bot.errors import AppRejected, TransientError
from bot.triage.model import State
from bot.triage.rate_limits import CONCURRENCY_MAX, PROBE_INTERVAL, ConcurrencyLimiter

SECOND = timedelta(seconds=1)
REVOKED = AppRejected("token_revoked", remedy="Put a valid token into SLACK_BOT_TOKEN.")


@pytest.fixture
def harness() -> AskingHarness:
    return AskingHarness()


@pytest.fixture
def limiter() -> ConcurrencyLimiter:
    return ConcurrencyLimiter(jitter=lambda: 1.0)


def test_an_open_limiter_lets_all_pass_that_there_is_room_for(limiter: ConcurrencyLimiter) -> None:
    assert limiter.count_free_slots(UPTIME, 100, under_way=7) == 100
    assert limiter.count_free_slots(UPTIME, CONCURRENCY_MAX, under_way=7) == CONCURRENCY_MAX - 7
    assert limiter.count_free_slots(UPTIME, 100, under_way=CONCURRENCY_MAX + 1) == 0
    assert limiter.opens_at(UPTIME) is None


def test_a_pause_shuts_it_until_its_end(limiter: ConcurrencyLimiter) -> None:
    limiter.pause(UPTIME + 30 * SECOND)

    assert limiter.count_free_slots(UPTIME + 29 * SECOND, 128, under_way=0) == 0
    assert limiter.opens_at(UPTIME + 29 * SECOND) == UPTIME + 30 * SECOND
    assert limiter.count_free_slots(UPTIME + 30 * SECOND, 128, under_way=0) == 128
    assert limiter.opens_at(UPTIME + 30 * SECOND) is None


def test_a_shorter_pause_does_not_end_a_longer_one(limiter: ConcurrencyLimiter) -> None:
    limiter.pause(UPTIME + 30 * SECOND)
    limiter.pause(UPTIME + 5 * SECOND)

    assert limiter.opens_at(UPTIME) == UPTIME + 30 * SECOND


def test_each_time_that_slack_asks_to_wait_half_as_many_are_let_through_afterwards(
    limiter: ConcurrencyLimiter,
) -> None:
    now, rooms = UPTIME, []
    for _ in range(9):
        limiter.slow_down(2 * SECOND, now)
        assert limiter.count_free_slots(now, CONCURRENCY_MAX, under_way=0) == 0

        now += 2 * SECOND
        rooms.append(limiter.count_free_slots(now, CONCURRENCY_MAX, under_way=0))

    assert rooms == [64, 32, 16, 8, 4, 2, 1, 1, 1]


def test_what_was_under_way_when_slack_asked_to_wait_is_the_same_refusal(limiter: ConcurrencyLimiter) -> None:
    for tenths in range(10):
        limiter.slow_down(2 * SECOND, UPTIME + tenths * SECOND / 10)

    assert limiter.opens_at(UPTIME + SECOND) == UPTIME + 2.9 * SECOND
    assert limiter.count_free_slots(UPTIME + 3 * SECOND, CONCURRENCY_MAX, under_way=0) == CONCURRENCY_MAX // 2


def test_with_what_slack_takes_more_are_let_through_again_but_never_more_than_at_first() -> None:
    limiter = ConcurrencyLimiter(jitter=lambda: 1.0, concurrency=8)
    limiter.slow_down(SECOND, UPTIME)
    later, rooms = UPTIME + SECOND, []
    for _ in range(6):
        for _ in range(2):
            limiter.reset()
        rooms.append(limiter.count_free_slots(later, CONCURRENCY_MAX, under_way=0))

    assert rooms == [5, 6, 7, 8, 8, 8]


def test_a_refused_worker_tries_once_every_half_minute_with_one_question(limiter: ConcurrencyLimiter) -> None:
    now = UPTIME
    for _ in range(5):
        limiter.trip(REVOKED, now)
        assert limiter.count_free_slots(now, 128, under_way=0) == 0
        assert limiter.opens_at(now) == now + PROBE_INTERVAL

        now += PROBE_INTERVAL
        assert limiter.count_free_slots(now, 128, under_way=0) == 1
        assert limiter.count_free_slots(now, 128, under_way=1) == 0


@pytest.mark.parametrize(("jitter", "seconds"), [(0.0, 15), (0.5, 22.5), (1.0, 30)])
def test_the_tries_of_many_workers_are_spread(jitter: float, seconds: float) -> None:
    limiter = ConcurrencyLimiter(jitter=lambda: jitter)

    limiter.trip(REVOKED, UPTIME)

    assert limiter.opens_at(UPTIME) == UPTIME + seconds * SECOND


def test_a_question_that_slack_took_opens_it(
    limiter: ConcurrencyLimiter, caplog: pytest.LogCaptureFixture
) -> None:
    limiter.trip(REVOKED, UPTIME)
    assert limiter.rejection_code == "token_revoked"

    limiter.reset()

    assert limiter.rejection_code == ""
    assert limiter.count_free_slots(UPTIME + PROBE_INTERVAL, 100, under_way=5) == 100
    assert events(caplog, "asking.resumed") == [logging.WARNING]


def test_opening_what_was_open_is_not_worth_a_line(
    limiter: ConcurrencyLimiter, caplog: pytest.LogCaptureFixture
) -> None:
    limiter.reset()

    assert caplog.records == []


def test_one_loud_line_an_hour_names_the_remedy(
    limiter: ConcurrencyLimiter, caplog: pytest.LogCaptureFixture
) -> None:
    for minutes in range(0, 150, 5):
        limiter.trip(REVOKED, UPTIME + timedelta(minutes=minutes))

    assert events(caplog, "asking.halted") == [logging.CRITICAL] * 3
    assert all("token_revoked" in line and REVOKED.remedy in line for line in caplog.messages)


def test_another_code_is_told_at_once(limiter: ConcurrencyLimiter, caplog: pytest.LogCaptureFixture) -> None:
    limiter.trip(REVOKED, UPTIME)
    limiter.trip(AppRejected("missing_scope", remedy="Add the scope and reinstall."), UPTIME + SECOND)

    assert len(events(caplog, "asking.halted")) == 2
    assert "reinstall" in caplog.messages[1]


# The limiter and the asker


async def test_a_worker_that_slack_refuses_halts_and_goes_on_with_the_first_success(
    harness: AskingHarness,
) -> None:
    harness.messenger.post_ends = [REVOKED]
    await harness.accept()

    await harness.work()
    assert harness.limiter.rejection_code == "token_revoked"
    assert harness.limiter.opens_at(UPTIME) == UPTIME + PROBE_INTERVAL

    await harness.work(seconds=60)
    assert harness.limiter.rejection_code == ""
    assert (await harness.question()).state is State.ASKED


async def test_slacks_wait_is_everybodys(harness: AskingHarness) -> None:
    harness.messenger.post_ends = [TransientError("429", retry_after=20 * SECOND)]
    await harness.accept()

    await harness.work()

    assert harness.limiter.opens_at(UPTIME) == UPTIME + 20 * SECOND


async def test_a_failure_that_asks_for_no_wait_is_nobody_elses(harness: AskingHarness) -> None:
    harness.messenger.post_ends = [TransientError("no network")]
    await harness.accept()

    await harness.work()

    assert harness.limiter.opens_at(UPTIME) is None


def events(caplog: pytest.LogCaptureFixture, event: str) -> list[int]:
    return [record.levelno for record in caplog.records if getattr(record, "event", "") == event]
