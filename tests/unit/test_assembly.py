"""What `assemble` makes of its resources."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fakes import a_request
from memory_store import MemoryStore
from slack_sdk.web.async_client import AsyncWebClient
from wiring import SETTINGS, wired

from bot.redaction import Secret
from bot.worker.assembly import WakeUp


def test_the_bots_token_is_for_calls_alone_and_bolt_has_none() -> None:
    tokens: list[str | None] = []

    def client(*_: Any, token: str | None = None) -> AsyncWebClient:
        tokens.append(token)
        return AsyncWebClient(token=token)

    wired(MemoryStore(), settings=replace(SETTINGS, slack_bot_token=Secret("xoxb-real")), client=client)

    assert tokens == ["xoxb-real", None, "xapp-test"]


async def test_whoever_waits_for_work_is_woken_by_it_and_by_nobody_before() -> None:
    wake, woken = WakeUp(), [0]

    def sleeper() -> None:
        woken[0] += 1

    wake()
    wake.add(sleeper)
    await wired(MemoryStore(), wake=wake).service.receive([a_request()])

    assert woken == [1]
