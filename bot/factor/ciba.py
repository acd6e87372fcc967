"""A second factor by OpenID Client-Initiated Backchannel Authentication (CIBA) Core 1.0, in poll mode.

https://openid.net/specs/openid-client-initiated-backchannel-authentication-core-1_0.html
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_plus, urlsplit

from bot.clock import Clock
from bot.errors import AmbiguousError, NoDevice, PermanentError, TransientError
from bot.factor.calls import Answer, Calls, require_https
from bot.redaction import Secret
from bot.triage.factor import PollResult, Push, Verdict

if TYPE_CHECKING:
    from joserfc.jwk import KeySet

#: The lifetime that is requested for a push.
PUSH_LIFETIME: Final = timedelta(seconds=60)

#: The time between two polls unless the provider names one (section 7.3), and what each `slow_down` adds.
_INTERVAL: Final = timedelta(seconds=5)
_INTERVAL_MIN: Final = timedelta(seconds=1)
_INTERVAL_MAX: Final = timedelta(seconds=60)

#: In characters: no id of a push is longer. It must fit into a stored row.
_ID_MAX: Final = 4096

#: How old the cached discovery document and keys may be: a withdrawn key must not be trusted forever. A
#: token may be verified with keys that are somewhat older; an unknown key has them fetched once a minute at
#: most.
_MAX_AGE: Final = timedelta(hours=1)
_TOKEN_MAX_AGE: Final = timedelta(hours=2)
_UNKNOWN_KEY_MAX_AGE: Final = timedelta(minutes=1)

GRANT: Final = "urn:openid:params:grant-type:ciba"
_REQUEST_CLAIM: Final = "urn:openid:params:jwt:claim:auth_req_id"
_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

#: What the error codes of a poll mean (section 11). `invalid_grant` is OAuth's: unknown, or already redeemed.
_VERDICTS: Final[Mapping[str, Verdict]] = {
    "authorization_pending": Verdict.PENDING,
    "slow_down": Verdict.PENDING,
    "access_denied": Verdict.REFUSED,
    "expired_token": Verdict.TIMED_OUT,
    "invalid_grant": Verdict.LOST,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Client:
    """How this bot is registered at the provider as a client: the settings `FACTOR_…`."""

    issuer: str
    client_id: str
    authentication: str = "client_secret_basic"  #: or client_secret_post, private_key_jwt
    secret: Secret = field(default=Secret(""))  #: for the first two
    key: Secret = field(default=Secret(""))  #: for the third: a private key as JWK or PEM
    login_hint: str = "{subject}"
    scope: str = "openid email"
    subject_claim: str = "email"
    fraud_error: str = ""  #: the provider's own code for a report of fraud; "": none


@dataclass(frozen=True, kw_only=True, slots=True)
class Provider:
    """What the provider's discovery document says."""

    authentication_endpoint: str
    token_endpoint: str
    jwks_uri: str
    algorithms: tuple[str, ...]  #: that a client may sign with; (): not stated
    read_at: timedelta  #: on `Clock.monotonic`
    date: str  #: the header `Date` of that answer; "": none


class Ciba:
    """The port `SecondFactor` over CIBA. Its only state is a cache of the discovery document and the keys."""

    def __init__(self, client: Client, calls: Calls, *, clock: Clock) -> None:
        self._client = client
        self._calls = calls
        self._clock = clock
        self._provider: Provider | None = None
        self._keys: tuple[KeySet, timedelta] | None = None
        self._authenticate = _AUTHENTICATIONS[client.authentication]

    @property
    def name(self) -> str:
        """The provider's name, for people: the host of its issuer."""
        return urlsplit(self._client.issuer).netloc

    async def push(self, subject: str, code: str) -> Push:
        """See the port `SecondFactor`."""
        provider, client = await self.discover(), self._client
        await self.keys()  # without them no approval could be verified
        form = {
            "scope": client.scope,
            "login_hint": client.login_hint.replace("{subject}", subject),
            "binding_message": code,
            "requested_expiry": str(int(PUSH_LIFETIME.total_seconds())),
        }
        answer = await self._send(provider, provider.authentication_endpoint, form)
        if answer.is_ok:
            return _read_push(answer)
        if answer.error == "unknown_user_id":
            raise NoDevice("the provider knows no device of this person")
        raise PermanentError(f"{self.name} refuses the push ({_shorten_code(answer.error)})")

    async def poll(self, push_id: str, subject: str) -> PollResult:
        """See the port `SecondFactor`."""
        try:
            provider = await self.discover()
        except PermanentError as error:  # concerns the provider, not this push: a later poll may succeed
            raise TransientError(str(error)) from error
        form = {"grant_type": GRANT, "auth_req_id": push_id}
        try:
            answer = await self._send(provider, provider.token_endpoint, form)
        except AmbiguousError as error:
            raise TransientError(str(error)) from error
        except PermanentError as error:
            return PollResult(verdict=Verdict.UNAVAILABLE, detail=str(error))
        # Some providers send an error with status 200. A token next to it proves nothing.
        if answer.is_ok and answer.content.get("error") is None:
            return await self._judge(answer.text("id_token"), push_id, subject)
        return self._read_error(answer)

    async def refresh(self) -> None:
        """Fetch the provider's discovery document and keys again. Raises as `discover` does."""
        await self.discover(max_age=timedelta(0))
        await self.keys(max_age=timedelta(0))

    async def discover(self, *, max_age: timedelta = _MAX_AGE) -> Provider:
        """Return the discovery document, from the cache unless it is older than `max_age`.

        Raises `TransientError` if the provider cannot be reached, `PermanentError` if the document is
        unusable.
        """
        now = self._clock.monotonic()
        if self._provider is None or now - self._provider.read_at >= max_age:
            url = f"{self._client.issuer.rstrip('/')}/.well-known/openid-configuration"
            answer = await self._calls.get(url)
            self._provider = self._read_discovery(answer, now)
        return self._provider

    async def keys(self, *, max_age: timedelta = _MAX_AGE) -> KeySet:
        """Return the keys, from the cache unless they are older than `max_age`. Raises as `discover` does."""
        from bot.factor.tokens import read_keys

        now = self._clock.monotonic()
        if self._keys is None or now - self._keys[1] >= max_age:
            answer = await self._calls.get((await self.discover()).jwks_uri)
            keys = read_keys(answer.content if answer.is_ok else {})
            if not keys:
                raise PermanentError(f"{self.name} publishes no key that may sign an ID token")
            self._keys = keys, now
        return self._keys[0]

    def _read_discovery(self, answer: Answer, now: timedelta) -> Provider:
        if answer.text("issuer") != self._client.issuer:
            raise PermanentError(
                f"the provider calls itself {_shorten_code(answer.text('issuer'))}, and FACTOR_ISSUER is"
                f" {self._client.issuer}: they must be equal"
            )
        names = ("backchannel_authentication_endpoint", "token_endpoint", "jwks_uri")
        missing = [name for name in names if not answer.text(name)]
        if missing:
            raise PermanentError(f"{self.name} does not offer CIBA: its discovery lacks {', '.join(missing)}")
        modes = answer.content.get("backchannel_token_delivery_modes_supported", ["poll"])
        if not isinstance(modes, list) or "poll" not in modes:
            raise PermanentError(f"{self.name} cannot be polled: its discovery does not list the mode poll")
        endpoints = [answer.text(name) for name in names]
        for endpoint in endpoints:
            require_https(endpoint)
        algorithms = answer.content.get("token_endpoint_auth_signing_alg_values_supported")
        return Provider(
            authentication_endpoint=endpoints[0],
            token_endpoint=endpoints[1],
            jwks_uri=endpoints[2],
            algorithms=tuple(map(str, algorithms)) if isinstance(algorithms, list) else (),
            read_at=now,
            date=answer.date,
        )

    async def _send(self, provider: Provider, url: str, form: Mapping[str, str]) -> Answer:
        proof, headers = self._authenticate(self._client, provider, self._clock())
        return await self._calls.post(url, {**form, **proof}, {"Accept": "application/json", **headers})

    def _read_error(self, answer: Answer) -> PollResult:
        fraud = self._client.fraud_error
        if fraud and fraud in (answer.error, answer.text("error_description")):
            return PollResult(verdict=Verdict.FRAUD)
        slower = _INTERVAL if answer.error == "slow_down" else timedelta(0)
        verdict = _VERDICTS.get(answer.error, Verdict.UNAVAILABLE)
        return PollResult(
            verdict=verdict, detail=f"the provider answers {_shorten_code(answer.error)}", slower=slower
        )

    async def _judge(self, token: str, push_id: str, subject: str) -> PollResult:
        """Judge an ID token: its signature, its audience, and who approved."""
        from bot.factor.tokens import InvalidToken

        try:
            claims = await self._verify(token)
        except (InvalidToken, PermanentError, TransientError) as error:
            # The provider issues a token once: if it cannot be verified now, it never can be.
            return PollResult(verdict=Verdict.UNAVAILABLE, detail=str(error))
        if claims.get(_REQUEST_CLAIM, push_id) != push_id:
            return PollResult(verdict=Verdict.UNAVAILABLE, detail="the ID token is about another push")
        return _compare(claims, self._client.subject_claim, subject)

    async def _verify(self, token: str) -> Mapping[str, Any]:
        from bot.factor.tokens import UnknownKey, verify

        about = {"issuer": self._client.issuer, "client_id": self._client.client_id}
        try:
            return verify(token, await self.keys(max_age=_TOKEN_MAX_AGE), **about, now=self._clock())
        except UnknownKey:
            return verify(token, await self.keys(max_age=_UNKNOWN_KEY_MAX_AGE), **about, now=self._clock())


def _compare(claims: Mapping[str, Any], name: str, subject: str) -> PollResult:
    """Compare who approved with whom we asked: exactly, except for the ASCII case of a verified address."""
    who = claims.get(name)
    if not isinstance(who, str) or not who:
        return PollResult(verdict=Verdict.UNAVAILABLE, detail=f"the ID token has no claim {name}")
    if name == "email" and claims.get("email_verified") is not True:
        return PollResult(
            verdict=Verdict.UNAVAILABLE, detail="the ID token does not say email_verified: true"
        )
    same = _fold(who) == _fold(subject) if name == "email" else who == subject
    return PollResult(verdict=Verdict.APPROVED if same else Verdict.OTHER_PERSON, who=who)


def _fold(text: str) -> bytes:
    """Return a text as UTF-8 with only A to Z in lower case: the kelvin sign is no `k`."""
    return text.encode("utf-8", "surrogatepass").lower()


def _read_push(answer: Answer) -> Push:
    """Return the push of an answer. Raises `AmbiguousError` if its id or its lifetime is missing or odd."""
    push_id, lifetime = answer.text("auth_req_id"), _read_seconds(answer.content.get("expires_in"))
    if not _is_id(push_id) or lifetime is None:
        raise AmbiguousError("the provider accepted a push without naming its id or its lifetime")
    interval = _read_seconds(answer.content.get("interval", int(_INTERVAL.total_seconds()))) or _INTERVAL
    return Push(id=push_id, lifetime=lifetime, interval=min(max(interval, _INTERVAL_MIN), _INTERVAL_MAX))


def _is_id(text: str) -> bool:
    """Whether this may be a push's id: printable ASCII (section 7.3 allows even less) that fits in a row."""
    return 0 < len(text) <= _ID_MAX and text.isascii() and text.isprintable()


def _read_seconds(value: object) -> timedelta | None:
    """Return a number of seconds as a `timedelta`, at most a day; None unless it is a number above 0.

    Some providers send a string of digits.
    """
    if isinstance(value, str) and re.fullmatch("[0-9]{1,9}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        return None
    return min(timedelta(seconds=min(value, 86_400)), timedelta(days=1))


def _shorten_code(text: str) -> str:
    """Return a code of the provider's in a form that can be logged: at most 80 printable ASCII characters."""
    return "".join(each for each in text if each.isascii() and each.isprintable())[:80] or "nothing"


#: Authenticates the client: returns form fields and headers.
_Authenticate = Callable[[Client, Provider, datetime], tuple[Mapping[str, str], Mapping[str, str]]]


def _use_basic(client: Client, _: Provider, __: datetime) -> tuple[Mapping[str, str], Mapping[str, str]]:
    pair = f"{quote_plus(client.client_id)}:{quote_plus(client.secret.reveal())}"  # RFC 6749, section 2.3.1
    return {}, {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _use_post(client: Client, _: Provider, __: datetime) -> tuple[Mapping[str, str], Mapping[str, str]]:
    return {"client_id": client.client_id, "client_secret": client.secret.reveal()}, {}


def _use_key(
    client: Client, provider: Provider, now: datetime
) -> tuple[Mapping[str, str], Mapping[str, str]]:
    from bot.factor.tokens import read_private_key, sign_assertion

    assertion = sign_assertion(
        read_private_key(client.key.reveal()),
        client_id=client.client_id,
        audience=client.issuer,
        accepted=provider.algorithms,
        now=now,
    )
    return {
        "client_id": client.client_id,
        "client_assertion_type": _ASSERTION,
        "client_assertion": assertion,
    }, {}


_AUTHENTICATIONS: Final[Mapping[str, _Authenticate]] = {
    "client_secret_basic": _use_basic,
    "client_secret_post": _use_post,
    "private_key_jwt": _use_key,
}
