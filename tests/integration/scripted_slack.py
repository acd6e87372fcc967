"""A Slack that answers each call as its test says, and our client of it."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web
from fakes import SteppedClock
from served import served

from bot.clock import Clock
from bot.slack.client import SlackApi, web_client

#: Answers a request, or breaks the connection under it.
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, kw_only=True)
class Received:
    """A call as it came; `values` are those of the query and of the JSON body together."""

    method: str
    verb: str
    values: Mapping[str, Any]


@dataclass(kw_only=True)
class ScriptedSlack:
    """`answers` are given one a call; the last one is given again and again."""

    answers: list[Answer]
    received: list[Received] = field(default_factory=list)
    url: str = ""

    @property
    def methods(self) -> list[str]:
        return [call.method for call in self.received]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json() if request.content_type == "application/json" else {}
        method = request.path.rpartition("/")[2]
        self.received.append(Received(method=method, verb=request.method, values={**request.query, **body}))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return await answer(request)


@asynccontextmanager
async def scripted_slack(*answers: Answer) -> AsyncIterator[ScriptedSlack]:
    slack = ScriptedSlack(answers=list(answers))
    async with served(slack.handle) as url:
        slack.url = f"{url}/"
        yield slack


@asynccontextmanager
async def api_of(
    slack: ScriptedSlack,
    *,
    patience: aiohttp.ClientTimeout | None = None,
    connections: int = 10,
    clock: Clock | None = None,
) -> AsyncIterator[SlackApi]:
    """Our way to a Slack, patient by default; by a clock that stands unless there is another."""
    tls = ssl.create_default_context()
    async with aiohttp.ClientSession(
        timeout=patience or aiohttp.ClientTimeout(total=30),
        connector=aiohttp.TCPConnector(limit=connections),
    ) as session:
        client = web_client(slack.url, session, tls, token="xoxb-1")
        yield SlackApi(client, session, clock=clock or SteppedClock())


def says(answer: Any, *, status: int = 200, **headers: str) -> Answer:
    """Answer with JSON; a header's name is written with underscores."""

    async def respond(_: web.Request) -> web.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.json_response(answer, status=status, headers=named)

    return respond


def refuses(code: object, *, status: int = 200, **headers: str) -> Answer:
    return says({"ok": False, "error": code}, status=status, **headers)


def writes(text: str, *, content_type: str = "text/html", status: int = 200, **headers: str) -> Answer:
    """Answer with something that is not JSON."""

    async def respond(_: web.Request) -> web.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(text=text, content_type=content_type, status=status, headers=named)

    return respond
