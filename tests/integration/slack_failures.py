"""Calls that fail, and what they raise."""

from __future__ import annotations

from collections.abc import Awaitable

import aiohttp
import pytest
from scripted_slack import Answer, api_of, scripted_slack

from bot.errors import TriageBotError
from bot.slack.client import SlackApi


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
