"""Calls to the provider: JSON over https, never redirected, every failure classified."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from bot.errors import AmbiguousError, PermanentError, TransientError

#: For a whole call, and for connecting, in seconds. A provider may hold a poll for 30 s until it has a result
#: (CIBA Core 1.0, "Token Request Using CIBA Grant Type"), and a push whose reply is lost blocks the person.
TIMEOUT: Final = aiohttp.ClientTimeout(total=40, connect=5)

#: Concurrent calls to each URL of the provider. If it is slow to accept pushes, that must not delay polls.
#: The wait for a slot does not count towards the timeout: a call could time out before it is sent.
CONCURRENT_CALLS_MAX: Final = 512

#: How long a call waits for a free slot, in seconds. A push must be sent soon after it was claimed.
_SLOT_WAIT: Final = 5

#: The most that is read of an answer, in bytes. No document and no token of a provider is longer.
_ANSWER_MAX: Final = 1 << 20

#: The longest `Retry-After` that is respected; a longer one is cut to this.
_RETRY_AFTER_MAX: Final = timedelta(minutes=5)

#: The errors after which the provider has certainly received nothing: no connection to it or to the proxy, or
#: the proxy has refused the connection.
_NOT_SENT: Final = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
)

#: Returns the proxy for a URL; None if there is none.
FindProxy = Callable[[str], str | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A JSON object with which a provider answers: of status 200, or an error (4xx) with a code."""

    is_ok: bool
    content: Mapping[str, Any]
    date: str = ""  #: the header `Date` of an answer of status 200

    @property
    def error(self) -> str:
        """The code of an error; "" if it gives none."""
        return self.text("error")

    def text(self, name: str) -> str:
        """Return a member if it is a string; "" if it is missing or anything else."""
        value = self.content.get(name)
        return value if isinstance(value, str) else ""


class Calls:
    """Calls one provider. The session decides which certificates are trusted."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        proxy_for: FindProxy = lambda _: None,
        concurrency: int = CONCURRENT_CALLS_MAX,
    ) -> None:
        self._session = session
        self._proxy_for = proxy_for
        self._concurrency = concurrency
        self._slots: dict[str, asyncio.Semaphore] = {}  #: by URL

    async def get(self, url: str) -> Answer:
        """Read a document. Raises as `post` does, but `TransientError` in place of `AmbiguousError`."""
        try:
            return await self._call("GET", url)
        except AmbiguousError as error:
            raise TransientError(str(error)) from error

    async def post(self, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        """Send a form, once. An error with a code of the provider's is returned, not raised.

        Raises `TransientError` if it was certainly not accepted (connection refused, 429, no free slot),
        `AmbiguousError` if it may have been (timeout, 5xx, or a redirect, which may come after the work was
        done), and `PermanentError` for any other 4xx.
        """
        return await self._call("POST", url, data=dict(form), headers=dict(headers))

    async def _call(self, verb: str, url: str, **arguments: Any) -> Answer:
        require_https(url)
        host = urlsplit(url).hostname
        try:
            async with (
                self._slot(url),
                self._session.request(
                    verb, url, proxy=self._proxy_for(url), allow_redirects=False, timeout=TIMEOUT, **arguments
                ) as response,
            ):
                status, headers = response.status, response.headers
                body = await response.content.read(_ANSWER_MAX)
                while not response.content.at_eof() and len(body) < _ANSWER_MAX:
                    body += await response.content.read(_ANSWER_MAX - len(body))
        except _NOT_SENT as error:
            raise TransientError(f"{host} cannot be reached: {error or type(error).__name__}") from error
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise AmbiguousError(f"{host} did not answer: {error or type(error).__name__}") from error
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            raise TransientError(f"{host} asks to wait (429)", retry_after=_read_retry_after(headers))
        content = _read_object(body)
        if status == HTTPStatus.OK and content is not None:
            return Answer(is_ok=True, content=content, date=headers.get("Date", ""))
        is_redirect = HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST
        if is_redirect and verb == "GET":
            raise PermanentError(f"{host} answers with a redirect (HTTP {status}), which is not followed")
        if not HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
            raise AmbiguousError(f"{host} gives no usable answer (HTTP {status})", status=status)
        if content is None or not isinstance(content.get("error"), str):
            raise PermanentError(f"{host} answers HTTP {status} without an OpenID error code")
        return Answer(is_ok=False, content=content)

    @asynccontextmanager
    async def _slot(self, url: str) -> AsyncIterator[None]:
        slots = self._slots.setdefault(url, asyncio.Semaphore(self._concurrency))
        try:
            async with asyncio.timeout(_SLOT_WAIT):
                await slots.acquire()
        except TimeoutError as error:
            host = urlsplit(url).hostname
            raise TransientError(f"{host} answers too slowly: too many calls wait for it") from error
        try:
            yield
        finally:
            slots.release()


def require_https(url: str) -> None:
    """Raise `PermanentError` unless this is an https URL with a host, and without user name and password."""
    try:
        parts = urlsplit(url)
        (parts.hostname or "").encode("idna")
    except ValueError as error:
        raise PermanentError("the provider names an address that is no URL") from error
    if parts.scheme != "https" or not parts.hostname or "@" in parts.netloc:
        raise PermanentError(f"the provider names an address that is not https: {parts.scheme}://…")


def _read_object(body: bytes) -> Mapping[str, Any] | None:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _read_retry_after(headers: Mapping[str, str]) -> timedelta | None:
    text = headers.get("Retry-After", "")
    return (
        min(timedelta(seconds=int(text)), _RETRY_AFTER_MAX) if text.isdecimal() and len(text) < 10 else None  # noqa: PLR2004 - digits
    )
