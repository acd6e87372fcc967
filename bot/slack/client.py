"""Calls to Slack's Web API: one shared session, no retries by the SDK, every failure classified."""

from __future__ import annotations

import functools
import json
import logging
import ssl
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from yarl import URL  # aiohttp's own parser: the URL that is checked is the URL that is called

from bot.clock import Clock, Service, is_expired_certificate
from bot.errors import AmbiguousError, TransientError
from bot.slack.errors import classify_error, retry_after
from bot.slack.input_cleaning import parse_json, read_header
from bot.triage.log_events import log_event
from bot.triage.ports import NO_METER, Meter

log = logging.getLogger(__name__)

#: For a whole call, and for connecting, in seconds. With a shared session the SDK ignores its own timeout.
TIMEOUT = aiohttp.ClientTimeout(total=15, connect=5)

#: The hosts of a click's response_url besides that of SLACK_API_URL: of https://slack.com and of
#: https://slack-gov.com (2026-11).
RESPONSE_HOSTS = frozenset({"hooks.slack.com", "hooks.slack-gov.com"})

#: The SDK writes a debug line for every call unless the logger itself has a level.
_sdk_log = logging.getLogger("slack_sdk.calls")


def open_session(tls: ssl.SSLContext | None = None) -> aiohttp.ClientSession:
    """Return the session that all calls share: it keeps connections open.

    By default `tls` is the context that aiohttp has made anyway: another one would take 20 ms of a start.
    """
    return aiohttp.ClientSession(
        timeout=TIMEOUT,
        connector=aiohttp.TCPConnector(ssl=tls or True, limit=256, keepalive_timeout=60),
        json_serialize=json.JSONEncoder(separators=(",", ":")).encode,
    )


def web_client(base_url: str, session: aiohttp.ClientSession, *, token: str | None = None) -> AsyncWebClient:
    """Return a client that never retries: after an ambiguous failure the caller has to look first."""
    _sdk_log.setLevel(max(logging.getLogger("slack_sdk").getEffectiveLevel(), logging.INFO))
    client = AsyncWebClient(
        token=token, base_url=base_url, session=session, retry_handlers=[], logger=_sdk_log
    )
    client.proxy = proxy_for(base_url)
    return client


_EXPIRED_CERTIFICATE = "a certificate on the way to Slack is not valid at this machine's time"

#: The headers of a call with a body. Slack complains about JSON without a charset.
_JSON: Final = {"Content-Type": "application/json;charset=utf-8"}

#: Nothing in a `text` becomes a link or a mention, and no link is unfurled.
_LITERAL: Final = {"parse": "none", "link_names": False}
_QUIET: Final = {"unfurl_links": False, "unfurl_media": False}


def proxy_for(url: str) -> str | None:
    """Return the environment's proxy for a URL, or None; unlike the SDK, respect NO_PROXY."""
    parts = urlsplit(url)
    if urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    return urllib.request.getproxies().get(parts.scheme)


def response_address(response_url: str, api_url: str) -> URL | None:
    """Return a click's response_url, parsed; None if it is not Slack's.

    It comes with a payload, and what is posted to it reveals an alert: no other host may receive that.
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


@dataclass(frozen=True, kw_only=True, slots=True)
class SlackAnswer:
    """An answer to a call; `data` is its JSON object, made storable, and empty if it is not one."""

    status_code: int
    headers: Mapping[str, str]
    data: Mapping[str, Any]


class SlackApi:
    """Calls methods with one token. When Slack asks to wait with a method, no caller may call it until
    then.
    """

    def __init__(
        self,
        client: AsyncWebClient,
        session: aiohttp.ClientSession,
        *,
        clock: Clock,
        meter: Meter = NO_METER,
    ) -> None:
        self.clock = clock
        self._client = client
        self._session = session
        self._meter = meter
        self._paused_until: dict[str, timedelta] = {}  #: by `Clock.monotonic`
        self._proxy_for = functools.cache(proxy_for)  # which reads the whole environment

    async def write(self, method: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Call a method that changes something, once.

        Raises the errors of `errors.classify_error`: after an `AmbiguousError` it may have happened, after
        any other it did not.
        """
        return (await self.call(method, body=body)).data

    async def post(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Post a message, once. Slack finds no markup, link or mention in its `text`. Raises as `write`."""
        return await self.write("chat.postMessage", {**message, "mrkdwn": False, **_LITERAL, **_QUIET})

    async def update(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Replace a message, as `post` posts one; chat.update knows no `mrkdwn`. Raises as `write`."""
        return await self.write("chat.update", {**message, **_LITERAL})

    async def read(
        self, method: str, params: Mapping[str, Any], *, http_verb: str = "GET"
    ) -> Mapping[str, Any]:
        """Call a method that may be repeated. Raises as `write`, but `TransientError` for
        `AmbiguousError`.
        """
        try:
            return (await self.call(method, http_verb=http_verb, params=params)).data
        except AmbiguousError as error:
            raise TransientError(str(error)) from error

    async def respond(self, response_url: str, body: Mapping[str, Any]) -> bool:
        """Post to a click's response_url. Return False if Slack refuses that, or if the URL is not Slack's.

        Raises `TransientError` and `AmbiguousError` as `write` does.
        """
        url = response_address(response_url, self._client.base_url)
        if url is None:
            log_event(log.warning, "response_url.refused", "a click's response_url is not Slack's: not used")
            return False
        try:  # redirects are not followed
            async with self._session.post(
                url, json=body, headers=_JSON, proxy=self._proxy_for(str(url.origin())), allow_redirects=False
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

    async def call(
        self,
        method: str,
        *,
        http_verb: str = "POST",
        params: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> SlackAnswer:
        """Call a method, once, and return the whole answer with its headers. Raises as `write` does."""
        if remaining := self.pause_of(method):
            raise TransientError(f"{method} is paused, as Slack asked", retry_after=remaining)
        sent = self.clock.boottime()
        try:
            answer = await self._send(method, http_verb, params, body)
        except Exception as error:
            failure = classify_error(error)
            self._note_time(getattr(error, "response", None), sent, error)
            if isinstance(failure, TransientError | AmbiguousError):
                self._meter.count_retried(method)
            if isinstance(failure, TransientError) and failure.retry_after is not None:
                self.pause(method, failure.retry_after)
            raise failure from error
        self._note_time(answer, sent)
        return answer

    def pause_of(self, method: str) -> timedelta:
        """Return how much longer a method is paused; zero if it is not."""
        until = self._paused_until.get(method)
        return max(timedelta(0), until - self.clock.monotonic()) if until else timedelta(0)

    def pause(self, method: str, span: timedelta) -> None:
        """Pause a method for this long, unless it is already paused for longer."""
        until = self.clock.monotonic() + span
        self._paused_until[method] = max(until, self._paused_until.get(method, until))

    def _note_time(self, answer: Any, sent: timedelta, error: Exception | None = None) -> None:
        """Pass the time of an answer to the clock, if it is Slack's own: a JSON object that has `ok`."""
        data = getattr(answer, "data", None)
        if isinstance(data, dict) and isinstance(data.get("ok"), bool):
            self.clock.note(Service.SLACK, read_header(answer.headers, "date"), sent=sent)
            self.clock.note_refusal(Service.SLACK)
        elif error is not None and is_expired_certificate(error):
            self.clock.note_refusal(Service.SLACK, _EXPIRED_CERTIFICATE)

    async def _send(
        self, method: str, http_verb: str, params: Mapping[str, Any] | None, body: Mapping[str, Any] | None
    ) -> SlackAnswer:
        """Send a request as the SDK's client would, which adds a third to aiohttp's time.

        Raises aiohttp's errors, and `SlackApiError` if the answer is anything but that Slack did it.
        """
        client = self._client
        headers = {**client.headers, "Authorization": f"Bearer {client.token}"}
        given = None if params is None else {name: _to_param(value) for name, value in params.items()}
        async with self._session.request(
            http_verb,
            client.base_url + method,
            params=given,
            json=body,
            headers=headers if body is None else headers | _JSON,
            proxy=client.proxy,
        ) as response:
            told = await response.json(loads=_parse)
        data = told if isinstance(told, dict) else {}
        answer = SlackAnswer(status_code=response.status, headers=response.headers, data=data)
        if response.status != HTTPStatus.OK or not data.get("ok"):
            raise SlackApiError(f"{method} failed", answer)
        return answer


def _to_param(value: object) -> str:
    """Return an argument as it stands in a URL."""
    return str(int(value)) if isinstance(value, bool) else str(value)


def _parse(text: str) -> Any:
    try:
        return parse_json(text)
    except (ValueError, RecursionError):
        return None


def _is_refusal(body: str) -> bool:
    """Whether an answer is a refusal in spite of its good status: JSON in which `ok` is false."""
    if body == "ok":  # as a response_url usually answers
        return False
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(answer, dict) and answer.get("ok") is False
