"""The second factor against a certified OpenID provider, over TLS with an authority of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from certificate import make_certificate, needs_openssl, trust
from ciba_provider import CibaProvider, needs_node

from bot.clock import Clock
from bot.errors import NoDevice, PermanentError
from bot.factor.calls import Calls
from bot.factor.ciba import PUSH_LIFETIME, Ciba, Client
from bot.redaction import Secret
from bot.triage.factor import Verdict

pytestmark = [needs_openssl, needs_node, pytest.mark.slow]

ADA = "Ada@example.com"
SECRET = Secret("a secret: 100 % of/it")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory, certificate: Path) -> Iterator[CibaProvider]:
    with CibaProvider(tmp_path_factory.mktemp("ciba"), certificate) as provider:
        yield provider


@pytest.fixture
async def calls(certificate: Path) -> AsyncIterator[Calls]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust(certificate))) as session:
        yield Calls(session)


@pytest.fixture
def factor(provider: CibaProvider, calls: Calls) -> Ciba:
    return Ciba(Client(issuer=provider.issuer, client_id="basic", secret=SECRET), calls, clock=Clock())


@pytest.mark.parametrize(
    ("client_id", "method"),
    [("basic", "client_secret_basic"), ("post", "client_secret_post"), ("jwt", "private_key_jwt")],
)
async def test_whoever_approves_on_the_device_that_shows_the_code_has_proved_it(
    provider: CibaProvider, calls: Calls, client_id: str, method: str
) -> None:
    client = Client(
        issuer=provider.issuer,
        client_id=client_id,
        authentication=method,
        secret=SECRET,
        key=Secret(provider.client_key),
    )
    factor = Ciba(client, calls, clock=Clock())

    push = await factor.push(ADA, "CODE23")
    before = await factor.poll(push.id, ADA)
    who = provider.device("approve", "CODE23")
    after = await factor.poll(push.id, ADA)
    again = await factor.poll(push.id, ADA)

    assert (push.lifetime, who) == (PUSH_LIFETIME, ADA)
    assert [each.verdict for each in (before, after, again)] == [
        Verdict.PENDING,
        Verdict.APPROVED,
        Verdict.LOST,
    ]


@pytest.mark.parametrize(
    ("subject", "action", "verdict"),
    [
        ("ADA@EXAMPLE.COM", "approve", Verdict.APPROVED),
        (ADA, "deny", Verdict.REFUSED),
        (ADA, "expire", Verdict.TIMED_OUT),
        ("shared@example.com", "approve", Verdict.OTHER_PERSON),
        ("unverified@example.com", "approve", Verdict.UNAVAILABLE),
    ],
)
async def test_what_happens_on_the_device_is_what_is_told(
    provider: CibaProvider, factor: Ciba, subject: str, action: str, verdict: Verdict
) -> None:
    push = await factor.push(subject, "CODE45")

    provider.device(action, "CODE45")

    assert (await factor.poll(push.id, subject)).verdict is verdict


async def test_an_approval_by_somebody_else_is_told_whatever_the_address_is_called(
    provider: CibaProvider, factor: Ciba
) -> None:
    push = await factor.push(ADA, "CODE67")
    provider.device("approve", "CODE67")

    assert (await factor.poll(push.id, "eve@example.com")).verdict is Verdict.OTHER_PERSON


async def test_who_is_unknown_there_has_no_device(factor: Ciba) -> None:
    with pytest.raises(NoDevice):
        await factor.push("nobody@example.com", "CODE89")


async def test_a_client_that_the_provider_does_not_accept_cannot_ask(
    provider: CibaProvider, calls: Calls
) -> None:
    wrong = Client(issuer=provider.issuer, client_id="basic", secret=Secret("guessed"))

    with pytest.raises(PermanentError, match="invalid_client"):
        await Ciba(wrong, calls, clock=Clock()).push(ADA, "CODE22")


async def test_a_push_that_the_provider_never_made_is_lost(factor: Ciba) -> None:
    assert (await factor.poll("unheard-of", ADA)).verdict is Verdict.LOST
