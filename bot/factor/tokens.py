"""JOSE: verifies the provider's ID tokens and signs our client assertions. Needs the extra `factor`."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import ECKey, Key, KeySet, OctKey, OKPKey, RSAKey, import_key

from bot.errors import ConfigError

#: The accepted algorithms of an ID token. No symmetric one: anybody who has the client's secret could sign.
ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
)

#: How far the provider's clock may differ from ours.
_LEEWAY: Final = timedelta(seconds=60)

#: The lifetime of a client assertion.
_ASSERTION_LASTS: Final = timedelta(seconds=60)

_RSA: Final = ("RS256", "PS256", "RS384", "PS384", "RS512", "PS512")
_CURVES: Final = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}


class InvalidToken(Exception):
    """An ID token that is not valid; the message is a clause that says why."""


class UnknownKey(InvalidToken):
    """The token is signed with none of the known keys: the provider may have new ones."""


def read_keys(document: Mapping[str, Any]) -> KeySet:
    """Return the keys of a JWKS document that may sign an ID token; others are left out."""
    found: list[Key] = []
    entries = document.get("keys")
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
            continue
        try:
            key = import_key(entry)
        except (JoseError, ValueError, TypeError, KeyError):
            continue  # of an unknown kind
        if not isinstance(key, OctKey):
            found.append(key)
    return KeySet(found)


def verify(token: str, keys: KeySet, *, issuer: str, client_id: str, now: datetime) -> Mapping[str, Any]:
    """Return the claims of an ID token (OpenID Connect Core 1.0, section 3.1.3.7).

    Raises `InvalidToken` unless it is the issuer's, for this client alone, and current.
    """
    registry = jwt.JWTClaimsRegistry(
        now=int(now.timestamp()),
        leeway=int(_LEEWAY.total_seconds()),
        iss={"essential": True, "value": issuer},
        sub={"essential": True},
        aud={"essential": True, "value": client_id},
        exp={"essential": True},
        iat={"essential": True},
    )
    try:
        claims = jwt.decode(token, keys, algorithms=list(ALGORITHMS)).claims
        registry.validate(claims)
    except InvalidKeyIdError as error:
        raise UnknownKey("the ID token is signed with a key that the provider does not publish") from error
    except (JoseError, ValueError, TypeError) as error:
        raise InvalidToken(f"the ID token is not valid ({error})") from error
    others = [each for each in claims["aud"] if each != client_id] if isinstance(claims["aud"], list) else []
    if claims.get("azp", "" if others else client_id) != client_id:
        raise InvalidToken("the ID token was issued to another client")
    return claims


def read_private_key(text: str) -> Key:
    """Return the client's private key from a JWK or PEM.

    Raises `ConfigError`, which does not show the key.
    """
    problem = "FACTOR_CLIENT_KEY is not a private key; expected a JWK (JSON) or PEM of RSA, EC or Ed25519"
    try:
        if text.lstrip().startswith("{"):
            key: Key = import_key(json.loads(text))
        else:
            key = _read_pem(text)
    except (JoseError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ConfigError([problem]) from error
    if isinstance(key, OctKey) or not key.is_private:
        raise ConfigError([problem])
    return key


def check_private_key(text: str) -> None:
    """Raise `ConfigError`, as `read_private_key` does, unless the client can sign with this."""
    key = read_private_key(text)
    algorithm = _algorithms_of(key)[0]
    try:
        jwt.encode({"alg": algorithm}, {}, key, algorithms=[algorithm])
    except (JoseError, ValueError, TypeError) as error:
        problem = (
            f"FACTOR_CLIENT_KEY cannot sign ({error}); expected a key for signatures: RSA, EC or Ed25519"
        )
        raise ConfigError([problem]) from error


def _read_pem(text: str) -> Key:
    kinds: tuple[type[Key], ...] = (RSAKey, ECKey, OKPKey)
    for kind in kinds:
        try:
            return kind.import_key(text)
        except (JoseError, ValueError, TypeError):
            continue
    raise ValueError("no known kind of key")


def sign_assertion(key: Key, *, client_id: str, audience: str, accepted: Sequence[str], now: datetime) -> str:
    """Return a client assertion (`private_key_jwt`, RFC 7523).

    `accepted` are the algorithms that the provider names; if none of them fits, the key's usual one is used.
    """
    usual = _algorithms_of(key)
    algorithm = next((each for each in usual if each in accepted), usual[0])
    header = {"alg": algorithm} | ({"kid": key.kid} if key.kid else {})
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "jti": secrets.token_urlsafe(24),
        "iat": int(now.timestamp()),
        "exp": int((now + _ASSERTION_LASTS).timestamp()),
    }
    return jwt.encode(header, claims, key, algorithms=[algorithm])


def _algorithms_of(key: Key) -> Sequence[str]:
    """Return the algorithms of a key, the usual one first; only its own if it names one."""
    if isinstance(key, RSAKey):
        usual: Sequence[str] = _RSA
    else:
        usual = (_CURVES.get(key.curve_name, "ES256"),) if isinstance(key, ECKey) else ("EdDSA", "Ed25519")
    return (key.alg,) if key.alg and key.alg in usual else usual
