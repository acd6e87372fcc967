"""A flood in a workspace that takes only so many messages, asked by workers of which each sees but its own
refusals. Everything is the real thing but the wire, the store and the time.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any

import pytest
from fakes import a_request
from memory_store import MemoryStore
from simulated_time import run_simulated
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse
from wiring import instead, wired

from bot.worker.assembly import Parts

#: Between these, in seconds, is the time that a call to Slack takes.
LATENCY = (0.05, 0.35)


@dataclass(frozen=True, kw_only=True)
class Limit:
    """What a workspace takes: so many messages in any so many seconds."""

    messages: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Course:
    """How a flood went: the seconds until the last was asked, posts that were refused, posts a person."""

    seconds: float
    refused: int
    posts: Mapping[str, int]


class LimitedSlack(AsyncWebClient):
    """The client of all workers: behind it is one workspace with one limit."""

    def __init__(self, limit: Limit, random: Random) -> None:
        super().__init__(token="xoxb-test")
        self._limit = limit
        self._random = random
        self._taken_at: deque[float] = deque(maxlen=limit.messages)
        self.refused = 0
        self.posts: Counter[str] = Counter()

    async def api_call(self, api_method: str, *_: Any, **arguments: Any) -> AsyncSlackResponse:
        await asyncio.sleep(self._random.uniform(*LATENCY))
        if api_method == "users.lookupByEmail":
            name = arguments["params"]["email"].partition("@")[0]
            return self._answer({"ok": True, "user": {"id": f"U0{name}", "name": name}})
        assert api_method == "chat.postMessage"
        return self._post(arguments["json"]["channel"])

    def course(self) -> Course:
        return Course(seconds=self._taken_at[-1], refused=self.refused, posts=self.posts)

    def _post(self, person: str) -> AsyncSlackResponse:
        now = asyncio.get_running_loop().time()
        is_full = len(self._taken_at) == self._limit.messages
        wait = self._taken_at[0] + self._limit.seconds - now if is_full else 0
        if wait > 0:
            self.refused += 1
            headers = {"Retry-After": str(math.ceil(wait))}
            refusal = self._answer({"ok": False, "error": "ratelimited"}, status_code=429, headers=headers)
            raise SlackApiError("ratelimited", refusal)
        self._taken_at.append(now)
        self.posts[person] += 1
        return self._answer({"ok": True, "channel": f"D{person}", "ts": f"{now:.6f}"})

    def _answer(
        self, data: dict[str, Any], *, status_code: int = 200, headers: dict[str, str] | None = None
    ) -> AsyncSlackResponse:
        return AsyncSlackResponse(
            client=self,
            http_verb="POST",
            api_url="",
            req_args={},
            data=data,
            headers=headers or {},
            status_code=status_code,
        )


def flood(requests: int, limit: Limit, *, workers: int) -> Course:
    """Ask so many people, each worker an equal share of them, which nobody else has; return how that went."""

    async def scenario(clock: Callable[[], datetime]) -> Course:
        slack = LimitedSlack(limit, Random(2026))
        async with _crew(slack, clock, workers) as crew:
            for number, worker in enumerate(crew):
                share = range(number, requests, workers)
                await worker.service.receive([a_request(f"{n}", user=f"p{n}@example.com") for n in share])
            while slack.posts.total() < requests:
                await asyncio.sleep(1)
            await asyncio.sleep(120)  # whoever would ask somebody again has asked by then
        return slack.course()

    return run_simulated(scenario)


@asynccontextmanager
async def _crew(slack: LimitedSlack, clock: Callable[[], datetime], count: int) -> AsyncIterator[list[Parts]]:
    stop, client = asyncio.Event(), instead(slack)
    async with asyncio.TaskGroup() as group:
        crew = [wired(MemoryStore(), clock=clock, client=client, random=Random(n)) for n in range(count)]
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
