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

#: For a whole call, and for connecting, in seconds. A provider may hold a poll for 30 s until there is
#: something to say (CIBA Core 1.0, "Token Request Using CIBA Grant Type"), and a push whose reply is lost
#: blocks the person.
TIMEOUT: Final = aiohttp.ClientTimeout(total=40, connect=5)

#: Calls at a time to each address of the provider: if it is slow to take pushes, that must not hold up polls.
#: Waiting for a turn is not part of a call: its time would be up before it is sent.
CONCURRENT_CALLS_MAX: Final = 512

#: How long a call waits for its turn, in seconds. A push must be sent soon after it was claimed.
_TURN_WAIT: Final = 5

#: In bytes: no document and no token of a provider is longer.
_ANSWER_MAX: Final = 1 << 20

#: The longest wait that a provider may ask for.
_WAIT_MAX: Final = timedelta(minutes=5)

#: Returns the proxy for a URL; None if there is none.
FindProxy = Callable[[str], str | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A provider's answer that is a JSON object: of status 200, or an error (4xx) that says which."""

    is_ok: bool
    content: Mapping[str, Any]
    date: str = ""  #: the header `Date`

    @property
    def error(self) -> str:
        """The code of an error; "" if it gives none."""
        return self.text("error")

    def text(self, name: str) -> str:
        """Return a member that is a text; "" if it is missing or something else."""
        value = self.content.get(name)
        return value if isinstance(value, str) else ""


class Calls:
    """Calls one provider over a session of ours, which decides whom TLS trusts."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        proxy_for: FindProxy = lambda _: None,
        room: int = CONCURRENT_CALLS_MAX,
    ) -> None:
        self._session = session
        self._proxy_for = proxy_for
        self._room = room
        self._rooms: dict[str, asyncio.Semaphore] = {}  #: by address

    async def get(self, url: str) -> Answer:
        """Read a document. Raises as `post`, but `TransientError` for `AmbiguousError`."""
        try:
            return await self._call("GET", url)
        except AmbiguousError as error:
            raise TransientError(str(error)) from error

    async def post(self, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        """Send a form, once.

        Raises `TransientError` if it was not taken (refused connection, 429, no turn), `AmbiguousError` if it
        may have been (a redirect may follow what was done), `PermanentError` if the answer is a refusal.
        """
        return await self._call("POST", url, data=dict(form), headers=dict(headers))

    async def _call(self, verb: str, url: str, **arguments: Any) -> Answer:
        require_https(url)
        host = urlsplit(url).hostname
        try:
            async with (
                self._turn(url),
                self._session.request(
                    verb, url, proxy=self._proxy_for(url), allow_redirects=False, timeout=TIMEOUT, **arguments
                ) as response,
            ):
                status, headers = response.status, response.headers
                body = await response.content.read(_ANSWER_MAX)
                while not response.content.at_eof() and len(body) < _ANSWER_MAX:
                    body += await response.content.read(_ANSWER_MAX - len(body))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            raise TransientError(f"{host} cannot be reached: {error or type(error).__name__}") from error
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise AmbiguousError(f"{host} did not answer: {error or type(error).__name__}") from error
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            raise TransientError(f"{host} asks to wait (429)", retry_after=_read_wait(headers))
        content = _read_object(body)
        if status == HTTPStatus.OK and content is not None:
            return Answer(is_ok=True, content=content, date=headers.get("Date", ""))
        is_redirect = HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST
        if is_redirect and verb == "GET":
            raise PermanentError(f"{host} answers with a redirect (HTTP {status}), which is not followed")
        if not HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
            raise AmbiguousError(f"{host} gives no usable answer (HTTP {status})", status=status)
        if content is None or not isinstance(content.get("error"), str):
            raise PermanentError(f"{host} answers HTTP {status}, and not as OpenID says")
        return Answer(is_ok=False, content=content)

    @asynccontextmanager
    async def _turn(self, url: str) -> AsyncIterator[None]:
        room = self._rooms.setdefault(url, asyncio.Semaphore(self._room))
        try:
            async with asyncio.timeout(_TURN_WAIT):
                await room.acquire()
        except TimeoutError as error:
            host = urlsplit(url).hostname
            raise TransientError(f"{host} answers too slowly: too many calls wait for it") from error
        try:
            yield
        finally:
            room.release()


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


def _read_wait(headers: Mapping[str, str]) -> timedelta | None:
    text = headers.get("Retry-After", "")
    return min(timedelta(seconds=int(text)), _WAIT_MAX) if text.isdecimal() and len(text) < 10 else None  # noqa: PLR2004 - digits
