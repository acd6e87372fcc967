from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from running_slack import APP_TOKEN, BOT_TOKEN, RunningSlack, running

from bot.cli.checks.findings import Finding, Verdict
from bot.cli.checks.slack import check_app_token, check_bot_token
from bot.slack.client import open_session, web_client
from bot.slack.identity import SCOPES

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def answering(status: int, **body: Any) -> Any:
    """A middleware in whose presence every call is answered with the same."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        del request, handler
        return web.json_response(body, status=status) if body else web.Response(status=status, text="<html>")

    return answer


async def look(
    world: RunningSlack, *, bot_token: str = BOT_TOKEN, app_token: str = APP_TOKEN, url: str = ""
) -> dict[str, Finding]:
    """Ask this Slack, or whatever is at `url`, about both tokens."""
    tls = ssl.create_default_context()
    async with open_session(tls) as session:
        client = web_client(url or world.slack.api_url, session, tls, token=bot_token)
        findings: Sequence[Finding] = [
            *await check_bot_token(client),
            *await check_app_token(client, session, app_token),
        ]
    return {finding.subject: finding for finding in findings}


async def test_good_tokens_and_all_scopes_are_fine() -> None:
    async with running() as world:
        findings = await look(world)

    scopes = [f"scope {scope}" for scope in SCOPES]
    assert list(findings) == ["bot token", *scopes, "clock and Slack", "app-level token", "Socket Mode host"]
    assert {finding.verdict for finding in findings.values()} == {Verdict.OK}


async def test_a_refused_bot_token_is_to_be_copied_anew() -> None:
    async with running() as world:
        findings = await look(world, bot_token="xoxb-revoked")

    assert findings["bot token"].verdict is Verdict.FAILED
    assert findings["bot token"].detail == "Slack refuses it (invalid_auth)"
    assert "OAuth & Permissions into SLACK_BOT_TOKEN" in findings["bot token"].remedy
    assert findings["scopes"].verdict is Verdict.SKIPPED


@pytest.mark.parametrize("org_wide", ["unnamed", "named"])
async def test_an_app_that_is_installed_for_an_organisation_is_to_be_installed_in_a_workspace(
    org_wide: Any,
) -> None:
    async with running() as world:
        world.slack.installation.quirks.org_wide = org_wide

        findings = await look(world)

    assert findings["bot token"].verdict is Verdict.FAILED
    assert findings["bot token"].detail == "the app is installed for a whole organisation"
    assert "install the app in the one workspace" in findings["bot token"].remedy
    assert findings["scopes"].verdict is Verdict.SKIPPED


async def test_a_refused_app_token_is_to_be_made_anew() -> None:
    async with running() as world:
        findings = await look(world, app_token="xapp-revoked")

    assert findings["app-level token"].verdict is Verdict.FAILED
    assert "connections:write" in findings["app-level token"].remedy
    assert findings["bot token"].verdict is Verdict.OK


async def test_swapped_tokens_are_both_refused() -> None:
    async with running() as world:
        findings = await look(world, bot_token=APP_TOKEN, app_token=BOT_TOKEN)

    assert "not_allowed_token_type" in findings["bot token"].detail
    assert "not_allowed_token_type" in findings["app-level token"].detail


@pytest.mark.parametrize("scope", SCOPES)
async def test_a_missing_scope_says_what_it_costs_and_where_to_add_it(scope: str) -> None:
    async with running() as world:
        world.slack.grant(set(SCOPES) - {scope})

        findings = await look(world)

    finding = findings.pop(f"scope {scope}")
    assert finding.verdict is (Verdict.WARNING if scope == "im:history" else Verdict.FAILED)
    assert finding.detail.startswith("missing: without it the bot cannot ")
    assert finding.remedy.startswith(f"add {scope} at https://api.slack.com/apps > your app > OAuth & Perm")
    assert "(in the manifest: oauth_config.scopes.bot), then reinstall the app there" in finding.remedy
    assert {other.verdict for other in findings.values()} == {Verdict.OK}


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("not_enabled", "turn Socket Mode on"),
        ("accesslimited", "allow this machine's address"),
        ("access_denied", "ask a workspace admin to allow the app"),
        ("ekm_access_denied", "ask a workspace admin: they have suspended posting"),
        ("a_code_that_is_new", "put it into SLACK_APP_TOKEN"),
        ("team_not_found", "put it into SLACK_APP_TOKEN"),
    ],
)
async def test_each_refusal_has_its_remedy(code: str, remedy: str) -> None:
    async with running(middlewares=[answering(200, ok=False, error=code)]) as world:
        findings = await look(world)

    assert findings["app-level token"].detail == f"Slack refuses it ({code})"
    assert remedy in findings["app-level token"].remedy


@pytest.mark.parametrize(
    ("answer", "remedy"),
    [
        (
            answering(429, ok=False, error="ratelimited"),
            "try again in a minute; for outages see https://slack-status.com",
        ),
        (answering(503), "try again in a minute; for outages see https://slack-status.com"),
        (answering(404), "check SLACK_API_URL"),
        (answering(200), "check SLACK_API_URL"),
        (answering(200, ok=True), "check SLACK_API_URL"),
    ],
)
async def test_an_answer_that_says_nothing_of_the_token_does_not_blame_it(answer: Any, remedy: str) -> None:
    async with running(middlewares=[answer]) as world:
        findings = await look(world)

    for subject in ("bot token", "app-level token"):
        assert findings[subject].verdict is Verdict.FAILED
        assert remedy in findings[subject].remedy, findings[subject]


@pytest.mark.parametrize("url", [None, 7, "", "wss://", "http://[", "wss://h:99999/", "wss://\ud800/"])
async def test_an_answer_that_names_no_websocket_is_not_slacks(url: object) -> None:
    async with running(middlewares=[answering(200, ok=True, url=url)]) as world:
        finding = (await look(world))["app-level token"]

    assert finding.detail == "Slack's answer to apps.connections.open has no URL"


async def test_a_slack_that_cannot_be_reached_is_named_with_the_way_there() -> None:
    async with running() as world:
        closed = world.slack.api_url
        await world.slack.stop()

        findings = await look(world, url=closed)

    finding = findings["bot token"]
    assert finding.verdict is Verdict.FAILED
    assert finding.detail.startswith("Slack cannot be reached (Cannot connect to host 127.0.0.1:")
    assert "SSLContext" not in finding.detail
    assert "DNS, firewall and proxy" in finding.remedy


async def test_the_ticket_of_the_websocket_stays_unused_and_unseen() -> None:
    async with running() as world:
        findings = await look(world)

        (ticket,) = world.slack.installation.tickets
        assert ticket not in str(findings)
        async with aiohttp.ClientSession() as session:
            unused = await session.ws_connect(f"{world.slack.api_url[:-4]}link/?ticket={ticket}")
            await unused.close()
