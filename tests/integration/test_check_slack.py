"""What `check` says of Slack: tokens, scopes, and the way to Socket Mode's host, without a websocket."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from certificate import make_certificate, needs_openssl, show, trust
from running_slack import APP_TOKEN, BOT_TOKEN, RunningSlack, running

from bot.cli.checks.findings import CheckStatus, Finding
from bot.cli.checks.slack import check_app_token, check_bot_token, check_host, check_responders
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
    async with open_session() as session:
        client = web_client(url or world.slack.api_url, session, token=bot_token)
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
    assert {finding.status for finding in findings.values()} == {CheckStatus.OK}


@pytest.mark.parametrize(
    ("tokens", "subject", "detail", "remedy"),
    [
        (
            {"bot_token": "xoxb-revoked"},
            "bot token",
            "Slack refuses it (invalid_auth)",
            "OAuth & Permissions into SLACK_BOT_TOKEN",
        ),
        ({"app_token": "xapp-revoked"}, "app-level token", "invalid_auth", "connections:write"),
        ({"bot_token": APP_TOKEN}, "bot token", "not_allowed_token_type", ""),
        ({"app_token": BOT_TOKEN}, "app-level token", "not_allowed_token_type", ""),
    ],
)
async def test_a_refused_token_must_be_copied_again(
    tokens: dict[str, str], subject: str, detail: str, remedy: str
) -> None:
    async with running() as world:
        findings = await look(world, **tokens)

    assert findings[subject].status is CheckStatus.FAILED
    assert detail in findings[subject].detail
    assert remedy in findings[subject].remedy
    of_the_other = "bot token" if subject == "app-level token" else "app-level token"
    assert findings[of_the_other].status is CheckStatus.OK
    assert ("scopes" in findings) is (subject == "bot token")


@pytest.mark.parametrize("org_wide", ["unnamed", "named"])
async def test_an_app_that_is_installed_for_an_organisation_is_to_be_installed_in_a_workspace(
    org_wide: Any,
) -> None:
    async with running() as world:
        world.slack.installation.quirks.org_wide = org_wide

        findings = await look(world)

    assert findings["bot token"].status is CheckStatus.FAILED
    assert findings["bot token"].detail == "the app is installed for a whole organisation"
    assert "install the app in the one workspace" in findings["bot token"].remedy
    assert findings["scopes"].status is CheckStatus.SKIPPED


@pytest.mark.parametrize("scope", SCOPES)
async def test_a_missing_scope_says_what_it_costs_and_where_to_add_it(scope: str) -> None:
    async with running() as world:
        world.slack.grant(set(SCOPES) - {scope})

        findings = await look(world)

    finding = findings.pop(f"scope {scope}")
    assert finding.status is (CheckStatus.WARNING if scope == "im:history" else CheckStatus.FAILED)
    assert finding.detail.startswith("missing: without it the bot cannot ")
    assert finding.remedy.startswith(f"add {scope} at https://api.slack.com/apps > your app > OAuth & Perm")
    assert "(in the manifest: oauth_config.scopes.bot), then reinstall the app there" in finding.remedy
    assert {other.status for other in findings.values()} == {CheckStatus.OK}


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
        assert findings[subject].status is CheckStatus.FAILED
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
    assert finding.status is CheckStatus.FAILED
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


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate by an authority that nobody knows: itself."""
    return make_certificate(tmp_path)


@asynccontextmanager
async def host(answer: bytes, *, certificate: Path | None = None) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that gives one answer, whatever is asked; yields its port, and what it was asked."""
    asked: list[bytes] = []
    calls: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            asked.append(await reader.readline())
            writer.write(answer)
            writer.close()
            await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        calls.add(asyncio.create_task(serve(reader, writer)))

    context = show(certificate) if certificate else None
    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1], asked
    finally:
        server.close()
        await server.wait_closed()
        await asyncio.gather(*calls)


async def look_at_host(url: str, *, authority: Path | None = None) -> Finding:
    tls = trust(authority) if authority else ssl.create_default_context()
    async with open_session(tls) as session:
        return await check_host(session, url)


@needs_openssl
async def test_a_host_that_shakes_hands_is_fine_and_gets_no_ticket(certificate: Path) -> None:
    async with host(b"HTTP/1.1 404 Not Found\r\n\r\n", certificate=certificate) as (port, asked):
        finding = await look_at_host(f"wss://127.0.0.1:{port}/link/?ticket=secret", authority=certificate)

    assert finding.status is CheckStatus.OK
    assert finding.detail == f"127.0.0.1:{port} answers (TLS; not connected)"
    assert asked == [b"HEAD / HTTP/1.1\r\n"]


async def test_a_host_that_hangs_up_was_reached() -> None:
    async with host(b"") as (port, _):
        finding = await look_at_host(f"ws://127.0.0.1:{port}/link/")

    assert finding.status is CheckStatus.OK


@needs_openssl
async def test_a_certificate_that_nobody_vouches_for_fails(certificate: Path) -> None:
    async with host(b"", certificate=certificate) as (port, asked):
        finding = await look_at_host(f"wss://127.0.0.1:{port}/link/")

    assert finding.status is CheckStatus.FAILED
    assert finding.detail.startswith(f"TLS with 127.0.0.1:{port} failed: ")
    assert "certificate" in finding.detail
    assert finding.remedy.startswith("trust the certificate of the proxy that intercepts TLS (SSL_CERT_FILE)")
    assert asked in ([], [b""])


async def test_a_host_that_speaks_no_tls_fails() -> None:
    async with host(b"HTTP/1.1 200 OK\r\n\r\n") as (port, _):
        finding = await look_at_host(f"wss://127.0.0.1:{port}/link/")

    assert finding.status is CheckStatus.FAILED


async def test_a_host_that_cannot_be_reached_is_named() -> None:
    async with host(b"") as (port, _):
        pass

    finding = await look_at_host(f"wss://127.0.0.1:{port}/link/?ticket=secret")

    assert finding.status is CheckStatus.FAILED
    assert finding.detail.startswith(f"127.0.0.1:{port} cannot be reached")
    assert finding.remedy.startswith(f"allow this machine to reach 127.0.0.1:{port} too (firewall, proxy: ")
    assert "secret" not in str(finding)


# Who may act on the cards


async def judge(world: RunningSlack, *responders: str, url: str = "") -> Finding:
    async with open_session() as session:
        client = web_client(url or world.slack.api_url, session, token=BOT_TOKEN)
        [finding] = await check_responders(client, responders)
    return finding


async def test_responders_whom_slack_knows_are_fine() -> None:
    async with running() as world:
        finding = await judge(world, "U0RADIAP009", "U0DOROTH010")

    assert (finding.subject, finding.status) == ("responders", CheckStatus.OK)
    assert finding.detail == "2 known to Slack"


async def test_responders_who_could_handle_no_alert_are_named_each_with_why() -> None:
    unfit = ("U0NOBODY999", "U0CHARLE005", "U0DEPLOY006", "U0HEDYLA007", "U0STRANG008")
    async with running() as world:
        finding = await judge(world, "U0RADIAP009", *unfit)

    assert finding.status is CheckStatus.WARNING
    assert finding.detail.startswith("no alert can be handed over to ")
    assert finding.detail.endswith(
        "U0CHARLE005 (deactivated), U0DEPLOY006 (a bot), U0HEDYLA007 (a guest), U0NOBODY999 (user_not_found),"
        " U0STRANG008 (from another organisation)"
    )
    assert "U0RADIAP009" not in finding.detail
    assert "correct RESPONDERS: ids of active members of this workspace" in finding.remedy


async def test_where_slack_cannot_be_asked_about_them_that_is_said() -> None:
    async with running() as world:
        finding = await judge(world, "U0RADIAP009", url="http://127.0.0.1:9")

    assert finding.status is CheckStatus.FAILED
