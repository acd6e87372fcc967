"""What `check` asks Slack: are the tokens good, are the scopes there, can Socket Mode be reached.

It opens no websocket: a second link would take clicks away from the worker that runs.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.cli.checks.clock import clock_finding
from bot.cli.checks.findings import Finding, Verdict, skipped
from bot.errors import AmbiguousError, CannotGoOn, TriageBotError, Undeliverable, UnknownRefusal
from bot.slack.client import proxy_for
from bot.slack.errors import fault
from bot.slack.identity import SCOPES, Identity, OrgWideInstallation
from bot.triage.model import utc_now

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

    from slack_sdk.web.async_client import AsyncWebClient
    from slack_sdk.web.async_slack_response import AsyncSlackResponse

BOT_TOKEN = "bot token"  # noqa: S105 - a subject's name
APP_TOKEN = "app-level token"  # noqa: S105 - a subject's name
HOST = "Socket Mode host"

_APP = "https://api.slack.com/apps > your app"
_NETWORK = (
    "check SLACK_API_URL, and DNS, firewall and proxy on the way there (HTTPS_PROXY, NO_PROXY; SSL_CERT_FILE"
    " where a proxy reads TLS)"
)
_REACH_HOST = (
    "let this machine reach {host} too (firewall, proxy: HTTPS_PROXY, NO_PROXY); Slack names other hosts of"
    " slack.com for it from time to time"
)
_TRUST_CERTIFICATE = (
    "trust the certificate of whoever reads TLS on the way (SSL_CERT_FILE), or let {host} through unread"
)
_LATER = "try again in a minute; https://slack-status.com tells of outages"

_COPY_BOT_TOKEN = (
    f"copy the Bot User OAuth Token from {_APP} > OAuth & Permissions into SLACK_BOT_TOKEN; where there is"
    " none, install the app there"
)
_COPY_APP_TOKEN = (
    f"make an app-level token with the scope connections:write at {_APP} > Basic Information, and put it into"
    " SLACK_APP_TOKEN"
)
#: What helps against a refusal, where a new token does not.
_REMEDIES = {
    "not_allowed_token_type": "put each token where it belongs: xoxb-… into SLACK_BOT_TOKEN, xapp-… into"
    " SLACK_APP_TOKEN",
    "access_denied": "ask a workspace admin to let the app in, or to let it in from this network",
    "accesslimited": f"allow this machine's address at {_APP} > OAuth & Permissions > IP address ranges",
    "not_enabled": f"turn Socket Mode on at {_APP} > Socket Mode",
    "ekm_access_denied": "ask a workspace admin: they have suspended posting",
}

#: What each scope is for, as the end of "without it the bot cannot …".
_USES = {
    "users:read": "see whether an account is active, a guest or a bot, so it asks nobody",
    "users:read.email": "find people by their addresses, so it asks nobody",
    "im:write": "open a conversation with people, so it asks nobody",
    "chat:write": "post questions, so it asks nobody",
    "im:history": "look whether an interrupted post arrived: such a question is given up as undeliverable"
    " (delivery_unknown) and never asked again",
}
#: What aiohttp tells of its own TLS object in the middle of a sentence.
_TLS_OBJECT = re.compile(r"ssl:(?:<[^>]*>|\w+) ")

#: The worker runs without these.
_OPTIONAL = frozenset({"im:history"})


async def check_bot_token(client: AsyncWebClient) -> Sequence[Finding]:
    """Ask Slack whom the client's token belongs to, and judge its scopes. Raises nothing."""
    identity = Identity()
    try:
        response = await _asked(client.auth_test())
        identity.learn(response)
    except TriageBotError as error:
        return [_failure(BOT_TOKEN, error, _COPY_BOT_TOKEN), skipped("scopes", [f"the {BOT_TOKEN}"])]
    known = Finding(subject=BOT_TOKEN, verdict=Verdict.OK, detail=_whose(response, identity))
    clock = clock_finding("Slack", _header(response, "date"), utc_now())
    scopes = [_scope(scope, identity.scopes) for scope in SCOPES]
    return [known, *scopes, *([clock] if clock else [])]


async def check_app_token(
    client: AsyncWebClient, session: aiohttp.ClientSession, app_token: str
) -> Sequence[Finding]:
    """Ask Slack for the address of a websocket, and knock at its host. Raises nothing."""
    try:
        response = await _asked(client.apps_connections_open(app_token=app_token))
    except TriageBotError as error:
        return [_failure(APP_TOKEN, error, _COPY_APP_TOKEN)]
    # The host alone: the rest of the address is a ticket.
    url = str(response.get("url") or "")
    if not urlsplit(url).hostname:
        detail = "Slack's answer to apps.connections.open names no websocket"
        return [Finding(subject=APP_TOKEN, verdict=Verdict.FAILED, detail=detail, remedy=_NETWORK)]
    good = Finding(subject=APP_TOKEN, verdict=Verdict.OK, detail="good for Socket Mode")
    return [good, await check_host(session, url)]


async def check_host(session: aiohttp.ClientSession, url: str) -> Finding:
    """Shake hands with the host of a websocket's URL, through the proxy where there is one. Raises nothing.

    What is asked for then is the host's front page: whatever it answers, the way is free.
    """
    parts = urlsplit(url)
    page = f"{'https' if parts.scheme == 'wss' else 'http'}://{parts.netloc}/"
    try:
        async with session.head(page, proxy=proxy_for(page), allow_redirects=False):
            pass
    except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError) as error:
        return _failed(parts.netloc, f"no TLS with {parts.netloc}: {_reason(error)}", _TRUST_CERTIFICATE)
    except (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError, TimeoutError) as error:
        return _failed(parts.netloc, f"{parts.netloc} cannot be reached ({_reason(error)})", _REACH_HOST)
    except (aiohttp.ClientError, OSError):
        pass  # it was reached, and does not care for our question
    how = "TLS" if parts.scheme == "wss" else "no TLS, a stand-in"
    return Finding(subject=HOST, verdict=Verdict.OK, detail=f"{parts.netloc} answers ({how}; no link)")


def no_token(subject: str, reason: str) -> Finding:
    """Return the finding that a token could not be fetched from where it is kept."""
    detail, _, remedy = reason.partition(": ")
    return Finding(subject=subject, verdict=Verdict.FAILED, detail=detail, remedy=remedy)


async def _asked(call: Awaitable[AsyncSlackResponse]) -> AsyncSlackResponse:
    try:
        return await call
    except Exception as error:
        raise fault(error) from error


def _header(response: AsyncSlackResponse, name: str) -> str:
    return next((str(value) for key, value in response.headers.items() if key.lower() == name), "")


def _whose(response: AsyncSlackResponse, identity: Identity) -> str:
    data: Mapping[str, object] = response.data if isinstance(response.data, dict) else {}
    return f"bot {data.get('user')} ({identity.bot_user_id}) in {data.get('team')} ({identity.team_id})"


def _scope(scope: str, granted: frozenset[str]) -> Finding:
    subject = f"scope {scope}"
    if scope in granted:
        return Finding(subject=subject, verdict=Verdict.OK, detail="granted")
    return Finding(
        subject=subject,
        verdict=Verdict.WARNING if scope in _OPTIONAL else Verdict.FAILED,
        detail=f"missing: without it the bot cannot {_USES[scope]}",
        remedy=f"add {scope} at {_APP} > OAuth & Permissions > Bot Token Scopes (the manifest's line"
        f" oauth_config.scopes.bot), then reinstall it there",
    )


def _failure(subject: str, error: TriageBotError, new_token: str) -> Finding:
    code = _code(error)
    if isinstance(error, OrgWideInstallation):
        detail, _, remedy = str(error).partition(": ")
        return Finding(subject=subject, verdict=Verdict.FAILED, detail=detail, remedy=remedy)
    detail = f"Slack refuses it ({code})" if code else _TLS_OBJECT.sub("", str(error))
    remedy = _REMEDIES.get(code, new_token) if code else _when_unanswered(error)
    return Finding(subject=subject, verdict=Verdict.FAILED, detail=detail, remedy=remedy)


def _code(error: TriageBotError) -> str:
    """Return the code with which Slack refused; empty if it did not."""
    match error:
        case CannotGoOn() | UnknownRefusal():
            return error.code
        case Undeliverable():
            return error.reason
    return ""


def _when_unanswered(error: TriageBotError) -> str:
    # A web server that is not Slack's has answered, unless it says that it is the server's own trouble.
    is_stranger = isinstance(error, AmbiguousError) and error.status < HTTPStatus.INTERNAL_SERVER_ERROR
    return _LATER if isinstance(error.__cause__, SlackApiError) and not is_stranger else _NETWORK


def _failed(host: str, detail: str, remedy: str) -> Finding:
    return Finding(subject=HOST, verdict=Verdict.FAILED, detail=detail, remedy=remedy.format(host=host))


def _reason(error: Exception) -> str:
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    return str(cause) or type(cause).__name__
