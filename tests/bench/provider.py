"""A provider of the second factor in which everybody approves, at a latency that can be set."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qsl

from joserfc import jwt
from joserfc.jwk import ECKey
from lean_http import LeanServer, Reply, Request

_CLIENT_ID: Final = "triage-bot"
_KEY: Final = ECKey.generate_key("P-256", {"use": "sig"}, auto_kid=True)


class LeanProvider:
    """Takes each push, and says at the first poll that its person has approved it."""

    def __init__(self) -> None:
        self.server = LeanServer(self._serve)
        self.latency = 0.0  #: seconds that a push takes, and a poll

    def environment(self) -> dict[str, str]:
        """Return the variables that lead here."""
        return {
            "FACTOR_ISSUER": self.server.address,
            "FACTOR_CLIENT_ID": _CLIENT_ID,
            "FACTOR_CLIENT_SECRET": "bench",
        }

    def _serve(self, request: Request, answer: Callable[[Reply], None]) -> None:
        form = dict(parse_qsl(request.body.decode()))
        if request.path == "/push":
            who = form["login_hint"]
            self._later(answer, {"auth_req_id": who, "expires_in": 120, "interval": 5})
        elif request.path == "/token":
            self._later(answer, {"id_token": self._approval(form["auth_req_id"]), "token_type": "Bearer"})
        elif request.path == "/keys":
            answer(_json({"keys": [_KEY.as_dict(private=False)]}))
        else:
            names = {
                "backchannel_authentication_endpoint": "push",
                "token_endpoint": "token",
                "jwks_uri": "keys",
            }
            urls = {name: f"{self.server.address}/{path}" for name, path in names.items()}
            answer(_json({"issuer": self.server.address, **urls}))

    def _later(self, answer: Callable[[Reply], None], said: object) -> None:
        asyncio.get_running_loop().call_later(self.latency, answer, _json(said))

    def _approval(self, who: str) -> str:
        now = int(time.time() + self.latency)
        claims = {"iss": self.server.address, "sub": who, "aud": _CLIENT_ID, "iat": now, "exp": now + 60}
        claims |= {"email": who, "email_verified": True}
        return jwt.encode({"alg": "ES256", "kid": _KEY.kid}, claims, _KEY)


def _json(said: object) -> Reply:
    return Reply(body=json.dumps(said).encode())
