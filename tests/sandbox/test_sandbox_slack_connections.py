"""The stand-in Slack: tokens, scopes, people, and the links and events of Socket Mode."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta

import aiohttp
import aiohttp.web
import pytest
from running_slack import ADA, APP_TOKEN, BOT_TOKEN, RunningSlack, refusal, running

from bot.sandbox.fake_slack.installation import Quirks, Rate


@pytest.fixture
async def world() -> AsyncIterator[RunningSlack]:
    async with running() as world:
        yield world


async def test_the_bot_learns_who_it_is_and_which_scopes_it_has(world: RunningSlack) -> None:
    answer = await world.client.auth_test()

    assert (answer["team_id"], answer["user"]) == ("T0SANDBOX01", "triagebot")
    assert answer.headers["x-oauth-scopes"] == "chat:write,im:history,im:write,users:read,users:read.email"


@pytest.mark.parametrize(
    ("token", "code"),
    [("", "not_authed"), ("xoxb-other", "invalid_auth"), (APP_TOKEN, "not_allowed_token_type")],
)
async def test_a_wrong_token_is_refused(token: str, code: str) -> None:
    async with running(token=token) as world:
        answer = await refusal(world.client.auth_test())

        assert answer["error"] == code


async def test_the_bot_token_opens_no_connection_and_calls_no_unknown_method(world: RunningSlack) -> None:
    refused = await refusal(world.client.apps_connections_open(app_token=BOT_TOKEN))
    unknown = await refusal(world.client.api_call("chat.shout"))
    opened = await world.client.apps_connections_open(app_token=APP_TOKEN)

    assert (refused["error"], unknown["error"]) == ("not_allowed_token_type", "unknown_method")
    assert str(opened["url"]).startswith("ws://127.0.0.1:")


async def test_a_scope_can_be_taken_away_and_given_back(world: RunningSlack) -> None:
    channel, _ = await world.ask()

    world.slack.grant({"chat:write"})
    refused = await refusal(world.client.conversations_history(channel=channel))
    world.slack.grant({"chat:write", "im:history"})
    answered = await world.client.conversations_history(channel=channel)

    assert (refused["error"], refused["needed"]) == ("missing_scope", "im:history,channels:history")
    assert refused["provided"] == refused.headers["x-oauth-scopes"] == "chat:write"
    assert len(answered["messages"]) == 1


async def test_a_person_is_found_by_address_whatever_its_case(world: RunningSlack) -> None:
    answer = await world.client.users_lookupByEmail(email="ADA@Example.com")

    assert (answer["user"]["id"], answer["user"]["name"]) == (ADA, "ada")
    assert answer["user"]["profile"]["email"] == "ada@example.com"


@pytest.mark.parametrize(
    ("email", "mark"),
    [
        ("deploybot@example.com", "is_bot"),
        ("hedy@guest.example.net", "is_restricted"),
        ("mallory@partner.example.org", "is_stranger"),
    ],
)
async def test_bots_guests_and_strangers_are_marked(world: RunningSlack, email: str, mark: str) -> None:
    answer = await world.client.users_lookupByEmail(email=email)

    assert answer["user"][mark] is True


async def test_addresses_are_hidden_without_the_scope() -> None:
    async with running(scopes=("users:read",)) as world:
        answer = await world.client.users_info(user=ADA)

        assert "email" not in answer["user"]["profile"]


async def test_whoever_is_deactivated_is_found_by_id_alone_and_nobody_is_found_at_an_unknown_address(
    world: RunningSlack,
) -> None:
    person = world.slack.workspace.person(ADA)
    assert person is not None
    world.slack.workspace.admit(replace(person, deleted=True))

    looked_up = [
        await refusal(world.client.users_lookupByEmail(email=f"{name}@example.com"))
        for name in ("ada", "charles", "nobody")
    ]
    shown = await world.client.users_info(user=ADA)
    posted = await world.client.chat_postMessage(channel=ADA, text="nobody reads this")

    assert [each["error"] for each in looked_up] == ["users_not_found"] * 3
    assert shown["user"]["deleted"] is True
    assert posted["ok"] is True


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
    async with world.link(autoping=False) as websocket:
        limited = await refusal(world.client.apps_connections_open(app_token=APP_TOKEN))
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


async def test_link_disabled_ends_every_link(world: RunningSlack) -> None:
    async with world.link() as websocket:
        ended = asyncio.create_task(world.slack.disconnect("link_disabled"))

        notice = await websocket.receive_json()
        closing = await websocket.receive()
        await ended

    assert notice["reason"] == "link_disabled"
    assert closing.type is aiohttp.WSMsgType.CLOSE
    assert world.slack.links == 0


async def test_an_event_is_sent_again_until_it_is_acknowledged() -> None:
    async with running(acknowledge_within=timedelta(seconds=1)) as world:
        async with world.link() as websocket:
            sending = asyncio.create_task(world.slack.send_event({"type": "app_home_opened", "user": ADA}))

            first = await websocket.receive_json()
            second = await websocket.receive_json()
            await websocket.send_json({"envelope_id": second["envelope_id"]})
            delivery = await sending

        assert (delivery.acknowledged, delivery.attempts) == (True, 2)
        assert (first["retry_attempt"], second["retry_attempt"]) == (0, 1)
        assert first["payload"]["event_id"] == second["payload"]["event_id"]
        assert first["envelope_id"] != second["envelope_id"]
