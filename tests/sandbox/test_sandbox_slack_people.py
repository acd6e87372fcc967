"""The stand-in Slack: tokens, scopes, people, and what is around the Web API."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import aiohttp
import aiohttp.web
import pytest
from aiohttp import web
from running_slack import ADA, APP_TOKEN, BOT_TOKEN, RunningSlack, refusal, running

pytest_plugins = ["slack_fixtures"]


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


async def test_the_bot_token_opens_no_connection(world: RunningSlack) -> None:
    refused = await refusal(world.client.apps_connections_open(app_token=BOT_TOKEN))
    opened = await world.client.apps_connections_open(app_token=APP_TOKEN)

    assert refused["error"] == "not_allowed_token_type"
    assert str(opened["url"]).startswith("ws://127.0.0.1:")


async def test_a_missing_scope_is_named() -> None:
    async with running(scopes=("chat:write",)) as world:
        answer = await refusal(world.client.conversations_history(channel="D1"))

        assert answer["error"] == "missing_scope"
        assert "im:history" in answer["needed"]
        assert answer["provided"] == answer.headers["x-oauth-scopes"] == "chat:write"


async def test_a_scope_can_be_taken_away_and_given_back(world: RunningSlack) -> None:
    channel, _ = await world.ask()

    world.slack.grant({"chat:write"})
    refused = await refusal(world.client.conversations_history(channel=channel))
    world.slack.grant({"chat:write", "im:history"})
    answered = await world.client.conversations_history(channel=channel)

    assert refused["error"] == "missing_scope"
    assert len(answered["messages"]) == 1


async def test_an_unknown_method_is_refused(world: RunningSlack) -> None:
    answer = await refusal(world.client.api_call("chat.shout"))

    assert answer["error"] == "unknown_method"


async def test_a_person_is_found_by_address_whatever_its_case(world: RunningSlack) -> None:
    answer = await world.client.users_lookupByEmail(email="ADA@Example.com")

    assert (answer["user"]["id"], answer["user"]["name"]) == (ADA, "ada")
    assert answer["user"]["profile"]["email"] == "ada@example.com"


@pytest.mark.parametrize("email", ["nobody@example.com", "charles@example.com"])
async def test_unknown_and_deactivated_addresses_are_not_found(world: RunningSlack, email: str) -> None:
    answer = await refusal(world.client.users_lookupByEmail(email=email))

    assert answer["error"] == "users_not_found"


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


async def test_a_middleware_can_lose_the_answer_after_the_work() -> None:
    @aiohttp.web.middleware
    async def lose_answers(request: web.Request, handler: Any) -> web.StreamResponse:
        answer: web.StreamResponse = await handler(request)
        if request.match_info.get("method") == "chat.postMessage" and request.transport is not None:
            request.transport.abort()
        return answer

    async with running(middlewares=[lose_answers]) as world:
        with pytest.raises(aiohttp.ClientError):
            await world.ask()

        history = await world.client.conversations_history(channel="D0ADALOVE01")
        assert len(history["messages"]) == 1


async def test_whoever_subscribes_hears_of_posts_and_changes(world: RunningSlack) -> None:
    changes = world.slack.workspace.subscribe()

    channel, ts = await world.ask()
    await world.client.chat_update(channel=channel, ts=ts, text="Understood")

    kinds = [changes.get_nowait().kind for _ in range(changes.qsize())]
    assert kinds == ["message_posted", "message_changed"]


async def test_a_person_can_be_deactivated_after_they_were_asked(world: RunningSlack) -> None:
    person = world.slack.workspace.person(ADA)
    assert person is not None
    world.slack.workspace.admit(replace(person, deleted=True))

    looked_up = await refusal(world.client.users_lookupByEmail(email="ada@example.com"))
    shown = await world.client.users_info(user=ADA)
    posted = await world.client.chat_postMessage(channel=ADA, text="nobody reads this")

    assert looked_up["error"] == "users_not_found"
    assert shown["user"]["deleted"] is True
    assert posted["ok"] is True


async def test_the_workspace_outlives_a_restart_of_the_server(world: RunningSlack) -> None:
    channel, _ = await world.ask()
    port = int(world.slack.api_url.rsplit(":", 1)[1].split("/")[0])

    await world.slack.stop()
    with pytest.raises(aiohttp.ClientConnectionError):
        await world.client.auth_test()
    await world.slack.start(port)

    history = await world.client.conversations_history(channel=channel)
    assert len(history["messages"]) == 1
