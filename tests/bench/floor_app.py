"""A contestant: the least that could do the work with the worker's own libraries.

One loop, one session, one TLS context, batches in threads; no store, no checks, no second try. What it loses,
it loses. Nobody should run it: it is where the worker's cost could not go below.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

import aiohttp
import boto3
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

#: Questions under way at a time: as many as the worker has.
_CONCURRENCY: Final = 128

_LABELS: Final = {
    "yes": "Yes, that was me",
    "no": "No, that was not me",
    "notSure": "I'm not sure",
    "wrongUser": "That is somebody else",
}
_ABOUT: Final = (
    "Sent by the security team's bot. It never asks for a password or a code, nor to visit another site."
)


#: As the worker posts: nothing in a `text` is parsed, and no link is unfolded.
_QUIET: Final[dict[str, Any]] = {
    "mrkdwn": False,
    "parse": "none",
    "link_names": False,
    "unfurl_links": False,
    "unfurl_media": False,
}


class Floor:
    """Asks, and passes on the answers."""

    def __init__(self, session: aiohttp.ClientSession, tls: ssl.SSLContext) -> None:
        self._session = session
        make_client = partial(
            AsyncWebClient, base_url=os.environ["SLACK_API_URL"], session=session, ssl=tls, retry_handlers=[]
        )
        self._client = make_client(token=os.environ["SLACK_BOT_TOKEN"])
        # boto3's own creation of a client is not to be shared between threads; a client is.
        self._sqs = boto3.Session().client("sqs", region_name=os.environ["AWS_REGION"])
        self._threads = {name: ThreadPoolExecutor(1) for name in ("receive", "delete", "send")}
        self._room = asyncio.Semaphore(_CONCURRENCY)
        self._answers: asyncio.Queue[str] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self.app = AsyncApp(client=make_client(), authorize=self._authorization, process_before_response=True)
        self.app.action("answer-yes")(self._on_yes)

    async def run(self) -> None:
        self._identity = await self._client.auth_test()
        await AsyncSocketModeHandler(self.app, os.environ["SLACK_APP_TOKEN"]).connect_async()
        await asyncio.gather(self._receive(), self._send())

    @property
    def _authorization(self) -> Callable[[], Awaitable[AuthorizeResult]]:
        # A function, for Bolt passes a method its own idea of `self`.
        async def authorize() -> AuthorizeResult:
            who = self._identity
            return AuthorizeResult(
                enterprise_id=None, team_id=who["team_id"], bot_id=who["bot_id"], bot_user_id=who["user_id"]
            )

        return authorize

    async def _receive(self) -> None:
        while True:
            answer = await self._call(
                "receive", "receive_message", "REQUEST", MaxNumberOfMessages=10, WaitTimeSeconds=20
            )
            messages = answer.get("Messages", [])
            for message in messages:
                await self._room.acquire()
                self._start(self._ask(json.loads(message["Body"])))
            if messages:
                entries = [
                    {"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in enumerate(messages)
                ]
                await self._call("delete", "delete_message_batch", "REQUEST", Entries=entries)

    async def _ask(self, alert: dict[str, Any]) -> None:
        try:
            found = await self._client.users_lookupByEmail(email=alert["user"])
            await self._client.chat_postMessage(channel=found["user"]["id"], **_QUIET, **question(alert))
        finally:
            self._room.release()

    async def _on_yes(self, ack: Any, body: dict[str, Any]) -> None:
        alert = json.loads(body["actions"][0]["value"])
        details = {
            "identifier": alert["identifier"],
            "user": {"email": alert["user"], "slack": body["user"]["id"], "slackName": body["user"]["name"]},
            "identityConfidence": alert["identityConfidence"],
            "response": "yes",
        }
        self._answers.put_nowait(json.dumps({"category": "triagebot", "details": details}))
        self._start(self._redraw(body))
        await ack()

    async def _redraw(self, body: dict[str, Any]) -> None:
        text = "Understood, thanks for letting us know."
        blocks = [*body["message"]["blocks"], {"type": "section", "block_id": "answer", "text": _plain(text)}]
        webhook = AsyncWebhookClient(body["response_url"], session=self._session, retry_handlers=[])
        await webhook.send(text=text, blocks=blocks, replace_original=True)

    async def _send(self) -> None:
        while True:
            bodies = [await self._answers.get()]
            while len(bodies) < 10 and not self._answers.empty():
                bodies.append(self._answers.get_nowait())
            entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies)]
            await self._call("send", "send_message_batch", "RESPONSE", Entries=entries)

    async def _call(self, thread: str, action: str, queue: str, **arguments: Any) -> Any:
        call = partial(getattr(self._sqs, action), QueueUrl=os.environ[f"{queue}_QUEUE_URL"], **arguments)
        return await asyncio.get_running_loop().run_in_executor(self._threads[thread], call)

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def question(alert: dict[str, Any]) -> dict[str, Any]:
    """Return a message that says and offers as much as the worker's, so that Slack is sent as much."""
    value = json.dumps({name: alert[name] for name in ("identifier", "user", "identityConfidence")})
    buttons: list[dict[str, Any]] = [
        {"type": "button", "action_id": f"answer-{choice}", "value": value, "text": _plain(label)}
        for choice, label in _LABELS.items()
    ]
    buttons[0]["style"], buttons[1]["style"] = "primary", "danger"
    buttons[1]["confirm"] = _confirm(
        "This was not you?", "The security team will look at it, and get in touch with you.", "It was not me"
    )
    buttons[3]["confirm"] = _confirm("Somebody else?", f"The alert names {alert['user']}.", "Not my account")
    asked: list[dict[str, Any]] = [
        {"type": "text", "text": "Did you open this session?", "style": {"bold": True}},
        {"type": "text", "text": " It was opened with the account of "},
        {"type": "text", "text": alert["user"]},
        {"type": "text", "text": ", which is why this question is for you."},
    ]
    blocks = [
        {"type": "header", "block_id": "title", "text": _plain("Session on a sensitive server")},
        _rich_text("rich_text_quote", [{"type": "text", "text": alert["summary"]}], "summary"),
        _rich_text("rich_text_section", asked, "question"),
        {"type": "actions", "block_id": "answers", "elements": buttons},
        _rich_text("rich_text_section", [{"type": "text", "text": "Please answer by "}, _date()], "deadline"),
        {"type": "context", "block_id": "about", "elements": [_plain(_ABOUT)]},
    ]
    metadata = {"event_type": "triage_question", "event_payload": {"ref": alert["identifier"]}}
    text = f"Was this you? A question about the account of {alert['user']}: {alert['summary']}"
    return {"text": text, "blocks": blocks, "metadata": metadata}


def _confirm(title: str, text: str, confirm: str) -> dict[str, Any]:
    texts = {"title": title, "text": text, "confirm": confirm, "deny": "Go back"}
    return {name: _plain(each) for name, each in texts.items()}


def _rich_text(kind: str, elements: list[dict[str, Any]], block_id: str) -> dict[str, Any]:
    paragraph = {"type": kind, "elements": elements}
    return {"type": "rich_text", "block_id": block_id, "elements": [paragraph]}


def _date() -> dict[str, Any]:
    tomorrow = int(time.time()) + 24 * 3600
    return {
        "type": "date",
        "timestamp": tomorrow,
        "format": "{date_long_pretty}, {time}",
        "fallback": time.strftime("%a %d %b %Y, %H:%M (UTC)", time.gmtime(tomorrow)),
    }


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}


async def main() -> None:
    tls = ssl.create_default_context()
    connector = aiohttp.TCPConnector(ssl=tls, limit=256)
    async with aiohttp.ClientSession(connector=connector) as session:
        await Floor(session, tls).run()


if __name__ == "__main__":
    asyncio.run(main())
