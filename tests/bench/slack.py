"""A stand-in for Slack's Web API: what the contestants call, and no more, at a latency that can be set."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qsl

from .alerts import TEAM, channel_id, number_in, number_of, slack_id, user_object
from .lean_http import LeanServer, Reply, Request
from .ledger import Cycle, Ledger
from .limit import MessageLimit
from .links import Links

Json = dict[str, Any]

BOT_TOKEN: Final = "xoxb-bench"
APP_TOKEN: Final = "xapp-bench"
_SCOPES: Final = "users:read,users:read.email,im:write,im:history,chat:write"

_BOT: Final = {"team_id": TEAM, "user_id": "U0BENCHBOT1", "bot_id": "B0BENCHBOT1", "app_id": "A0BENCHBOT1"}


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
        self._ledger.note(cycle.number, clicked_at=time.monotonic())
        seconds = await self.links.deliver(self._payload(cycle))
        self._ledger.note(cycle.number, acknowledged_at=time.monotonic())
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

    def _user(self, arguments: Json) -> Reply:
        return _json({"ok": True, "user": user_object(number_in(arguments["user"]))})

    def _open_conversation(self, arguments: Json) -> Reply:
        return _json({"ok": True, "channel": {"id": channel_id(number_in(arguments["users"]))}})

    def _post(self, arguments: Json) -> Reply | _Posted:
        wait = self.limit.refuse(time.monotonic()) if self.limit else None
        if wait is not None:
            return _too_many(wait)
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
        return {
            "type": "block_actions",
            "user": {"id": slack_id(number), "username": name, "name": name, "team_id": TEAM},
            "api_app_id": _BOT["app_id"],
            "token": "verification",
            "container": {
                "type": "message",
                "message_ts": message["ts"],
                "channel_id": channel_id(number),
                "is_ephemeral": False,
            },
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


class _Posted:
    """A question that stands once it is answered for."""

    __slots__ = ("message", "number", "reply")

    def __init__(self, number: int, message: Json, reply: Reply) -> None:
        self.number = number
        self.message = message
        self.reply = reply


_METHODS: Final[dict[str, Callable[[LeanSlack, Json], Reply | _Posted]]] = {
    "auth.test": LeanSlack._auth_test,
    "apps.connections.open": LeanSlack._open_connection,
    "users.lookupByEmail": LeanSlack._look_up,
    "users.info": LeanSlack._user,
    "conversations.open": LeanSlack._open_conversation,
    "chat.postMessage": LeanSlack._post,
    "chat.update": LeanSlack._update,
}


def _message(number: int, arguments: Json) -> Json:
    return {
        "user": _BOT["user_id"],
        "type": "message",
        "ts": f"17320000{number % 100:02}.{number % 1_000_000:06}",
        "bot_id": _BOT["bot_id"],
        "app_id": _BOT["app_id"],
        "team": TEAM,
        "text": arguments.get("text", ""),
        "blocks": _decoded(arguments.get("blocks", [])),
    }


def _arguments(request: Request) -> Json:
    """Return what a method was called with, wherever it stands."""
    kind = request.headers.get("content-type", "")
    if kind.startswith("application/json"):
        return {**request.query, **json.loads(request.body or b"{}")}
    form = dict(parse_qsl(request.body.decode())) if "urlencoded" in kind else {}
    return {**request.query, **form}


def _too_many(wait: int) -> Reply:
    body = {"ok": False, "error": "ratelimited"}
    return Reply(body=json.dumps(body).encode(), status=429, headers={"Retry-After": str(wait)})


def _decoded(blocks: Any) -> Any:
    return json.loads(blocks) if isinstance(blocks, str) else blocks


def _json(body: Json) -> Reply:
    headers = {"x-oauth-scopes": _SCOPES, "x-slack-req-id": "0123456789abcdef0123456789abcdef"}
    content_type = "application/json; charset=utf-8"
    return Reply(body=json.dumps(body).encode(), content_type=content_type, headers=headers)
