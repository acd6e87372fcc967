"""Checks Slack: whether the tokens are valid, the scopes granted, and Socket Mode within reach.

It opens no websocket: a second connection would take clicks away from the running worker.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Collection, Mapping, Sequence
from http import HTTPStatus
from urllib.parse import urlsplit

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.cli.checks.findings import Finding
from bot.cli.checks.machine import check_clock
from bot.clock import utc_now
from bot.errors import AmbiguousError, AppRejected, TriageBotError, Undeliverable, UnknownErrorCode
from bot.slack.client import proxy_for
from bot.slack.errors import classify_error
from bot.slack.identity import SCOPES, Identity, OrgWideInstallation
from bot.slack.input_cleaning import read_text

BOT_TOKEN = "bot token"  # noqa: S105 - a subject's name
APP_TOKEN = "app-level token"  # noqa: S105 - a subject's name
HOST = "Socket Mode host"
RESPONDERS = "responders"

#: Where there is no valid bot token.
SCOPES_SKIPPED = Finding.skipped("scopes", f"the {BOT_TOKEN}")

_APP = "https://api.slack.com/apps > your app"
_NETWORK = (
    "check SLACK_API_URL, DNS, firewall and proxy (HTTPS_PROXY, NO_PROXY; SSL_CERT_FILE if a proxy intercepts"
    " TLS)"
)
_REACH_HOST = (
    "allow this machine to reach {host} too (firewall, proxy: HTTPS_PROXY, NO_PROXY); from time to time Slack"
    " uses other hosts under slack.com"
)
_TRUST_CERTIFICATE = (
    "trust the certificate of the proxy that intercepts TLS (SSL_CERT_FILE), or exempt {host} from it"
)
_LATER = "try again in a minute; for outages see https://slack-status.com"

_COPY_BOT_TOKEN = (
    f"copy the Bot User OAuth Token from {_APP} > OAuth & Permissions into SLACK_BOT_TOKEN; if there is"
    " none, install the app there"
)
_CORRECT_RESPONDERS = (
    "correct RESPONDERS: ids of active members of this workspace (a profile's menu has Copy member ID)"
)
_COPY_APP_TOKEN = (
    f"create an app-level token with the scope connections:write at {_APP} > Basic Information, and put it"
    " into SLACK_APP_TOKEN"
)
#: Error code of Slack → remedy, where a new token would not help.
_REMEDIES = {
    "not_allowed_token_type": "put each token where it belongs: xoxb-… into SLACK_BOT_TOKEN, xapp-… into"
    " SLACK_APP_TOKEN",
    "access_denied": "ask a workspace admin to allow the app, or to allow it from this network",
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
    "im:history": "see whether an interrupted post arrived: such a question is given up as undeliverable"
    " (delivery_unknown) and never asked again",
}
#: The repr of a TLS object, which aiohttp puts into the middle of its errors.
_TLS_OBJECT = re.compile(r"ssl:(?:<[^>]*>|\w+) ")

#: The worker runs without these.
_OPTIONAL = frozenset({"im:history"})


async def check_bot_token(client: AsyncWebClient) -> Sequence[Finding]:
    """Ask Slack whose token the client has, and judge its scopes and the clock. Raises nothing."""
    identity = Identity()
    try:
        response = await _call(client.auth_test())
        identity.learn(response)
    except TriageBotError as error:
        return [_explain_failure(BOT_TOKEN, error, _COPY_BOT_TOKEN), SCOPES_SKIPPED]
    date = next((str(value) for key, value in response.headers.items() if key.lower() == "date"), "")
    scopes = [_check_scope(scope, identity.scopes) for scope in SCOPES]
    owner = Finding.ok(BOT_TOKEN, _describe_owner(response, identity))
    return [owner, *scopes, *check_clock("Slack", date, utc_now())]


async def check_responders(client: AsyncWebClient, responders: Collection[str]) -> Sequence[Finding]:
    """Ask Slack about everybody in RESPONDERS. Raises nothing."""
    problems = []
    for slack_id in sorted(responders):
        try:
            user = (await _call(client.users_info(user=slack_id))).get("user")
        except TriageBotError as error:
            if not (code := _code(error)):
                return [Finding.failed(RESPONDERS, str(error), _explain_silence(error))]
            problems.append(f"{slack_id} ({code})")
        else:
            problems += [f"{slack_id} ({what})" for what in _unfit(user)]
    if problems:
        detail = f"no alert can be handed over to {', '.join(problems)}"
        return [Finding.warning(RESPONDERS, detail, _CORRECT_RESPONDERS)]
    return [Finding.ok(RESPONDERS, f"{len(responders)} known to Slack")]


def _unfit(user: object) -> Sequence[str]:
    """Return why no alert can be handed over to this person, given Slack's data about them; [] if it can."""
    facts: Mapping[str, object] = user if isinstance(user, dict) else {}
    marks = {
        "deleted": "deactivated",
        "is_bot": "a bot",
        "is_restricted": "a guest",
        "is_stranger": "from another organisation",
    }
    return [what for mark, what in marks.items() if facts.get(mark)][:1]


async def check_app_token(
    client: AsyncWebClient, session: aiohttp.ClientSession, app_token: str
) -> Sequence[Finding]:
    """Ask Slack for the URL of a websocket, and check that its host can be reached. Raises nothing."""
    try:
        response = await _call(client.apps_connections_open(app_token=app_token))
    except TriageBotError as error:
        return [_explain_failure(APP_TOKEN, error, _COPY_APP_TOKEN)]
    # Only the host is used: the rest of the URL has a one-time ticket.
    url = read_text(response.get("url"))
    if not _names_host(url):
        detail = "Slack's answer to apps.connections.open has no URL"
        return [Finding.failed(APP_TOKEN, detail, _NETWORK)]
    return [Finding.ok(APP_TOKEN, "valid for Socket Mode"), await check_host(session, url)]


async def check_host(session: aiohttp.ClientSession, url: str) -> Finding:
    """Connect to the host of a websocket's URL, through the proxy if there is one. Raises nothing.

    It requests the host's front page: any answer shows that the host can be reached.
    """
    parts = urlsplit(url)
    page = f"{'https' if parts.scheme == 'wss' else 'http'}://{parts.netloc}/"
    try:
        async with session.head(page, proxy=proxy_for(page), allow_redirects=False):
            pass
    except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError) as error:
        remedy = _TRUST_CERTIFICATE.format(host=parts.netloc)
        return Finding.failed(HOST, f"TLS with {parts.netloc} failed: {_reason(error)}", remedy)
    except (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError, TimeoutError) as error:
        remedy = _REACH_HOST.format(host=parts.netloc)
        return Finding.failed(HOST, f"{parts.netloc} cannot be reached ({_reason(error)})", remedy)
    except (aiohttp.ClientError, OSError):
        pass  # the host was reached, which is all that is checked here
    how = "TLS" if parts.scheme == "wss" else "no TLS, a stand-in"
    return Finding.ok(HOST, f"{parts.netloc} answers ({how}; not connected)")


def _names_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return url.isascii() and bool(parts.hostname) and parts.port != 0
    except ValueError:  # half of an IPv6 address, or a port that is no number
        return False


def unusable_finding(subject: str, reason: str) -> Finding:
    """Return the finding that a token cannot be used. `reason` reads `detail: remedy`."""
    detail, _, remedy = reason.partition(": ")
    return Finding.failed(subject, detail, remedy)


async def _call(call: Awaitable[AsyncSlackResponse]) -> AsyncSlackResponse:
    try:
        return await call
    except Exception as error:
        raise classify_error(error) from error


def _describe_owner(response: AsyncSlackResponse, identity: Identity) -> str:
    data: Mapping[str, object] = response.data if isinstance(response.data, dict) else {}
    return f"bot {data.get('user')} ({identity.bot_user_id}) in {data.get('team')} ({identity.team_id})"


def _check_scope(scope: str, granted: frozenset[str]) -> Finding:
    subject = f"scope {scope}"
    if scope in granted:
        return Finding.ok(subject, "granted")
    judge = Finding.warning if scope in _OPTIONAL else Finding.failed
    return judge(
        subject,
        f"missing: without it the bot cannot {_USES[scope]}",
        f"add {scope} at {_APP} > OAuth & Permissions > Bot Token Scopes (in the manifest:"
        " oauth_config.scopes.bot), then reinstall the app there",
    )


def _explain_failure(subject: str, error: TriageBotError, new_token: str) -> Finding:
    if isinstance(error, OrgWideInstallation):
        return unusable_finding(subject, str(error))
    if code := _code(error):
        return Finding.failed(subject, f"Slack refuses it ({code})", _REMEDIES.get(code, new_token))
    return Finding.failed(subject, _TLS_OBJECT.sub("", str(error)), _explain_silence(error))


def _code(error: TriageBotError) -> str:
    """Return the error code in Slack's answer; empty if there was none."""
    match error:
        case AppRejected() | UnknownErrorCode():
            return error.code
        case Undeliverable():
            return error.reason
    return ""


def _explain_silence(error: TriageBotError) -> str:
    # An answer without a code and below 500 came from some other web server, such as a proxy.
    is_stranger = isinstance(error, AmbiguousError) and error.status < HTTPStatus.INTERNAL_SERVER_ERROR
    return _LATER if isinstance(error.__cause__, SlackApiError) and not is_stranger else _NETWORK


def _reason(error: Exception) -> str:
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    return str(cause) or type(cause).__name__
