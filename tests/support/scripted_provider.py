"""An OpenID provider that says what a test wants it to, over TLS, and keeps what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
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


#: A status with a JSON object or a text; or nothing at all.
Reply = tuple[int, Mapping[str, Any] | str] | type[Cut] | type[Hang]


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
        if isinstance(reply, type):
            assert request.transport
            request.transport.abort()
            return web.Response()
        status, body = reply
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=status, text=text, content_type="application/json", headers=self.headers)

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

    def token(self, *, key: RSAKey | ECKey | OctKey = KEY, alg: str = "RS256", **changes: object) -> str:
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
        return jwt.encode({"alg": alg, "kid": key.kid}, kept, key, algorithms=[alg])


@asynccontextmanager
async def scripted(certificate: Path) -> AsyncIterator[ScriptedProvider]:
    provider = ScriptedProvider()
    async with served(provider.answer, tls=show(certificate)) as url:
        provider.issuer = url
        yield provider
