"""Opens and watches the provider of the second factor. Its problems affect only proofs."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from urllib.parse import urlsplit

import aiohttp

from bot.aws.access import Access
from bot.backoff import pause
from bot.clock import Clock
from bot.errors import AmbiguousError, ConfigError, NoDevice, PermanentError, TransientError, TriageBotError
from bot.factor.calls import CONCURRENT_CALLS_MAX, Calls
from bot.factor.ciba import Ciba, Client
from bot.redaction import Secret
from bot.settings.parameter_store import fetch_secret
from bot.settings.settings import Settings
from bot.slack.client import proxy_for
from bot.triage.factor import PollResult, Push
from bot.triage.log_events import log_event
from bot.worker.descriptors import count_allowed_calls, descriptor_limit
from bot.worker.log import hide_in_log

log = logging.getLogger(__name__)

#: The error if the extra `factor` is not installed.
NO_JOSE = "what a second factor needs is not installed: docs/install.md, 'A second factor', says how"

#: How often the provider is checked: while it works, and while it cannot be used.
LOOK_INTERVAL = timedelta(minutes=5)
LOOK_AGAIN = timedelta(seconds=30)

#: How long a failed push counts as a problem, unless another is accepted.
REFUSAL_COUNTS = timedelta(hours=1)


class WatchedFactor:
    """The port `SecondFactor` over the provider in the settings, which may not be usable yet."""

    def __init__(self, name: str, open_: Callable[[], Awaitable[Ciba]], *, clock: Clock) -> None:
        self._name = name
        self._open = open_
        self._clock = clock
        self._factor: Ciba | None = None
        self._why = ""  #: what was wrong at the last check; "": nothing
        self._may_pass = True  #: whether that may pass by itself
        self._refused: tuple[str, timedelta] | None = None  #: why and when the last push failed

    @property
    def name(self) -> str:
        """See the port `SecondFactor`."""
        return self._name

    @property
    def trouble(self) -> str:
        """Why a *yes* cannot be proved; "" if nothing is known to be in the way."""
        if self._why:
            return self._why
        if self._refused is None or self._clock.monotonic() - self._refused[1] > REFUSAL_COUNTS:
            return ""
        return f"the last push failed: {self._refused[0]}"

    async def push(self, subject: str, code: str) -> Push:
        """See the port `SecondFactor`."""
        factor = self._require()
        try:
            push = await factor.push(subject, code)
        except NoDevice:
            raise
        except (AmbiguousError, PermanentError) as error:
            self._refused = str(error), self._clock.monotonic()
            raise
        self._refused = None
        return push

    async def poll(self, push_id: str, subject: str) -> PollResult:
        """See the port `SecondFactor`."""
        try:
            factor = self._require()
        except PermanentError as error:  # the push may be out all the same
            raise TransientError(str(error)) from error
        return await factor.poll(push_id, subject)

    async def run(self, stop: asyncio.Event) -> None:
        """Check the provider periodically until `stop` is set. Raises nothing."""
        while not stop.is_set():
            await self.look()
            interval = LOOK_AGAIN if self._why else LOOK_INTERVAL
            await pause(stop, seconds=interval.total_seconds())

    async def look(self) -> None:
        """Open the provider if necessary, and fetch its discovery document and keys; log changes.

        Raises nothing.
        """
        before, self._why = self._why, await self._find_fault()
        if self._why and self._why != before:
            message = "a yes that needs a proof ends as unproven: %s"
            log_event(log.error, "proof.unavailable", message, self._why)
        elif before and not self._why:
            log_event(log.info, "proof.recovered", "a yes can be proved again")

    async def _find_fault(self) -> str:
        try:
            if self._factor is None:
                self._factor = await self._open()
            await self._factor.refresh()
        except TriageBotError as error:
            self._may_pass = isinstance(error, TransientError)
            return str(error)
        except Exception as error:
            self._may_pass = False
            log.exception("the provider of the second factor cannot be checked")
            return f"{type(error).__name__}, which is a bug of this program: see the log"
        return ""

    def _require(self) -> Ciba:
        if self._factor is None:
            kind = TransientError if self._may_pass else PermanentError
            raise kind(self._why or "the provider has not been checked yet")
        return self._factor


async def make_client(settings: Settings, access: Access | None = None) -> Client:
    """Return the client of the settings, with its secret fetched.

    Raises `ConfigError` if a setting is missing, `StartRefused` or `TransientError` if the secret cannot be
    fetched.
    """
    if missing := [*_find_missing(settings)]:
        raise ConfigError(missing)
    try:
        from bot.factor.tokens import check_private_key
    except ImportError as error:
        raise ConfigError([NO_JOSE]) from error
    by_key = settings.factor_client_auth == "private_key_jwt"
    proof = await fetch_secret(settings, "factor_client_key" if by_key else "factor_client_secret", access)
    hide_in_log(proof)
    if by_key:
        check_private_key(proof.reveal())
    return Client(
        issuer=settings.factor_issuer,
        client_id=settings.factor_client_id,
        authentication=settings.factor_client_auth,
        secret=Secret("") if by_key else proof,
        key=proof if by_key else Secret(""),
        login_hint=settings.factor_login_hint,
        scope=settings.factor_scope,
        subject_claim=settings.factor_subject_claim,
        fraud_error=settings.factor_fraud_error,
    )


def _find_missing(settings: Settings) -> Iterator[str]:
    """Yield which settings are missing, as problems."""
    if not settings.factor_issuer:
        yield "FACTOR_ISSUER is not set"
        return
    by_key = settings.factor_client_auth == "private_key_jwt"
    names = ("factor_client_id", "factor_client_key" if by_key else "factor_client_secret")
    yield from (
        f"{name.upper()} is not set; expected it with FACTOR_ISSUER"
        for name in names
        if not getattr(settings, name)
    )


async def watch_factor(
    settings: Settings, access: Access, tls: ssl.SSLContext, stack: AsyncExitStack, *, clock: Clock
) -> WatchedFactor:
    """Return the provider, with its own session, which `stack` closes. Makes no calls yet."""
    session = await stack.enter_async_context(_open_session(tls))

    async def open_() -> Ciba:
        return _make_ciba(await make_client(settings, access), session, clock)

    return WatchedFactor(urlsplit(settings.factor_issuer).netloc, open_, clock=clock)


async def open_ciba(client: Client, tls: ssl.SSLContext, stack: AsyncExitStack, clock: Clock) -> Ciba:
    """Return the provider, with its own session, which `stack` closes."""
    return _make_ciba(client, await stack.enter_async_context(_open_session(tls)), clock)


def _open_session(tls: ssl.SSLContext) -> aiohttp.ClientSession:
    # `Calls` limits the concurrency.
    connector = aiohttp.TCPConnector(ssl=tls, limit=0)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


def _make_ciba(client: Client, session: aiohttp.ClientSession, clock: Clock) -> Ciba:
    concurrency = count_allowed_calls(descriptor_limit(), most=CONCURRENT_CALLS_MAX)
    return Ciba(client, Calls(session, proxy_for=proxy_for, concurrency=concurrency), clock=clock)
