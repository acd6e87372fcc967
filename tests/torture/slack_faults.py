"""What goes wrong in Slack: a middleware before the stand-in, and the weather of its links."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Final, Literal

from aiohttp import web
from aiohttp.typedefs import Handler

from bot.sandbox.fake_slack import SlackStandIn
from bot.sandbox.fake_slack.installation import Quirks, Rate

from .fast_clock import FastClock
from .history import Place, Post
from .sqs import cut

#: How long a call may hang, in seconds of the torture's time; the worker gives up after 15.
_HANG: Final = (3.0, 20.0)

#: How late an answer comes that people overtake with a click, in seconds of ours.
_OVERTAKEN: Final = (0.05, 0.6)

#: How far the history lags, in seconds of Slack's clock, at the most.
_LAG: Final = 8.0

#: How late a pong may come, in seconds of the torture's time: after 20 s of silence a link is replaced.
_PONG_DELAYS: Final = (0.0, 0.0, 3.0, 12.0, 30.0)

#: How often a post to somebody opens the conversation with them.
_OPENING: Final = 0.8

#: The limits that methods have now and then, each its own.
_RATES: Final[Mapping[str, tuple[Rate | None, ...]]] = {
    **dict.fromkeys(
        ("users.lookupByEmail", "conversations.open", "conversations.history"),
        (None, None, Rate(calls=1, per=timedelta(seconds=1)), Rate(calls=5, per=timedelta(seconds=20))),
    ),
    "apps.connections.open": (None, None, None, Rate(calls=1, per=timedelta(seconds=6))),
}

#: By which a call tells whose it is.
WORKER_HEADER: Final = "X-Torture-Worker"

_HTML: Final = "<html><body>Something is broken on our side</body></html>"

_REASONS: Final[tuple[Literal["warning", "refresh_requested", "link_disabled"], ...]] = (
    "warning",
    "refresh_requested",
    "link_disabled",
)


_Answer = Callable[[web.Request, Random], web.Response]


@dataclass(frozen=True, kw_only=True)
class _Fault:
    """How a call is handled: whether it is done, when it hangs, what is answered instead of Slack."""

    is_done: bool = False
    hangs: Literal["", "before", "after", "shortly"] = ""
    answer: _Answer | None = None


class SlackFaults:
    """Spoils calls while `raging`; `counts` tells how often which way, `posts` how each was done."""

    def __init__(self, random: Random, clock: FastClock) -> None:
        self.raging = True
        self.counts: Counter[str] = Counter()
        self.posts: dict[Place, Post] = {}
        self._random = random
        self._clock = clock

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Serve a request, or spoil it."""
        name = self._draw(request.path) if self.raging else ""
        self.counts[name] += bool(name)
        if not request.path.startswith(_POST):
            return await self._serve(name, request, handler)
        places: list[Place] = []
        arrived_at = self._clock.seconds()
        response = await self._serve(name, request, _noting(handler, places))
        for place in places:
            self.posts[place] = Post(
                arrived_at=arrived_at,
                answered_at=self._clock.seconds(),
                spoiled=name in _SPOILED or request.transport is None,  # the caller had hung up
                worker=request.headers.get(WORKER_HEADER, ""),
            )
        return response

    async def _serve(self, name: str, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await (self._spoil(_FAULTS[name], request, handler) if name else handler(request))
        except ConnectionError:  # the caller was killed before it had its answer
            return cut(request)

    async def weather(self, slack: SlackStandIn) -> None:
        """End links in every way there is, and let the history lag now more and now less. Never returns."""
        while True:
            await asyncio.sleep(self._random.uniform(0.3, 4.0))
            slack.installation.history_lag = timedelta(seconds=self._random.uniform(0, _LAG))
            slack.installation.quirks = self._draw_quirks()
            reason = self._random.choice([*_REASONS, "dropped", "quiet"])
            self.counts[f"link {reason}"] += reason != "quiet"
            if reason == "dropped":
                slack.drop_links()
            for each in _REASONS:
                if reason == each:
                    await slack.disconnect(each)

    def _draw_quirks(self) -> Quirks:
        return Quirks(
            opens_by_posting=self._random.random() < _OPENING,
            replaced_metadata=self._random.choice(["kept", "given"]),
            history_page=self._random.choice([3, 15, 1000]),
            limits={method: rate for method, rates in _RATES.items() if (rate := self._random.choice(rates))},
            pong_delay=timedelta(seconds=self._random.choice(_PONG_DELAYS) / self._clock.pace),
            ghost_lifetime=timedelta(seconds=self._random.choice([0, 0, 90])),
        )

    def _draw(self, path: str) -> str:
        share, faults = next((share, faults) for start, share, faults in _SHARES if path.startswith(start))
        if self._random.random() >= share:
            return ""
        return self._random.choices(list(faults), weights=list(faults.values()))[0]

    async def _spoil(self, fault: _Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
        if fault.hangs == "before":
            await request.read()  # it has arrived, whatever becomes of the caller meanwhile
            await self._hang()
        response = await handler(request) if fault.is_done else None
        if fault.hangs == "after":
            await self._hang()
        elif fault.hangs == "shortly":
            await asyncio.sleep(self._random.uniform(*_OVERTAKEN))
        if fault.answer is not None:
            return fault.answer(request, self._random)
        assert response is not None, "what is not done must be answered"
        return response

    async def _hang(self) -> None:
        await asyncio.sleep(self._random.uniform(*_HANG) / self._clock.pace)


def _limited(status: int, *waits: str) -> _Answer:
    def answer(_: web.Request, random: Random) -> web.Response:
        refusal, headers = {"ok": False, "error": "ratelimited"}, {"Retry-After": random.choice(waits)}
        return web.json_response(refusal, status=status, headers=headers)

    return answer


def _broken(status: int) -> _Answer:
    return lambda _, __: web.Response(status=status, text=_HTML, content_type="text/html")


def _cut(request: web.Request, _: Random) -> web.Response:
    return cut(request)


_FAULTS: Final[Mapping[str, _Fault]] = {
    "dropped after": _Fault(is_done=True, answer=_cut),
    "reset before": _Fault(answer=_cut),
    "429": _Fault(answer=_limited(429, "1", "1.5", "0", "soon", "4")),
    "200 ratelimited": _Fault(answer=_limited(200, "2")),
    "503 before": _Fault(answer=_broken(503)),
    "502 after": _Fault(is_done=True, answer=_broken(502)),
    "hung before": _Fault(hangs="before", answer=_cut),
    "done late": _Fault(hangs="before", is_done=True),
    "hung after": _Fault(is_done=True, hangs="after"),
    "overtaken": _Fault(is_done=True, hangs="shortly"),
    "handshake refused": _Fault(answer=_broken(503)),
    "handshake slow": _Fault(hangs="before", is_done=True),
}

#: Those after which a post may have been done, for all that its caller knows.
_SPOILED: Final = frozenset({"dropped after", "502 after", "done late", "hung after"})

_CALL_FAULTS: Final = {
    "dropped after": 6,
    "reset before": 4,
    "429": 4,
    "200 ratelimited": 3,
    "503 before": 3,
    "502 after": 4,
    "hung before": 2,
    "done late": 2,
    "hung after": 3,
}

_POST: Final = "/api/chat.postMessage"

#: What starts with which path is spoiled how often, and how; the first that fits counts.
_SHARES: Final[tuple[tuple[str, float, Mapping[str, int]], ...]] = (
    (_POST, 0.35, {**_CALL_FAULTS, "overtaken": 30}),
    ("/api/auth.test", 0.05, {"503 before": 1, "reset before": 1}),
    ("/api/apps.connections.open", 0.05, {"503 before": 1, "429": 1, "reset before": 1}),
    ("/link/", 0.08, {"handshake refused": 1, "handshake slow": 2}),
    ("/", 0.12, _CALL_FAULTS),
)


def _noting(handler: Handler, places: list[Place]) -> Handler:
    """Wrap a handler of chat.postMessage so that it records where its message is, once it is there."""

    async def noted(request: web.Request) -> web.StreamResponse:
        response = await handler(request)
        answer = json.loads(response.text or "{}") if isinstance(response, web.Response) else {}
        if answer.get("ok"):
            places.append((answer["channel"], answer["ts"]))
        return response

    return noted
