"""The provider of the second factor: people do as is drawn on their devices, and it may fail.

What it records is its own: who approved which push, and when. The judge believes nothing else.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any, Final

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey

from .history import Pushed
from .orders import FACTOR_SECRET

_CLIENT_ID: Final = "triage-bot"
_FRAUD: Final = "not_me"

#: How long a push lasts, how long after that somebody late may act, and what a poll is to wait, in seconds of
#: the provider's time.
_LASTS: Final = 60
_LATE: Final = 40.0
_INTERVAL: Final = 2

#: The end of the names of those who have no device.
_NO_DEVICE: Final = "7"

_KEY: Final = ECKey.generate_key("P-256", {"use": "sig"}, auto_kid=True)

#: What people do: the late approve when their push has run out already, and the doubled twice.
_REACTIONS: Final = ("approve",) * 6 + (
    "late",
    "double",
    "deny",
    "deny",
    "ignore",
    "ignore",
    "other",
    "fraud",
)
_REFUSALS: Final = {"deny": "access_denied", "fraud": _FRAUD}
_PENDING: Final = ("authorization_pending", "authorization_pending", "slow_down")

#: What happens to a call, if anything does: before it, or to its reply. A slow one takes so many seconds of
#: the provider's time; its caller may give up before.
_TROUBLES: Final = (
    "error 500",
    "error 503",
    "error 429",
    "cut before",
    "cut after",
    "slow before",
    "slow after",
)
_TROUBLED: Final = 0.15
_SLOW: Final = (2.0, 50.0)


def factor_environment(address: str) -> dict[str, str]:
    """Return the worker's variables that lead to the provider of this address."""
    return {
        "FACTOR_ISSUER": address,
        "FACTOR_CLIENT_ID": _CLIENT_ID,
        "FACTOR_CLIENT_SECRET": FACTOR_SECRET,
        "FACTOR_FRAUD_ERROR": _FRAUD,
    }


class Provider:
    """`pushes` are all that it took. `gate` lets a drawn fault happen, `counts` tells how often which did."""

    def __init__(self, seconds: Callable[[], float], random: Random, *, pace: float = 1.0) -> None:
        self.address = ""  #: under which its callers know it: its issuer
        self.pushes: list[Pushed] = []
        self.raging = True
        self.gate: Callable[[str], bool] = lambda _: True
        self.counts: Counter[str] = Counter()
        self._seconds = seconds
        self._random = random
        self._pace = pace
        self._told: set[int] = set()
        self._runner: web.AppRunner | None = None

    async def start(self, tls: ssl.SSLContext, *, on_response: Any) -> None:
        """Serve over TLS on a port of its own; `on_response` is called as aiohttp calls such signals."""
        application = web.Application()
        application.on_response_prepare.append(on_response)
        application.router.add_route("*", "/factor/{rest:.*}", self.handle)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=tls).start()
        self.address = f"https://127.0.0.1:{self._runner.addresses[0][1]}/factor"

    async def stop(self) -> None:
        """End the server; the record stays."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def handle(self, request: Any) -> web.StreamResponse:
        """Answer a call, or spoil it."""
        form = await request.post()
        trouble = self._draw()
        if trouble.startswith("error"):
            return web.json_response({}, status=int(trouble.split()[1]))
        if trouble == "cut before":
            request.transport.abort()
            return web.json_response({})
        if trouble == "slow before":
            await self._dawdle()
        response = self._answer(request.path.removeprefix("/factor/"), form)
        if trouble == "slow after":
            await self._dawdle()
        if trouble == "cut after" and request.transport is not None:
            request.transport.abort()
        return response

    def _draw(self) -> str:
        if not self.raging or self._random.random() >= _TROUBLED:
            return ""
        trouble = self._random.choice(_TROUBLES)
        if not self.gate(f"factor {trouble}"):
            return ""
        self.counts[f"factor {trouble}"] += 1
        return trouble

    async def _dawdle(self) -> None:
        await asyncio.sleep(self._random.uniform(*_SLOW) / self._pace)

    def _answer(self, path: str, form: Any) -> web.StreamResponse:
        if path == ".well-known/openid-configuration":
            names = ("backchannel_authentication_endpoint", "token_endpoint", "jwks_uri")
            urls = (f"{self.address}/{each}" for each in ("push", "token", "keys"))
            return web.json_response({"issuer": self.address, **dict(zip(names, urls, strict=True))})
        if path == "keys":
            return web.json_response({"keys": [_KEY.as_dict(private=False)]})
        return self._push(form) if path == "push" else self._poll(form)

    def _push(self, form: Any) -> web.StreamResponse:
        subject, now = form["login_hint"], self._seconds()
        if subject.partition("@")[0].endswith(_NO_DEVICE):
            return _refuse("unknown_user_id")
        action, dead_at = self._random.choice(_REACTIONS), now + _LASTS
        done_at = now + self._random.uniform(0, _LASTS)
        if action == "late":
            done_at = dead_at + self._random.uniform(0, _LATE)
        pushed = Pushed(
            subject=subject,
            code=form["binding_message"],
            at=now,
            action="" if action == "ignore" else action,
            done_at=dead_at if action == "ignore" else done_at,
            dead_at=min(dead_at, done_at),
        )
        self.pushes.append(pushed)
        facts = {"auth_req_id": f"push-{len(self.pushes)}", "expires_in": _LASTS, "interval": _INTERVAL}
        return web.json_response(facts)

    def _poll(self, form: Any) -> web.StreamResponse:
        number = int(form["auth_req_id"].removeprefix("push-"))
        pushed, now = self.pushes[number - 1], self._seconds()
        if number in self._told and pushed.action != "double":
            return _refuse("invalid_grant")
        if now < pushed.done_at:
            return _refuse(self._random.choice(_PENDING))
        self._told.add(number)
        if not pushed.action:
            return _refuse("expired_token")
        if pushed.action in _REFUSALS:
            return _refuse(_REFUSALS[pushed.action])
        who = pushed.subject if pushed.approved else "somebody-else@example.com"
        claims = {"iss": self.address, "sub": who, "aud": _CLIENT_ID, "iat": int(now), "exp": int(now) + 60}
        claims |= {"email": who, "email_verified": True}
        token = jwt.encode({"alg": "ES256", "kid": _KEY.kid}, claims, _KEY)
        return web.json_response({"id_token": token, "token_type": "Bearer"})


def _refuse(error: str) -> web.StreamResponse:
    return web.json_response({"error": error}, status=400)
