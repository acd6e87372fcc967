"""The phone: a stand-in for a provider of OpenID CIBA, over TLS with a certificate authority of its own."""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwt
from joserfc.jwk import ECKey

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

CLIENT_ID: Final = "triage-bot-sandbox"
#: What the provider answers where somebody says that it was not them.
FRAUD: Final = "fraud"
#: How long a prompt stays on a phone, whatever is asked for; in seconds.
PUSH_LIFETIME: Final = 60
_INTERVAL: Final = 1

_HOST: Final = "127.0.0.1"

#: What a person does → what the next poll is answered.
ACTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "approve": {},
    "deny": {"error": "access_denied"},
    "report": {"error": "access_denied", "error_description": FRAUD},
}


@dataclass
class Prompt:
    """What a phone shows: who is asked, and the code. `action` is what they did; "": nothing yet."""

    subject: str
    code: str
    id: str = field(default_factory=token_urlsafe)
    shown_at: float = field(default_factory=time.monotonic)
    action: str = ""

    @property
    def state(self) -> str:
        """`waiting`, `timed out`, or what was done."""
        if not self.action:
            return "waiting" if time.monotonic() < self.shown_at + PUSH_LIFETIME else "timed out"
        return {"approve": "approved", "deny": "denied", "report": "reported"}[self.action]


class Phone:
    """Serves until it is stopped. `mark` announces a change of what the phones show."""

    def __init__(self, mark: Callable[[], None]) -> None:
        self.issuer = ""
        self.secret = token_urlsafe()
        self.prompts: list[Prompt] = []  #: the oldest first
        self._mark = mark
        self._key = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, auto_kid=True)
        self._told: set[str] = set()
        self._runner: web.AppRunner | None = None

    async def start(self, folder: Path) -> Path:
        """Serve on a free port; return the certificate, as PEM, by which it is known."""
        certificate = folder / "phone.pem"
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.write_bytes(_make_certificate())
        context.load_cert_chain(certificate)
        application = web.Application()
        application.router.add_get("/.well-known/openid-configuration", self._describe)
        application.router.add_get("/keys", self._list_keys)
        application.router.add_post("/push", self._push)
        application.router.add_post("/token", self._poll)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, _HOST, 0, ssl_context=context).start()
        self.issuer = f"https://{_HOST}:{self._runner.addresses[0][1]}"
        return certificate

    async def stop(self) -> None:
        """Stop serving."""
        if self._runner is not None:
            await self._runner.cleanup()

    def act(self, prompt_id: str, action: str) -> None:
        """Do what somebody does on their phone: one of `ACTIONS`. `LookupError` if there is nothing to do."""
        shown = {each.id: each for each in self.prompts if each.state == "waiting"}
        ACTIONS[action]  # which must be one
        shown[prompt_id].action = action
        self._mark()

    async def _describe(self, _: web.Request) -> web.Response:
        endpoints = {
            "backchannel_authentication_endpoint": "push",
            "token_endpoint": "token",
            "jwks_uri": "keys",
        }
        modes = {"backchannel_token_delivery_modes_supported": ["poll"]}
        addresses = {name: f"{self.issuer}/{path}" for name, path in endpoints.items()}
        return web.json_response({"issuer": self.issuer, **addresses, **modes})

    async def _list_keys(self, _: web.Request) -> web.Response:
        return web.json_response({"keys": [self._key.as_dict(private=False)]})

    async def _push(self, request: web.Request) -> web.Response:
        form = await request.post()
        prompt = Prompt(subject=str(form["login_hint"]), code=str(form["binding_message"]))
        self.prompts.append(prompt)
        self._mark()
        return web.json_response(
            {"auth_req_id": prompt.id, "expires_in": PUSH_LIFETIME, "interval": _INTERVAL}
        )

    async def _poll(self, request: web.Request) -> web.Response:
        asked = str((await request.post())["auth_req_id"])
        prompt = next((each for each in self.prompts if each.id == asked), None)
        if prompt is None or asked in self._told:
            return _refuse("invalid_grant")
        if prompt.state == "waiting":
            return _refuse("authorization_pending")
        self._told.add(asked)
        self._mark()
        if prompt.state == "timed out":
            return _refuse("expired_token")
        refusal = ACTIONS[prompt.action]
        return web.json_response(refusal, status=400) if refusal else self._prove(prompt)

    def _prove(self, prompt: Prompt) -> web.Response:
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "sub": prompt.subject,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + PUSH_LIFETIME,
            "email": prompt.subject,
            "email_verified": True,
        }
        token = jwt.encode({"alg": "ES256", "kid": self._key.kid}, claims, self._key)
        return web.json_response({"id_token": token, "access_token": "unused", "token_type": "Bearer"})


def _refuse(error: str) -> web.Response:
    return web.json_response({"error": error}, status=400)


def _make_certificate() -> bytes:
    """Return a key and a certificate for 127.0.0.1 that is its own authority, as PEM."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Triage bot sandbox")])
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign"), False
    )
    only = {"encipher_only": False, "decipher_only": False}
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(_HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=True, key_cert_sign=True, **usage, **only), critical=True
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return secret + certificate.public_bytes(serialization.Encoding.PEM)
