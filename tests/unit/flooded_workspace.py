"""A flood in a workspace that takes only so many messages, asked by workers of which each sees but its own
refusals. Everything is the real thing but the wire, the store and the time.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

from fakes import a_request
from memory_store import MemoryStore
from simulated_time import run_simulated
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse
from wiring import instead, wired

from bot.clock import Clock
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

    async def scenario(clock: Clock) -> Course:
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
async def _crew(slack: LimitedSlack, clock: Clock, count: int) -> AsyncIterator[list[Parts]]:
    stop, client = asyncio.Event(), instead(slack)
    async with asyncio.TaskGroup() as group:
        crew = [wired(MemoryStore(), clock=clock, client=client, random=Random(n)) for n in range(count)]
        for worker in crew:
            group.create_task(worker.sweeper.run(stop))
        yield crew
        stop.set()
