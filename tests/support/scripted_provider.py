"""An OpenID provider that says what a test wants it to, over TLS, and keeps what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from aiohttp import web
from certificate import show
from fakes import NOON
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey
from served import served

CLIENT_ID = "triage-bot"
NOON_SECONDS = int(NOON.timestamp())  #: since 1970
ADA = "ada@example.com"
KEY = RSAKey.generate_key(2048, {"kid": "one"})
OTHER_KEY = RSAKey.generate_key(2048, {"kid": "two"})
EC_KEY = ECKey.generate_key("P-256", {"kid": "three"})


class Cut:
    """In place of a reply: the connection is cut once the question was read."""


class Hang:
    """In place of a reply: there is none before the test lets it go."""


class Endless:
    """In place of a reply: one that never ends."""


#: A status with a JSON object, a text or bytes; or no such thing.
Reply = tuple[int, Mapping[str, Any] | str | bytes] | type[Cut] | type[Hang] | type[Endless]


class ScriptedProvider:
    def __init__(self) -> None:
        self.issuer = ""
        self.discovery: dict[str, Any] = {}  #: in place of what it would say
        self.keys = KeySet([KEY])
        self.pushes: list[Reply] = []  #: by turns; afterwards the last again
        self.polls: list[Reply] = []
        self.asked: list[tuple[str, Mapping[str, str]]] = []  #: path and form
        self.headers: Mapping[str, str] = {}  #: of every reply
        self.let_go = asyncio.Event()

    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.asked.append((request.path, form))
        reply = self._reply_to(request.path)
        if reply is Hang:
            await self.let_go.wait()
        if reply is Endless:
            await _write_on_and_on(request)
        if isinstance(reply, type):
            assert request.transport
            request.transport.abort()
            return web.Response()
        status, body = reply
        if isinstance(body, Mapping):
            body = json.dumps(body)
        raw = body if isinstance(body, bytes) else body.encode()
        headers = {"Content-Type": "application/json", **self.headers}
        return web.Response(status=status, body=raw, headers=headers)

    def _reply_to(self, path: str) -> Reply:
        if path == "/.well-known/openid-configuration":
            names = {
                "backchannel_authentication_endpoint": "/push",
                "token_endpoint": "/token",
                "jwks_uri": "/keys",
            }
            said = {"issuer": self.issuer, **{name: f"{self.issuer}{each}" for name, each in names.items()}}
            return 200, said | self.discovery
        if path == "/keys":
            return 200, dict(self.keys.as_dict())
        script = self.pushes if path == "/push" else self.polls
        return script.pop(0) if len(script) > 1 else script[0]

    def token(
        self,
        *,
        key: RSAKey | ECKey | OctKey = KEY,
        alg: str = "RS256",
        names_key: bool = True,
        **changes: object,
    ) -> str:
        """Return an ID token about Ada's approval at noon; a claim of None is left out."""
        claims = {
            "iss": self.issuer,
            "sub": "1815",
            "aud": CLIENT_ID,
            "iat": NOON_SECONDS,
            "exp": NOON_SECONDS + 300,
            "email": ADA,
            "email_verified": True,
            **changes,
        }
        kept = {name: value for name, value in claims.items() if value is not None}
        header = {"alg": alg} | ({"kid": key.kid} if names_key else {})
        return jwt.encode(header, kept, key, algorithms=[alg])


async def _write_on_and_on(request: web.Request) -> None:
    response = web.StreamResponse()
    await response.prepare(request)
    with suppress(ConnectionError):
        while request.transport is not None:
            await response.write(b" " * 65_536)
            await asyncio.sleep(0)  # a write alone lets nobody else go on


@asynccontextmanager
async def scripted(certificate: Path) -> AsyncIterator[ScriptedProvider]:
    provider = ScriptedProvider()
    async with served(provider.answer, tls=show(certificate)) as url:
        provider.issuer = url
        yield provider
