"""Calls to Slack's Web API: one session, no retries of the SDK's own, every failure judged."""

from __future__ import annotations

import json
import logging
import urllib.request
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient
from yarl import URL  # as aiohttp reads a URL: what is judged is what is called

from bot.errors import AmbiguousError, TransientError
from bot.slack.errors import classify_error, retry_after
from bot.slack.received import make_storable
from bot.triage.log_events import log_event
from bot.triage.ports import NO_METER

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from datetime import datetime

    from slack_sdk.web.async_slack_response import AsyncSlackResponse

    from bot.errors import TriageBotError
    from bot.triage.ports import Clock, Meter

log = logging.getLogger(__name__)

#: Seconds for a whole call, and for the connection alone. With a shared session the SDK's own is ignored.
TIMEOUT = aiohttp.ClientTimeout(total=15, connect=5)

#: Where the response_url of a click leads, unless it leads where SLACK_API_URL does: https://slack.com and
#: https://slack-gov.com (2026-11).
RESPONSE_HOSTS = frozenset({"hooks.slack.com", "hooks.slack-gov.com"})

#: The SDK writes a debug line for every call unless the logger itself has a level.
_sdk_log = logging.getLogger("slack_sdk.calls")


def open_session(tls: ssl.SSLContext) -> aiohttp.ClientSession:
    """Return the one session that every call shares: connections are kept, TLS is set up once."""
    return aiohttp.ClientSession(
        timeout=TIMEOUT, connector=aiohttp.TCPConnector(ssl=tls, limit=256, keepalive_timeout=60)
    )


def web_client(
    base_url: str, session: aiohttp.ClientSession, tls: ssl.SSLContext, *, token: str | None = None
) -> AsyncWebClient:
    """Return a client that never repeats a call by itself: who was cut off must look first."""
    _sdk_log.setLevel(max(logging.getLogger("slack_sdk").getEffectiveLevel(), logging.INFO))
    client = AsyncWebClient(
        token=token, base_url=base_url, session=session, ssl=tls, retry_handlers=[], logger=_sdk_log
    )
    client.proxy = proxy_for(base_url)
    return client


#: Nothing in a `text` becomes a link or a mention, and no link is unfolded.
_LITERAL: Final = {"parse": "none", "link_names": False}
_QUIET: Final = {"unfurl_links": False, "unfurl_media": False}


def proxy_for(url: str) -> str | None:
    """Return the environment's proxy for a URL; the SDK would not look at NO_PROXY."""
    parts = urlsplit(url)
    if urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    return urllib.request.getproxies().get(parts.scheme)


def response_address(response_url: str, api_url: str) -> URL | None:
    """Return a click's response_url as an address that is Slack's; None if it is not.

    It comes with a payload, so it is not followed wherever it leads: what is posted there tells of an alert.
    """
    try:
        url = URL(response_url)
        place = url.scheme, url.host, url.port
    except ValueError:
        return None
    api = URL(api_url)
    is_slacks = url.host in RESPONSE_HOSTS and place == ("https", url.host, 443)
    is_trusted = is_slacks or place == (api.scheme, api.host, api.port)
    return url if is_trusted and url.user is None and url.password is None else None


class SlackApi:
    """Calls methods with the bot's token. A method that Slack asks to wait with waits for everybody."""

    def __init__(
        self,
        client: AsyncWebClient,
        session: aiohttp.ClientSession,
        *,
        clock: Clock,
        meter: Meter = NO_METER,
    ) -> None:
        self._client = client
        self._session = session
        self._clock = clock
        self._meter = meter
        self._paused_until: dict[str, datetime] = {}
        self._proxies: dict[str, str | None] = {}

    async def write(self, method: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Call a method that changes something, once.

        `AmbiguousError`: it may have happened. Every other error of `errors.classify_error` says that it did
        not.
        """
        return await self._call(method, http_verb="POST", json=dict(body))

    async def post(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Post a message, once. Slack finds no markup, link or mention in its `text`. Raises as `write`."""
        return await self.write("chat.postMessage", {**message, "mrkdwn": False, **_LITERAL, **_QUIET})

    async def update(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Replace a message, as `post` posts one; chat.update knows no `mrkdwn`. Raises as `write`."""
        return await self.write("chat.update", {**message, **_LITERAL})

    async def read(
        self, method: str, params: Mapping[str, Any], *, http_verb: str = "GET"
    ) -> Mapping[str, Any]:
        """Call a method that may be repeated: never ambiguous."""
        try:
            return await self._call(method, http_verb=http_verb, params=dict(params))
        except AmbiguousError as error:
            raise TransientError(str(error)) from error

    async def respond(self, response_url: str, body: Mapping[str, Any]) -> bool:
        """Post to a click's response_url. False: Slack does not take it there (any more), or is not there.

        `TransientError`, `AmbiguousError` as for a call.
        """
        url = response_address(response_url, self._client.base_url)
        if url is None:
            log_event(
                log.warning,
                "response_url.refused",
                "a click's response_url leads elsewhere, so it is not used",
            )
            return False
        # Not the SDK's client: it would be built anew for every click. Nor may the answer lead us elsewhere.
        try:
            async with self._session.post(
                url, json=dict(body), proxy=self._proxy_for(str(url.origin())), allow_redirects=False
            ) as response:
                text = await response.text("utf-8", "replace")
        except Exception as error:
            raise classify_error(error) from error
        if response.status == HTTPStatus.TOO_MANY_REQUESTS:
            raise TransientError("Slack asks to wait (429)", retry_after=retry_after(response.headers))
        if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            status = response.status
            raise AmbiguousError(f"Slack's answer says nothing (HTTP {status})", status=status)
        return response.status < HTTPStatus.MULTIPLE_CHOICES and not _is_refusal(text)

    async def call(self, method: str, **arguments: Any) -> AsyncSlackResponse:
        """Call a method, once, and return the whole answer with its headers. Errors as for `write`."""
        if remaining := self.pause_of(method):
            raise TransientError(f"{method} waits, as Slack asked", retry_after=remaining)
        try:
            return await self._client.api_call(method, **arguments)
        except Exception as error:
            raise self._record_failure(method, classify_error(error)) from error

    def pause_of(self, method: str) -> timedelta:
        """Return how long nobody may call a method."""
        until = self._paused_until.get(method)
        return max(timedelta(0), until - self._clock()) if until else timedelta(0)

    def pause(self, method: str, span: timedelta) -> None:
        """Let nobody call a method for so long, or longer if a pause that lasts longer was begun before."""
        until = self._clock() + span
        self._paused_until[method] = max(until, self._paused_until.get(method, until))

    async def _call(self, method: str, **arguments: Any) -> Mapping[str, Any]:
        data = make_storable((await self.call(method, **arguments)).data)
        if not isinstance(data, dict):
            raise AmbiguousError(f"Slack's answer to {method} is no JSON object")
        return data

    def _proxy_for(self, origin: str) -> str | None:
        """Return `proxy_for` a URL; it is found out once a host, for it reads the whole environment."""
        if origin not in self._proxies:
            self._proxies[origin] = proxy_for(origin)
        return self._proxies[origin]

    def _record_failure(self, method: str, error: TriageBotError) -> TriageBotError:
        if isinstance(error, TransientError | AmbiguousError):
            self._meter.count_retried(method)
        if isinstance(error, TransientError) and error.retry_after is not None:
            self.pause(method, error.retry_after)
        return error


def _is_refusal(body: str) -> bool:
    """Whether an answer with a good status is a refusal all the same, as Slack gives them."""
    if body == "ok":  # as a response_url usually answers
        return False
    try:
        answer = json.loads(body)
    except ValueError:
        return False
    return isinstance(answer, dict) and answer.get("ok") is False
