"""A Slack that answers each call as its test says, our client of it, and a Messenger before it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from fakes import ADA, NOON, SteppedClock, a_request
from served import served
from wording import WORDING

from bot.clock import Clock
from bot.errors import TriageBotError
from bot.slack.client import SlackApi, web_client
from bot.slack.identity import Identity
from bot.slack.messenger import SlackMessenger
from bot.triage import asking_rules
from bot.triage.model import Choice
from bot.triage.outcomes import Outcome
from bot.triage.policy import Policy

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
    """Our client for a Slack, patient by default; its clock stands still unless there is another."""
    async with aiohttp.ClientSession(
        timeout=patience or aiohttp.ClientTimeout(total=30), connector=aiohttp.TCPConnector(limit=connections)
    ) as session:
        client = web_client(slack.url, session, token="xoxb-1")
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


async def failure(call: Awaitable[object]) -> TriageBotError:
    with pytest.raises(TriageBotError) as caught:
        await call
    return caught.value


def post(api: SlackApi) -> Awaitable[object]:
    return api.write("chat.postMessage", {"channel": "U0ADA", "text": "Was this you?"})


async def posting(answer: Answer, *, patience: aiohttp.ClientTimeout | None = None) -> TriageBotError:
    """Return what a post that is answered so means; it must have been sent exactly once."""
    async with scripted_slack(answer) as slack, api_of(slack, patience=patience) as api:
        error = await failure(post(api))
        assert slack.methods == ["chat.postMessage"]
        return error


async def reading(answer: Answer) -> TriageBotError:
    async with scripted_slack(answer) as slack, api_of(slack) as api:
        return await failure(api.read("users.lookupByEmail", {"email": "ada@example.com"}))


POLICY = Policy()
ACCEPTED = asking_rules.accept(a_request(), "key.secret", NOON, POLICY).question
CLAIMED = asking_rules.claim(ACCEPTED, ADA, NOON).question
ANSWERED = replace(
    CLAIMED, channel="D0ADA", ts="1.000001", said=Choice.YES, standing=Outcome.YES, answers=1, reports=1
)
MEMBER = {"id": "U0ADA", "name": "ada", "team_id": "T0HOME", "is_email_confirmed": True}
FOUND = says({"ok": True, "user": MEMBER})
OPENED = says({"ok": True, "channel": {"id": "D0ADA"}})
TAKEN = writes("ok", content_type="text/plain")
#: What keeps Slack from reading markup, links or mentions in a text, and from unfolding links.
LITERAL = {"parse": "none", "link_names": False}
LITERAL_POST = {**LITERAL, "mrkdwn": False, "unfurl_links": False, "unfurl_media": False}
UPDATED = says({"ok": True, "channel": "D0ADA", "ts": "1.000001"})


@asynccontextmanager
async def messenger_of(
    *answers: Answer, clock: SteppedClock | None = None
) -> AsyncIterator[tuple[SlackMessenger, ScriptedSlack]]:
    identity = Identity(
        team_id="T0HOME",
        enterprise_id="E0HOME",
        bot_id="B0BOT",
        bot_user_id="U0BOT",
        scopes=frozenset({"im:history"}),
    )
    async with scripted_slack(*answers) as slack, api_of(slack, clock=clock) as api:
        yield SlackMessenger(api, identity, WORDING, POLICY), slack
