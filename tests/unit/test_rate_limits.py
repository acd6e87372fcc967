"""How fast people are asked, and whether questions may be put at all while Slack takes nothing."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter, deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from asking_harness import AskingHarness, people, seconds_of
from fakes import ADDRESS, UPTIME, a_request
from hypothesis import given
from hypothesis import strategies as st
from memory_store import MemoryStore
from simulated_time import run_simulated
from wiring import wired

from bot.backoff import RETRY_SHORTEST, Backoff, retry_delay
from bot.clock import Clock
from bot.errors import AppRejected, TransientError
from bot.triage.model import State
from bot.triage.policy import Policy
from bot.triage.rate_limits import CONCURRENCY_MAX, PROBE_INTERVAL, ConcurrencyLimiter, RateLimiter
from bot.worker.assembly import Parts

SECOND = timedelta(seconds=1)
REVOKED = AppRejected("token_revoked", remedy="Put a valid token into SLACK_BOT_TOKEN.")


@pytest.fixture
def harness() -> AskingHarness:
    return AskingHarness(Policy(open_per_person=100))


@pytest.fixture
def limiter() -> ConcurrencyLimiter:
    return ConcurrencyLimiter(jitter=lambda: 1.0)


@given(st.lists(st.floats(min_value=0, max_value=5), max_size=60))
def test_nobody_is_ever_asked_more_than_three_times_in_a_moment(gaps: list[float]) -> None:
    rate_limiter, now, moments = RateLimiter(), UPTIME, list[float]()

    for gap in gaps:
        now += timedelta(seconds=gap)
        moment = rate_limiter.reserve(ADDRESS, now)
        assert moment >= now
        moments.append((moment - UPTIME) / SECOND)

    assert moments == sorted(moments)
    assert_spread(moments)


def assert_spread(moments: list[float]) -> None:
    assert all(fourth - first > 0.99 for first, fourth in zip(moments, moments[3:], strict=False))


def test_memory_does_not_grow_with_the_number_of_people() -> None:
    rate_limiter, now = RateLimiter(), UPTIME
    for _ in range(5000):
        rate_limiter.reserve("flooded@example.com", now)
        rate_limiter.reserve("flooded-too@example.com", now)

    for number in range(5000):
        now += SECOND / 2
        rate_limiter.reserve(f"person-{number}@example.com", now)

    assert len(vars(rate_limiter)["_next"]) < 20


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

    assert len(harness.post_times()) == 40
    assert_spread(harness.post_times())


def test_an_open_limiter_lets_all_pass_that_there_is_room_for(limiter: ConcurrencyLimiter) -> None:
    assert limiter.count_free_slots(UPTIME, 100, under_way=7) == 100
    assert limiter.count_free_slots(UPTIME, CONCURRENCY_MAX, under_way=7) == CONCURRENCY_MAX - 7
    assert limiter.count_free_slots(UPTIME, 100, under_way=CONCURRENCY_MAX + 1) == 0
    assert limiter.opens_at(UPTIME) is None


def test_a_pause_shuts_it_until_its_end_and_a_shorter_one_is_nothing(limiter: ConcurrencyLimiter) -> None:
    limiter.pause(UPTIME + 30 * SECOND)
    limiter.pause(UPTIME + 5 * SECOND)

    assert limiter.count_free_slots(UPTIME + 29 * SECOND, 128, under_way=0) == 0
    assert limiter.opens_at(UPTIME + 29 * SECOND) == UPTIME + 30 * SECOND
    assert limiter.count_free_slots(UPTIME + 30 * SECOND, 128, under_way=0) == 128
    assert limiter.opens_at(UPTIME + 30 * SECOND) is None


def test_each_time_that_slack_asks_to_wait_half_as_many_go_afterwards(limiter: ConcurrencyLimiter) -> None:
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


def test_a_question_that_slack_took_opens_it_and_says_so_once(
    limiter: ConcurrencyLimiter, caplog: pytest.LogCaptureFixture
) -> None:
    limiter.reset()
    assert caplog.records == []
    limiter.trip(REVOKED, UPTIME)
    assert limiter.rejection_code == "token_revoked"

    limiter.reset()

    assert limiter.rejection_code == ""
    assert limiter.count_free_slots(UPTIME + PROBE_INTERVAL, 100, under_way=5) == 100
    assert events(caplog, "asking.resumed") == [logging.WARNING]


def test_one_loud_line_an_hour_names_the_remedy_and_another_code_is_told_at_once(
    limiter: ConcurrencyLimiter, caplog: pytest.LogCaptureFixture
) -> None:
    for minutes in range(0, 150, 5):
        limiter.trip(REVOKED, UPTIME + timedelta(minutes=minutes))

    assert events(caplog, "asking.halted") == [logging.CRITICAL] * 3
    assert all("token_revoked" in line and REVOKED.remedy in line for line in caplog.messages)

    limiter.trip(AppRejected("missing_scope", remedy="Add the scope."), UPTIME + timedelta(minutes=146))

    assert "Add the scope." in caplog.messages[3]


def events(caplog: pytest.LogCaptureFixture, event: str) -> list[int]:
    return [record.levelno for record in caplog.records if getattr(record, "event", "") == event]


@pytest.mark.parametrize(
    ("end", "wait"),
    [
        (REVOKED, PROBE_INTERVAL),
        (TransientError("429", retry_after=20 * SECOND), 20 * SECOND),
        (TransientError("no network"), None),  # which says nothing of anybody else's question
    ],
    ids=["refused", "asked to wait", "failed"],
)
async def test_what_a_post_meets_holds_up_all_others_until_slack_takes_one(
    harness: AskingHarness, end: Exception, wait: timedelta | None
) -> None:
    await harness.ask(post_ends=[end], seconds=0)

    assert harness.limiter.opens_at(UPTIME) == (UPTIME + wait if wait else None)
    assert harness.limiter.rejection_code == ("token_revoked" if end is REVOKED else "")

    await harness.work(seconds=60)
    assert harness.limiter.rejection_code == ""
    assert (await harness.question()).state is State.ASKED


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


#: Between these, in seconds, is the time that a call to Slack takes.
LATENCY = (0.05, 0.35)


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A workspace's limit: this many messages in any interval of that length."""

    messages: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Course:
    """How a flood went: the seconds until the last was asked, posts that were refused, posts a person."""

    seconds: float
    refused: int
    posts: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class LimitedAnswer:
    """As much of an aiohttp response as a call reads."""

    data: Mapping[str, Any]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    async def json(self, **_: Any) -> Mapping[str, Any]:
        return self.data


class LimitedSlack:
    """The session of all workers: behind it is one workspace with one limit."""

    def __init__(self, limit: Limit, random: Random) -> None:
        self._limit = limit
        self._random = random
        self._taken_at: deque[float] = deque(maxlen=limit.messages)
        self.refused = 0
        self.posts: Counter[str] = Counter()

    @asynccontextmanager
    async def request(self, _: str, url: str, **given: Any) -> AsyncIterator[LimitedAnswer]:
        await asyncio.sleep(self._random.uniform(*LATENCY))
        if url.endswith("users.lookupByEmail"):
            name = given["params"]["email"].partition("@")[0]
            yield LimitedAnswer(data={"ok": True, "user": {"id": f"U0{name}", "name": name}})
        else:
            assert url.endswith("chat.postMessage")
            yield self._post(given["json"]["channel"])

    def course(self) -> Course:
        return Course(seconds=self._taken_at[-1], refused=self.refused, posts=self.posts)

    def _post(self, person: str) -> LimitedAnswer:
        now = asyncio.get_running_loop().time()
        is_full = len(self._taken_at) == self._limit.messages
        wait = self._taken_at[0] + self._limit.seconds - now if is_full else 0
        if wait > 0:
            self.refused += 1
            refusal, headers = {"ok": False, "error": "ratelimited"}, {"Retry-After": str(math.ceil(wait))}
            return LimitedAnswer(data=refusal, status=429, headers=headers)
        self._taken_at.append(now)
        self.posts[person] += 1
        return LimitedAnswer(data={"ok": True, "channel": f"D{person}", "ts": f"{now:.6f}"})


def flood(requests: int, limit: Limit, *, workers: int) -> Course:
    """Ask this many people, an equal share of them by each worker; return how that went."""

    async def scenario(clock: Clock) -> Course:
        slack = LimitedSlack(limit, Random(2026))
        async with _crew(slack, clock, workers) as crew:
            for number, worker in enumerate(crew):
                share = range(number, requests, workers)
                await worker.service.receive([a_request(f"{n}", user=f"p{n}@example.com") for n in share])
            async with asyncio.timeout(24 * 3600):
                while slack.posts.total() < requests:
                    await asyncio.sleep(1)
            await asyncio.sleep(120)  # by then a worker that asks somebody twice has done so
        return slack.course()

    return run_simulated(scenario)


@asynccontextmanager
async def _crew(slack: LimitedSlack, clock: Clock, count: int) -> AsyncIterator[list[Parts]]:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        crew = [wired(MemoryStore(), clock=clock, session=slack, random=Random(n)) for n in range(count)]
        for worker in crew:
            group.create_task(worker.sweeper.run(stop))
        yield crew
        stop.set()


#: How many people are asked, and what Slack takes.
LIMITS = [
    pytest.param(200, Limit(messages=5, seconds=1), id="300 a minute, no bursts", marks=pytest.mark.slow),
    pytest.param(80, Limit(messages=30, seconds=10), id="180 a minute, in bursts"),
    pytest.param(120, Limit(messages=20, seconds=20), id="60 a minute, in bursts", marks=pytest.mark.slow),
    pytest.param(80, Limit(messages=30, seconds=1), id="more than one worker asks"),
]


@pytest.mark.parametrize(("requests", "limit"), LIMITS)
def test_a_flood_shared_by_three_workers_ends_no_later_than_with_one(requests: int, limit: Limit) -> None:
    alone = flood(requests, limit, workers=1)
    shared = flood(requests, limit, workers=3)

    assert shared.seconds <= alone.seconds
    assert alone.posts == shared.posts == {f"U0p{number}": 1 for number in range(requests)}


@pytest.mark.slow
def test_a_worker_learns_how_much_slack_takes() -> None:
    requests = 200

    course = flood(requests, Limit(messages=5, seconds=1), workers=1)

    assert course.refused < 2 * requests
