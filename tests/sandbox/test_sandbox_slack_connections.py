"""The stand-in Slack: Socket Mode links and events."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from datetime import timedelta

import aiohttp
import aiohttp.web
import pytest
from running_slack import ADA, APP_TOKEN, RunningSlack, refusal, replaced, running
from slack_bolt.async_app import AsyncAck

from bot.sandbox.fake_slack.installation import Quirks, Rate

pytest_plugins = ["slack_fixtures"]


async def test_a_ticket_opens_one_websocket(world: RunningSlack) -> None:
    url = str((await world.client.apps_connections_open(app_token=APP_TOKEN))["url"])

    async with world.session.ws_connect(url) as websocket:
        hello = await websocket.receive_json()
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await world.session.ws_connect(url)

    assert (hello["type"], hello["num_connections"]) == ("hello", 1)
    assert hello["connection_info"]["app_id"]
    assert caught.value.status == 401


async def test_a_link_may_be_limited_slow_to_answer_and_counted_when_it_is_dead(world: RunningSlack) -> None:
    quirks = Quirks(
        limits={"apps.connections.open": Rate(calls=1, per=timedelta(hours=1))},
        pong_delay=timedelta(milliseconds=100),
        ghost_lifetime=timedelta(hours=1),
    )
    world.slack.installation.quirks = quirks
    opened = await world.client.apps_connections_open(app_token=APP_TOKEN)
    limited = await refusal(world.client.apps_connections_open(app_token=APP_TOKEN))
    async with world.session.ws_connect(str(opened["url"]), autoping=False) as websocket:
        await websocket.receive_json()
        pinged_at = time.monotonic()
        await websocket.ping(b"now")
        pong = await websocket.receive()
        waited = time.monotonic() - pinged_at
        world.slack.drop_links()

    assert (limited.status_code, limited.headers["Retry-After"]) == (429, "3600")
    assert (pong.type, pong.data) == (aiohttp.WSMsgType.PONG, b"now")
    assert waited >= 0.1
    assert (world.slack.links, world.slack.socket_mode.counted) == (0, 1)


async def test_an_eleventh_link_is_turned_away(world: RunningSlack) -> None:
    async with AsyncExitStack() as stack:
        websockets = []
        for _ in range(11):
            opened = await world.client.apps_connections_open(app_token=APP_TOKEN)
            connecting = world.session.ws_connect(str(opened["url"]))
            websockets.append(await stack.enter_async_context(connecting))

        first_words = [await websocket.receive_json() for websocket in websockets]

    assert [word["type"] for word in first_words] == ["hello"] * 10 + ["disconnect"]
    assert first_words[-1]["reason"] == "too_many_websockets"


async def test_an_app_replaces_a_link_that_is_to_be_refreshed(world: RunningSlack) -> None:
    channel, ts = await world.ask()
    async with world.app() as app:

        @app.action("answer-no")
        async def take(ack: AsyncAck) -> None:
            await ack()

        await world.slack.disconnect("refresh_requested")
        await replaced(world.slack)
        click = await world.slack.click(user=ADA, channel=channel, ts=ts, action_id="answer-no")

    assert click.acknowledged


async def test_link_disabled_ends_every_link(world: RunningSlack) -> None:
    opened = await world.client.apps_connections_open(app_token=APP_TOKEN)
    async with world.session.ws_connect(str(opened["url"])) as websocket:
        await websocket.receive_json()
        ended = asyncio.create_task(world.slack.disconnect("link_disabled"))

        notice = await websocket.receive_json()
        closing = await websocket.receive()
        await ended

    assert notice["reason"] == "link_disabled"
    assert closing.type is aiohttp.WSMsgType.CLOSE
    assert world.slack.links == 0


async def test_an_event_is_sent_again_until_it_is_acknowledged() -> None:
    async with running(acknowledge_within=timedelta(seconds=1)) as world:
        opened = await world.client.apps_connections_open(app_token=APP_TOKEN)
        async with world.session.ws_connect(str(opened["url"])) as websocket:
            await websocket.receive_json()
            sending = asyncio.create_task(world.slack.send_event({"type": "app_home_opened", "user": ADA}))

            first = await websocket.receive_json()
            second = await websocket.receive_json()
            await websocket.send_json({"envelope_id": second["envelope_id"]})
            delivery = await sending

        assert (delivery.acknowledged, delivery.attempts) == (True, 2)
        assert (first["retry_attempt"], second["retry_attempt"]) == (0, 1)
        assert first["payload"]["event_id"] == second["payload"]["event_id"]
        assert first["envelope_id"] != second["envelope_id"]


async def test_a_cut_link_ends_without_a_word(world: RunningSlack) -> None:
    opened = await world.client.apps_connections_open(app_token=APP_TOKEN)
    async with world.session.ws_connect(str(opened["url"])) as websocket:
        await websocket.receive_json()

        world.slack.drop_links()
        last = await websocket.receive()

    assert last.type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}
    await world.slack.socket_mode.until(lambda: world.slack.links == 0)
