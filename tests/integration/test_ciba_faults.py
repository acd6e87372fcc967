"""The second factor against a misbehaving provider, over TLS."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from certificate import make_certificate, needs_openssl, trust
from fakes import NOON, ToldClock
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey
from scripted_provider import (
    ADA,
    CLIENT_ID,
    EC_KEY,
    KEY,
    NOON_SECONDS,
    OTHER_KEY,
    Cut,
    Endless,
    Hang,
    Reply,
    ScriptedProvider,
    scripted,
)
from world import eventually

from bot.errors import AmbiguousError, ConfigError, NoDevice, PermanentError, TransientError, TriageBotError
from bot.factor.calls import Calls
from bot.factor.ciba import GRANT, Ciba, Client
from bot.redaction import Secret
from bot.settings.parsers import CLIENT_AUTHENTICATIONS
from bot.triage.factor import Push, Verdict
from bot.worker.second_factor import WatchedFactor

pytestmark = needs_openssl

#: Calls to one address at a time.
SLOTS = 8

PUSH = {"auth_req_id": "push-1", "expires_in": 60, "interval": 2}
TAKEN: Reply = (200, PUSH)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
async def provider(certificate: Path) -> AsyncIterator[ScriptedProvider]:
    async with scripted(certificate) as provider:
        provider.pushes, provider.polls = [TAKEN], [(400, {"error": "authorization_pending"})]
        yield provider


@pytest.fixture
async def calls(certificate: Path) -> AsyncIterator[Calls]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust(certificate))) as session:
        yield Calls(session, concurrency=SLOTS)


@pytest.fixture
def client(provider: ScriptedProvider) -> Client:
    return Client(issuer=provider.issuer, client_id=CLIENT_ID, secret=Secret("s"), fraud_error="not_me")


@pytest.fixture
def factor(client: Client, calls: Calls) -> Ciba:
    return Ciba(client, calls, clock=ToldClock(lambda: NOON))


async def verdict_on(factor: Ciba, provider: ScriptedProvider, subject: str = ADA, **token: Any) -> Verdict:
    provider.polls = [(200, {"id_token": provider.token(**token), "access_token": "x"})]
    return (await factor.poll("push-1", subject)).verdict


async def test_a_push_names_the_person_and_the_code_and_asks_for_a_minute(
    provider: ScriptedProvider, client: Client, calls: Calls
) -> None:
    hinted = replace(client, login_hint='{"sub": "{subject}"}', scope="openid profile")
    factor = Ciba(hinted, calls, clock=ToldClock(lambda: NOON))

    push = await factor.push(ADA, "CODE23")
    await factor.poll(push.id, ADA)

    assert push == Push(id="push-1", lifetime=timedelta(seconds=60), interval=timedelta(seconds=2))
    assert provider.asked[-2:] == [
        (
            "/push",
            {
                "scope": "openid profile",
                "login_hint": json.dumps({"sub": ADA}),
                "binding_message": "CODE23",
                "requested_expiry": "60",
            },
        ),
        ("/token", {"grant_type": GRANT, "auth_req_id": "push-1"}),
    ]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ((400, {"error": "unknown_user_id"}), NoDevice),
        ((400, {"error": "invalid_binding_message"}), PermanentError),
        ((401, {"error": "invalid_client"}), PermanentError),
        ((400, {"error": "a_code_of_tomorrow"}), PermanentError),
        ((403, "<html>a proxy</html>"), PermanentError),
        ((302, {"auth_req_id": "push-1", "expires_in": 60}), AmbiguousError),
        ((429, {}), TransientError),
        ((500, {"error": "server_error"}), AmbiguousError),
        ((503, ""), AmbiguousError),
        ((200, "<html>a proxy</html>"), AmbiguousError),
        ((200, {"expires_in": 60}), AmbiguousError),
        ((200, {"auth_req_id": "\ud800", "expires_in": 60}), AmbiguousError),
        ((200, {"auth_req_id": "x" * 4097, "expires_in": 60}), AmbiguousError),
        ((200, {"auth_req_id": "push-1", "expires_in": -1}), AmbiguousError),
        ((200, {"auth_req_id": "push-1", "expires_in": True}), AmbiguousError),
        *(
            ((200, {"auth_req_id": "push-1", "expires_in": lifetime}), AmbiguousError)
            for lifetime in ("", "0", "-60", "+60", " 60", "6e1", "NaN", "60s", "٦٠", "9" * 5000, None, [60])
        ),
        *(
            ((200, {"auth_req_id": push_id, "expires_in": 60}), AmbiguousError)
            for push_id in (7, None, ["push-1"], {"id": "push-1"}, "", "push\n1")
        ),
        ((200, '{"auth_req_id": "push-1", "expires_in": NaN}'), AmbiguousError),
        ((200, {"error": "unknown_user_id"}), AmbiguousError),
        ((200, ""), AmbiguousError),
        ((200, b"\xff\xfe\xff"), AmbiguousError),
        ((201, {"auth_req_id": "push-1", "expires_in": 60}), AmbiguousError),
        ((408, ""), PermanentError),
        (Cut, AmbiguousError),
        (Endless, AmbiguousError),
    ],
)
async def test_whatever_answers_a_push_it_is_known_whether_one_may_be_out(
    factor: Ciba, provider: ScriptedProvider, reply: Reply, error: type[TriageBotError]
) -> None:
    provider.pushes = [reply]

    with pytest.raises(error) as caught:
        await factor.push(ADA, "CODE23")

    assert type(caught.value) is error
    assert provider.paths().count("/push") == 1


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"\xef\xbb\xbf%s", {}),
        (b"\n %s \n", {"Content-Type": "application/json;charset=UTF-8"}),
        (b"%s", {"Content-Type": "text/plain; charset=iso-8859-1"}),
    ],
    ids=["byte order mark", "charset", "text"],
)
async def test_an_answer_is_read_however_it_is_sent(
    factor: Ciba, provider: ScriptedProvider, body: bytes, headers: dict[str, str]
) -> None:
    provider.headers = headers
    provider.pushes = [(200, body % json.dumps(PUSH).encode())]

    assert (await factor.push(ADA, "CODE23")).id == "push-1"


async def test_a_compressed_answer_is_read_and_a_broken_one_is_none(
    factor: Ciba, provider: ScriptedProvider
) -> None:
    packed = gzip.compress(json.dumps(PUSH).encode())
    await factor.refresh()
    provider.headers = {"Content-Encoding": "gzip"}
    provider.pushes = [(200, packed), (200, b"not compressed")]

    assert (await factor.push(ADA, "CODE23")).id == "push-1"
    with pytest.raises(AmbiguousError):
        await factor.push(ADA, "CODE23")


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ((400, {"error": "authorization_pending"}), Verdict.PENDING),
        ((200, {"error": "authorization_pending"}), Verdict.PENDING),
        ((200, {"error": "access_denied"}), Verdict.REFUSED),
        ((200, {"error": "a_code_of_tomorrow"}), Verdict.UNAVAILABLE),
        ((400, {"error": "slow_down"}), Verdict.PENDING),
        ((400, {"error": "access_denied"}), Verdict.REFUSED),
        ((400, {"error": "not_me"}), Verdict.FRAUD),
        ((400, {"error": "access_denied", "error_description": "not_me"}), Verdict.FRAUD),
        ((400, {"error": "expired_token"}), Verdict.TIMED_OUT),
        ((400, {"error": "invalid_grant"}), Verdict.LOST),
        ((400, {"error": "a_code_of_tomorrow"}), Verdict.UNAVAILABLE),
        ((401, {"error": "invalid_client"}), Verdict.UNAVAILABLE),
        ((403, "<html>a proxy</html>"), Verdict.UNAVAILABLE),
        ((200, {"access_token": "x"}), Verdict.UNAVAILABLE),
        ((200, {"id_token": "not.a.token"}), Verdict.UNAVAILABLE),
    ],
)
async def test_every_answer_to_a_poll_has_its_verdict(
    factor: Ciba, provider: ScriptedProvider, reply: Reply, verdict: Verdict
) -> None:
    provider.polls = [reply]

    polled = await factor.poll("push-1", ADA)

    slower = timedelta(seconds=5) if "slow_down" in str(reply) else timedelta(0)
    assert (polled.verdict, polled.slower) == (verdict, slower)


@pytest.mark.parametrize(
    "reply",
    [(429, {}), (302, {}), (500, {}), (502, "<html>"), (200, "<html>"), (200, ""), Cut, Endless],
)
async def test_a_poll_that_tells_nothing_can_be_made_again(
    factor: Ciba, provider: ScriptedProvider, reply: Reply
) -> None:
    provider.headers = {"Retry-After": "7"}
    provider.polls = [reply, (400, {"error": "access_denied"})]

    with pytest.raises(TransientError) as caught:
        await factor.poll("push-1", ADA)

    assert caught.value.retry_after == (timedelta(seconds=7) if "429" in str(reply) else None)
    assert (await factor.poll("push-1", ADA)).verdict is Verdict.REFUSED


@pytest.mark.parametrize(
    ("token", "verdict"),
    [
        ({}, Verdict.APPROVED),
        ({"email": "ADA@Example.com"}, Verdict.APPROVED),
        ({"aud": [CLIENT_ID]}, Verdict.APPROVED),
        ({"aud": [CLIENT_ID, "another"], "azp": CLIENT_ID}, Verdict.APPROVED),
        ({"urn:openid:params:jwt:claim:auth_req_id": "push-1"}, Verdict.APPROVED),
        ({"exp": NOON_SECONDS - 59, "iat": NOON_SECONDS - 300}, Verdict.APPROVED),
        ({"email": "eve@example.com"}, Verdict.OTHER_PERSON),
        ({"email": "ada@example.com "}, Verdict.OTHER_PERSON),
        ({"email": "ada@example.com.evil.io"}, Verdict.OTHER_PERSON),
        ({"email": None}, Verdict.UNAVAILABLE),
        ({"email": [ADA]}, Verdict.UNAVAILABLE),
        ({"email_verified": None}, Verdict.UNAVAILABLE),
        ({"email_verified": False}, Verdict.UNAVAILABLE),
        ({"email_verified": "true"}, Verdict.UNAVAILABLE),
        ({"iss": "https://login.example.com"}, Verdict.UNAVAILABLE),
        ({"aud": "another"}, Verdict.UNAVAILABLE),
        ({"aud": [CLIENT_ID, "another"]}, Verdict.UNAVAILABLE),
        ({"azp": "another"}, Verdict.UNAVAILABLE),
        ({"exp": NOON_SECONDS - 61}, Verdict.UNAVAILABLE),
        ({"exp": None}, Verdict.UNAVAILABLE),
        ({"iat": NOON_SECONDS + 61}, Verdict.UNAVAILABLE),
        ({"nbf": NOON_SECONDS + 61}, Verdict.UNAVAILABLE),
        ({"sub": None}, Verdict.UNAVAILABLE),
        ({"urn:openid:params:jwt:claim:auth_req_id": "push-2"}, Verdict.UNAVAILABLE),
        ({"key": OTHER_KEY}, Verdict.UNAVAILABLE),
        ({"key": OctKey.import_key("s" * 32, {"kid": "one"}), "alg": "HS256"}, Verdict.UNAVAILABLE),
    ],
)
async def test_only_a_valid_token_about_this_very_person_is_an_approval(
    factor: Ciba, provider: ScriptedProvider, token: dict[str, Any], verdict: Verdict
) -> None:
    assert await verdict_on(factor, provider, **token) is verdict


async def test_a_token_beside_an_error_is_no_approval(factor: Ciba, provider: ScriptedProvider) -> None:
    provider.polls = [(200, {"id_token": provider.token(), "error": "access_denied"})]
    assert (await factor.poll("push-1", ADA)).verdict is Verdict.REFUSED

    for status, error in ((400, ""), (200, ""), (200, {"code": "access_denied"})):
        provider.polls = [(status, {"id_token": provider.token(), "error": error})]
        assert (await factor.poll("push-1", ADA)).verdict is Verdict.UNAVAILABLE

    provider.polls = [(200, {"id_token": provider.token(), "error": None})]
    assert (await factor.poll("push-1", ADA)).verdict is Verdict.APPROVED


async def test_a_token_need_not_name_the_only_key(
    factor: Ciba, provider: ScriptedProvider, client: Client, calls: Calls
) -> None:
    assert await verdict_on(factor, provider, names_key=False) is Verdict.APPROVED

    provider.keys = KeySet([KEY, EC_KEY])
    factor = Ciba(client, calls, clock=ToldClock(lambda: NOON))
    assert await verdict_on(factor, provider, names_key=False) is Verdict.UNAVAILABLE


async def test_a_token_that_nobody_signed_is_none(factor: Ciba, provider: ScriptedProvider) -> None:
    head, body, _ = provider.token().split(".")
    for forged in (f"{head}.{body}.", f"eyJhbGciOiJub25lIiwia2lkIjoib25lIn0.{body}."):
        provider.polls = [(200, {"id_token": forged})]

        assert (await factor.poll("push-1", ADA)).verdict is Verdict.UNAVAILABLE


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        ("ada.l", Verdict.APPROVED),
        ("Ada.L", Verdict.OTHER_PERSON),
        ("", Verdict.UNAVAILABLE),
        (7, Verdict.UNAVAILABLE),
    ],
)
async def test_any_other_claim_is_compared_to_the_letter(
    provider: ScriptedProvider, client: Client, calls: Calls, claim: object, verdict: Verdict
) -> None:
    factor = Ciba(replace(client, subject_claim="login"), calls, clock=ToldClock(lambda: NOON))

    assert await verdict_on(factor, provider, "ada.l", login=claim, email=None) is verdict


async def test_no_letter_beyond_ascii_passes_for_one_of_it(factor: Ciba, provider: ScriptedProvider) -> None:
    kelvin = "\N{KELVIN SIGN}im@example.com"

    assert kelvin.lower() == "kim@example.com"
    assert await verdict_on(factor, provider, "kim@example.com", email=kelvin) is Verdict.OTHER_PERSON


async def test_keys_that_the_provider_has_changed_are_fetched_again_but_not_for_every_token(
    provider: ScriptedProvider, client: Client, calls: Calls
) -> None:
    now = [NOON]
    factor = Ciba(client, calls, clock=ToldClock(lambda: now[0]))
    assert await verdict_on(factor, provider) is Verdict.APPROVED
    provider.keys = KeySet([OTHER_KEY, EC_KEY])

    assert await verdict_on(factor, provider, key=OTHER_KEY) is Verdict.UNAVAILABLE
    now[0] += timedelta(seconds=61)
    assert await verdict_on(factor, provider, key=EC_KEY, alg="ES256") is Verdict.APPROVED

    assert provider.paths().count("/keys") == 2


async def test_a_key_that_the_provider_has_withdrawn_does_not_count_for_ever(
    provider: ScriptedProvider, client: Client, calls: Calls
) -> None:
    now = [NOON]
    factor = Ciba(client, calls, clock=ToldClock(lambda: now[0]))
    await factor.push(ADA, "CODE23")
    provider.keys = KeySet([OTHER_KEY])
    lasting: dict[str, Any] = {"exp": NOON_SECONDS + 7200}
    assert await verdict_on(factor, provider, **lasting) is Verdict.APPROVED

    now[0] += timedelta(hours=1, seconds=1)
    await factor.push(ADA, "CODE23")

    assert await verdict_on(factor, provider, **lasting) is Verdict.UNAVAILABLE


async def test_a_provider_that_cannot_be_used_any_more_says_nothing_about_a_push(
    factor: Ciba, provider: ScriptedProvider
) -> None:
    provider.discovery = {"issuer": "https://127.0.0.1/other"}

    with pytest.raises(TransientError, match="must be equal"):
        await factor.poll("push-1", ADA)


async def test_a_call_that_gets_no_slot_was_not_sent(
    monkeypatch: pytest.MonkeyPatch, provider: ScriptedProvider, client: Client, calls: Calls
) -> None:
    monkeypatch.setattr("bot.factor.calls._SLOT_WAIT", 0)
    factor = Ciba(client, calls, clock=ToldClock(lambda: NOON))
    await factor.push(ADA, "CODE23")
    calls._slots = dict.fromkeys(calls._slots, asyncio.Semaphore(0))

    with pytest.raises(TransientError, match="too slowly"):
        await factor.push(ADA, "CODE23")

    assert provider.paths().count("/push") == 1


async def test_a_provider_that_is_slow_to_take_pushes_holds_up_no_poll(
    factor: Ciba, provider: ScriptedProvider
) -> None:
    await factor.refresh()
    provider.pushes = [Hang]
    pushes = [asyncio.create_task(factor.push(ADA, "CODE23")) for _ in range(SLOTS + 8)]
    await eventually(lambda: provider.paths().count("/push") >= SLOTS)

    assert (await factor.poll("push-1", ADA)).verdict is Verdict.PENDING

    provider.let_go.set()
    assert {type(each) for each in await asyncio.gather(*pushes, return_exceptions=True)} == {AmbiguousError}


@pytest.fixture
def opened(client: Client, calls: Calls) -> WatchedFactor:
    """A provider whose settings are wrong when it is first looked at."""
    problems: list[Exception] = [ConfigError(["FACTOR_CLIENT_ID is not set"]), TransientError("no AWS")]

    async def open_() -> Ciba:
        if problems:
            raise problems.pop(0)
        return Ciba(client, calls, clock=ToldClock(lambda: NOON))

    return WatchedFactor("login.example.com", open_, clock=ToldClock(lambda: NOON))


async def test_a_provider_is_opened_as_soon_as_that_is_possible_and_the_log_says_what_is_in_the_way(
    opened: WatchedFactor, provider: ScriptedProvider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    await opened.look()
    assert opened.trouble == "FACTOR_CLIENT_ID is not set"
    with pytest.raises(PermanentError, match="FACTOR_CLIENT_ID"):
        await opened.push(ADA, "CODE23")
    with pytest.raises(TransientError):  # a push of an earlier process may be out
        await opened.poll("push-1", ADA)
    await opened.look()
    with pytest.raises(TransientError, match="no AWS"):
        await opened.push(ADA, "CODE23")

    await opened.look()
    await opened.look()
    assert opened.trouble == ""
    assert (await opened.push(ADA, "CODE23")).id == "push-1"
    assert (await opened.poll("push-1", ADA)).verdict is Verdict.PENDING

    provider.discovery = {"issuer": "https://127.0.0.1/other"}
    await opened.look()
    await opened.look()
    assert "they must be equal" in opened.trouble
    events = [record.event for record in caplog.records if hasattr(record, "event")]
    assert events == [*["proof.unavailable"] * 2, "proof.recovered", "proof.unavailable"]


async def test_a_push_that_is_refused_is_a_problem_until_one_is_accepted_or_an_hour_has_passed(
    client: Client, calls: Calls, provider: ScriptedProvider
) -> None:
    now = [NOON]

    async def open_() -> Ciba:
        return Ciba(client, calls, clock=ToldClock(lambda: now[0]))

    factor = WatchedFactor("login.example.com", open_, clock=ToldClock(lambda: now[0]))
    await factor.look()
    provider.pushes = [
        (401, {"error": "invalid_client"}),
        TAKEN,
        (503, ""),
        (400, {"error": "unknown_user_id"}),
    ]
    with pytest.raises(PermanentError):
        await factor.push(ADA, "CODE23")
    assert factor.trouble.startswith("the last push failed: 127.0.0.1")
    await factor.push(ADA, "CODE23")
    assert factor.trouble == ""
    with pytest.raises(AmbiguousError):
        await factor.push(ADA, "CODE23")
    with pytest.raises(NoDevice):
        await factor.push(ADA, "CODE23")
    assert "HTTP 503" in factor.trouble
    now[0] += timedelta(minutes=61)
    assert factor.trouble == ""


async def test_seconds_may_be_a_string_of_digits(factor: Ciba, provider: ScriptedProvider) -> None:
    provider.pushes = [(200, {"auth_req_id": "push-1", "expires_in": "300", "interval": "7"})]

    assert await factor.push(ADA, "CODE23") == Push(
        id="push-1", lifetime=timedelta(seconds=300), interval=timedelta(seconds=7)
    )


@pytest.mark.parametrize(
    ("interval", "seconds"),
    [(0.001, 1), (0, 5), (-3, 5), (7, 7), (3600, 60), ("0", 5), ("soon", 5), ("3600", 60), (True, 5)],
)
async def test_no_provider_is_polled_all_the_time(
    factor: Ciba, provider: ScriptedProvider, interval: object, seconds: int
) -> None:
    provider.pushes = [(200, {"auth_req_id": "push-1", "expires_in": 60, "interval": interval})]

    assert (await factor.push(ADA, "CODE23")).interval == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("discovery", "told"),
    [
        ({"issuer": "https://127.0.0.1/other"}, "they must be equal"),
        ({"issuer": None}, "they must be equal"),
        ({"backchannel_authentication_endpoint": None}, "backchannel_authentication_endpoint"),
        ({"token_endpoint": "http://127.0.0.1/token"}, "not https"),
        ({"jwks_uri": "file:///etc/keys"}, "not https"),
        ({"token_endpoint": "https://[half/token"}, "no URL"),
        ({"backchannel_authentication_endpoint": "https://a..b/push"}, "no URL"),
        ({"backchannel_token_delivery_modes_supported": ["ping"]}, "cannot be polled"),
    ],
)
async def test_a_provider_that_cannot_be_used_is_not_asked(
    factor: Ciba, provider: ScriptedProvider, discovery: dict[str, Any], told: str
) -> None:
    provider.discovery = discovery

    with pytest.raises(PermanentError, match=told):
        await factor.push(ADA, "CODE23")

    assert "/push" not in provider.paths()


async def test_without_keys_nobody_is_asked_for_what_could_not_be_believed(
    factor: Ciba, provider: ScriptedProvider
) -> None:
    provider.keys = KeySet([])

    with pytest.raises(PermanentError, match="no key"):
        await factor.push(ADA, "CODE23")

    assert "/push" not in provider.paths()


async def test_a_provider_that_cannot_be_reached_was_not_asked(provider: ScriptedProvider) -> None:
    """Nobody listens there; and of the one who does, the certificate is by nobody whom we know."""
    for issuer in ("https://127.0.0.1:9", provider.issuer):
        async with aiohttp.ClientSession() as session:
            client = Client(issuer=issuer, client_id=CLIENT_ID, secret=Secret("s"))
            with pytest.raises(TransientError):
                await Ciba(client, Calls(session), clock=ToldClock(lambda: NOON)).push(ADA, "CODE23")


async def test_what_a_proxy_refuses_to_pass_on_was_not_sent(client: Client) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    proxy = await asyncio.start_server(refuse, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
    async with proxy, aiohttp.ClientSession() as session:
        calls = Calls(session, proxy_for=lambda _: address)
        with pytest.raises(TransientError):
            await calls.post(f"{client.issuer}/push", {}, {})


@pytest.mark.parametrize("authentication", CLIENT_AUTHENTICATIONS)
async def test_no_error_shows_what_proves_the_client(
    provider: ScriptedProvider, client: Client, calls: Calls, authentication: str
) -> None:
    key = Secret(json.dumps(EC_KEY.as_dict(private=True)))
    proven = replace(client, authentication=authentication, secret=Secret("hunter2"), key=key)
    provider.pushes = [(400, {"error": "invalid_request"})]

    with pytest.raises(PermanentError) as caught:
        await Ciba(proven, calls, clock=ToldClock(lambda: NOON)).push(ADA, "CODE23")

    assert "hunter2" not in f"{caught.value!r}{proven!r}"
    assert str(EC_KEY.as_dict(private=True)["d"]) not in f"{caught.value!r}{proven!r}"


@pytest.mark.parametrize(
    ("own", "accepted", "algorithm"),
    [
        ("", [], "RS256"),
        ("", ["ES256", "PS384"], "PS384"),
        ("PS256", [], "PS256"),
        ("PS256", ["RS256", "PS256"], "PS256"),
    ],
)
async def test_a_client_signs_as_its_key_says_and_the_provider_accepts(  # noqa: PLR0913, PLR0917 - as fixtures
    provider: ScriptedProvider, client: Client, calls: Calls, own: str, accepted: list[str], algorithm: str
) -> None:
    key = KEY.as_dict(private=True) | ({"alg": own} if own else {})
    signing = replace(client, authentication="private_key_jwt", key=Secret(json.dumps(key)))
    provider.discovery = {"token_endpoint_auth_signing_alg_values_supported": accepted}

    await Ciba(signing, calls, clock=ToldClock(lambda: NOON)).push(ADA, "CODE23")

    _, form = provider.asked[-1]
    token = jwt.decode(form["client_assertion"], KEY, algorithms=[algorithm])
    assert (token.header["alg"], token.claims["iss"]) == (algorithm, CLIENT_ID)
