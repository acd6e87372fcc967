"""A stand-in for Slack: what the contestants call, at a latency that can be set, and Socket Mode."""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import random
import ssl
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

from aiohttp import WSMsgType, web
from lean_http import LeanServer, Reply, Request

from .alerts import TEAM, channel_id, number_in, number_of, slack_id, user_object
from .ledger import Cycle, Ledger

Json = dict[str, Any]

BOT_TOKEN: Final = "xoxb-bench"
APP_TOKEN: Final = "xapp-bench"
_SCOPES: Final = "users:read,users:read.email,im:write,im:history,chat:write"

_BOT: Final = {"team_id": TEAM, "user_id": "U0BENCHBOT1", "bot_id": "B0BENCHBOT1", "app_id": "A0BENCHBOT1"}

#: Slack shows the person a warning after this many seconds without an acknowledgement.
_ACKNOWLEDGE_WITHIN: Final = 3.0


class _Posted(NamedTuple):
    """A question that is open until it is answered."""

    number: int
    message: Json
    reply: Reply


class MessageLimit:
    """A workspace's limit: this many messages in any interval of that length; `refused` counts the others."""

    def __init__(self, *, messages: int, seconds: float) -> None:
        self._seconds = seconds
        self._taken_at: deque[float] = deque(maxlen=messages)
        self.refused = 0

    def refuse(self, now: float) -> int | None:
        """Take a message at this moment of any clock (None), or return the whole seconds of `Retry-After`."""
        is_full = len(self._taken_at) == self._taken_at.maxlen
        wait = self._taken_at[0] + self._seconds - now if is_full else 0.0
        if wait > 0:
            self.refused += 1
            return math.ceil(wait)
        self._taken_at.append(now)
        return None


class Links:
    """All links of the app. An envelope goes over any one of them, as Slack does it."""

    def __init__(self) -> None:
        self._open: list[web.WebSocketResponse] = []
        self._waiting: dict[str, asyncio.Future[float]] = {}
        self._numbers = itertools.count()
        self.address = ""
        self.linked_at = 0.0  #: when the first link was greeted

    @property
    def count(self) -> int:
        return len(self._open)

    async def start(self, tls: ssl.SSLContext | None) -> None:
        """Serve on a free port, for as long as the process lives."""
        runner = web.ServerRunner(web.Server(self._serve, access_log=None))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        self.address = f"ws{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}/link/?ticket=bench"

    async def deliver(self, payload: Json) -> float:
        """Send a payload; return how many seconds its acknowledgement took. `TimeoutError` as in Slack."""
        envelope_id = f"00000000-0000-4000-a000-{next(self._numbers):012}"
        acknowledged: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._waiting[envelope_id] = acknowledged
        facts = {"type": "interactive", "accepts_response_payload": False, "payload": payload}
        text = json.dumps({"envelope_id": envelope_id, **facts})
        sent_at = time.perf_counter()
        try:
            await random.choice(self._open).send_str(text)
            return await asyncio.wait_for(acknowledged, _ACKNOWLEDGE_WITHIN) - sent_at
        finally:
            del self._waiting[envelope_id]

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        link = web.WebSocketResponse(heartbeat=30.0)
        await link.prepare(request)
        self._open.append(link)
        facts = {"num_connections": len(self._open), "connection_info": {"app_id": "A0BENCH"}}
        await link.send_str(json.dumps({"type": "hello", **facts}))
        self.linked_at = self.linked_at or time.monotonic()
        try:
            async for message in link:
                if message.type is WSMsgType.TEXT:
                    self._take(message.data)
        finally:
            self._open.remove(link)
        return link

    def _take(self, text: str) -> None:
        arrived_at = time.perf_counter()
        waiting = self._waiting.get(json.loads(text).get("envelope_id", ""))
        if waiting is not None and not waiting.done():
            waiting.set_result(arrived_at)


class LeanSlack:
    """One workspace, in which everybody whom an alert names can be asked."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.links = Links()
        self.server = LeanServer(self._serve)
        self.latency = 0.0  #: seconds that every call takes
        self.limit: MessageLimit | None = None  #: of the whole workspace

    async def click(self, cycle: Cycle) -> float:
        """Press *yes* under a question, as the person who was asked; return the acknowledgement's seconds."""
        seconds = await self.links.deliver(self._payload(cycle))
        self._ledger.note(cycle.number, acknowledged=True)
        return seconds

    def _serve(self, request: Request, answer: Callable[[Reply], None]) -> None:
        reply = self._reply(request)
        if self.latency:
            asyncio.get_running_loop().call_later(self.latency, self._answer, reply, answer)
        else:
            self._answer(reply, answer)

    def _answer(self, reply: Reply | _Posted, answer: Callable[[Reply], None]) -> None:
        if isinstance(reply, _Posted):
            answer(reply.reply)
            self._ledger.note_post(reply.number, reply.message)
        else:
            answer(reply)

    def _reply(self, request: Request) -> Reply | _Posted:
        place, _, name = request.path.rpartition("/")
        if place == "/respond":
            self._ledger.note(int(name), redrawn=True)
            return Reply(body=b"ok", content_type="text/html")
        method = _METHODS.get(name)
        if method is None:
            self._ledger.faults.append(f"Slack does not know {name}")
            return _json({"ok": False, "error": "unknown_method"})
        return method(self, _arguments(request))

    def _auth_test(self, _: Json) -> Reply:
        url = "https://bench.slack.com/"
        return _json({"ok": True, "url": url, "team": "Bench", "user": "triagebot", **_BOT})

    def _open_connection(self, _: Json) -> Reply:
        return _json({"ok": True, "url": self.links.address})

    def _look_up(self, arguments: Json) -> Reply:
        return _json({"ok": True, "user": user_object(number_of(arguments["email"]))})

    def _post(self, arguments: Json) -> Reply | _Posted:
        wait = self.limit.refuse(time.monotonic()) if self.limit else None
        if wait is not None:
            body = json.dumps({"ok": False, "error": "ratelimited"}).encode()
            return Reply(body=body, status=429, headers={"Retry-After": str(wait)})
        number = number_in(arguments["channel"])
        message = _message(number, arguments)
        reply = _json({"ok": True, "channel": channel_id(number), "ts": message["ts"], "message": message})
        return _Posted(number, message, reply)

    def _update(self, arguments: Json) -> Reply:
        number = number_in(arguments["channel"])
        self._ledger.note(number, redrawn=True)
        message = _message(number, arguments)
        return _json({"ok": True, "channel": arguments["channel"], "ts": arguments["ts"], "message": message})

    def _payload(self, cycle: Cycle) -> Json:
        number, message = cycle.number, cycle.message
        name = f"p{number:08}"
        actions = next(block for block in message["blocks"] if block["type"] == "actions")
        button = actions["elements"][0]
        place = {"message_ts": message["ts"], "channel_id": channel_id(number), "is_ephemeral": False}
        return {
            "type": "block_actions",
            "user": {"id": slack_id(number), "username": name, "name": name, "team_id": TEAM},
            "api_app_id": _BOT["app_id"],
            "token": "verification",
            "container": {"type": "message", **place},
            "trigger_id": f"{number}.{number}.bench",
            "team": {"id": TEAM, "domain": "bench"},
            "enterprise": None,
            "is_enterprise_install": False,
            "channel": {"id": channel_id(number), "name": "directmessage"},
            "message": message,
            "state": {"values": {}},
            "response_url": f"{self.server.address}/respond/{number}",
            "actions": [{**button, "block_id": "answers", "action_ts": f"{time.time():.6f}"}],
        }


_METHODS: Final[Mapping[str, Callable[[LeanSlack, Json], Reply | _Posted]]] = {
    "auth.test": LeanSlack._auth_test,
    "apps.connections.open": LeanSlack._open_connection,
    "users.lookupByEmail": LeanSlack._look_up,
    "chat.postMessage": LeanSlack._post,
    "chat.update": LeanSlack._update,
}


def _message(number: int, arguments: Json) -> Json:
    blocks = arguments.get("blocks", [])
    return {
        "user": _BOT["user_id"],
        "type": "message",
        "ts": f"17320000{number % 100:02}.{number % 1_000_000:06}",
        "bot_id": _BOT["bot_id"],
        "app_id": _BOT["app_id"],
        "team": TEAM,
        "text": arguments.get("text", ""),
        "blocks": json.loads(blocks) if isinstance(blocks, str) else blocks,
    }


def _arguments(request: Request) -> Json:
    """Return what a method was called with, wherever it stands."""
    kind = request.headers.get("content-type", "")
    if kind.startswith("application/json"):
        return {**request.query, **json.loads(request.body or b"{}")}
    form = dict(parse_qsl(request.body.decode())) if "urlencoded" in kind else {}
    return {**request.query, **form}


def _json(body: Json) -> Reply:
    headers = {"x-oauth-scopes": _SCOPES, "x-slack-req-id": "0123456789abcdef0123456789abcdef"}
    content_type = "application/json; charset=utf-8"
    return Reply(body=json.dumps(body).encode(), content_type=content_type, headers=headers)
