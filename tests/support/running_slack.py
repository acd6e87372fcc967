"""A running stand-in Slack, the SDK's client of it, and a Bolt app connected to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from fakes import SteppedClock
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from wiring import SETTINGS

from bot.clock import Clock
from bot.redaction import Secret
from bot.sandbox.fake_slack import SlackStandIn, default_workspace
from bot.sandbox.fake_slack.server import Click
from bot.sandbox.fake_slack.workspace import Message
from bot.settings.settings import Settings
from bot.slack.client import SlackApi
from bot.slack.link_urls import LinkUrls

BOT_TOKEN = "xoxb-sandbox"
APP_TOKEN = "xapp-sandbox"
ADA = "U0ADALOVE01"
GRACE = "U0GRACEH002"
BUTTON: dict[str, Any] = {
    "type": "button",
    "action_id": "answer-no",
    "text": {"type": "plain_text", "text": "No"},
    "style": "danger",
    "value": "ref-1",
}
BLOCKS: list[dict[str, Any]] = [
    {"type": "section", "block_id": "question", "text": {"type": "mrkdwn", "text": "Was it you?"}},
    {"type": "actions", "block_id": "answers", "elements": [BUTTON]},
]
METADATA = {"event_type": "triage_question", "event_payload": {"ref": "ref-1"}}


class SettableClock(SteppedClock):
    """Slack's and ours: stands at nine until it is moved."""

    def __init__(self) -> None:
        super().__init__(now=datetime(2026, 11, 24, 9, tzinfo=UTC))


@dataclass(frozen=True, kw_only=True)
class RunningSlack:
    """A running stand-in and the SDK's client of it."""

    slack: SlackStandIn
    client: AsyncWebClient
    session: aiohttp.ClientSession

    async def ask(self, user: str = ADA) -> tuple[str, str]:
        """Post a question with one button; channel and ts of it."""
        posted = await self.client.chat_postMessage(
            channel=user, text="Was it you?", blocks=BLOCKS, metadata=METADATA
        )
        return str(posted["channel"]), str(posted["ts"])

    async def press(self, channel: str, ts: str, *, user: str = ADA) -> Click:
        """Press the button of such a question."""
        return await self.slack.click(user=user, channel=channel, ts=ts, action_id="answer-no")

    def message(self, channel: str, ts: str) -> Message:
        """Return a message that is there, as it stands."""
        message = self.slack.workspace.message(channel, ts)
        assert message is not None
        return message

    @asynccontextmanager
    async def link(self, **options: Any) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """Open a websocket, and take its hello."""
        opened = await self.client.apps_connections_open(app_token=APP_TOKEN)
        async with self.session.ws_connect(str(opened["url"]), **options) as websocket:
            await websocket.receive_json()
            yield websocket

    @asynccontextmanager
    async def app(self, links: int = 1) -> AsyncIterator[AsyncApp]:
        """Connect a Bolt app that knows its bot already; listeners may be added afterwards."""
        app = AsyncApp(client=AsyncWebClient(base_url=self.slack.api_url), authorize=authorized)
        handlers = [AsyncSocketModeHandler(app, APP_TOKEN) for _ in range(links)]
        for handler in handlers:
            connect: Callable[[], Awaitable[None]] = handler.connect_async
            await connect()
        async with asyncio.timeout(10):
            await self.slack.until_linked(links)
        try:
            yield app
        finally:
            for handler in handlers:
                close: Callable[[], Awaitable[None]] = handler.close_async
                await close()


def settings_for(world: RunningSlack, **changes: Any) -> Settings:
    """Return the settings of a worker that speaks to this Slack."""
    return replace(
        SETTINGS,
        slack_api_url=world.slack.api_url,
        slack_bot_token=Secret(BOT_TOKEN),
        slack_app_token=Secret(APP_TOKEN),
        **changes,
    )


def link_urls(
    world: RunningSlack, *, clock: Clock | None = None, jitter: Callable[[], float] = lambda: 0.1
) -> LinkUrls:
    """Return the one way of some links to their URLs."""
    clock = clock or Clock()
    client = AsyncWebClient(
        token=APP_TOKEN, base_url=world.slack.api_url, session=world.session, retry_handlers=[]
    )
    return LinkUrls(SlackApi(client, world.session, clock=clock), clock=clock, jitter=jitter)


def acknowledge_clicks(app: AsyncApp) -> list[dict[str, Any]]:
    """Have the app acknowledge each press of the button; return the list of what it gets."""
    bodies: list[dict[str, Any]] = []

    @app.action("answer-no")
    async def take(ack: AsyncAck, body: dict[str, Any]) -> None:
        bodies.append(body)
        await ack()

    return bodies


async def authorized(**_context: Any) -> AuthorizeResult:
    """Stand for the bot's own authorisation, made once at start."""
    return AuthorizeResult(
        enterprise_id=None, team_id="T0SANDBOX01", bot_token=BOT_TOKEN, bot_id="B", bot_user_id="U"
    )


@asynccontextmanager
async def running(token: str = BOT_TOKEN, **options: Any) -> AsyncIterator[RunningSlack]:
    slack = SlackStandIn(default_workspace(), bot_token=BOT_TOKEN, app_token=APP_TOKEN, **options)
    async with AsyncExitStack() as stack:
        await slack.start()
        stack.push_async_callback(slack.stop)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        client = AsyncWebClient(token=token, base_url=slack.api_url, session=session, retry_handlers=[])
        yield RunningSlack(slack=slack, client=client, session=session)


async def refusal(call: Awaitable[Any]) -> Any:
    """Return the answer with which Slack refuses the call."""
    with pytest.raises(SlackApiError) as caught:
        await call
    return caught.value.response
