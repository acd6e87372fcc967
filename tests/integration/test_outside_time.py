"""Whose answers tell the time, and what is reported if the machine's own clock causes trouble."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import aiohttp
import boto3
import pytest
from aws_stand_in import AwsStandIn, Call
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from http_stand_in import Reply
from machine import FakeMachine
from running_slack import SettableClock, running
from scripted_slack import Answer, api_of, failure, refuses, says, scripted_slack, writes

from bot.aws.access import Access, Client
from bot.clock import Clock
from bot.errors import TransientError, TriageBotError
from bot.slack.client import SlackApi, web_client
from bot.sqs.clients import Connector

NO_WAIT = Config(retries={"mode": "standard", "total_max_attempts": 1})
QUEUE = {"QueueUrl": "http://sqs/1/requests", "AttributeNames": ["All"]}
PAGE = "<html><body>Please log in</body></html>"


def is_now(clock: Clock) -> bool:
    return clock.is_known and timedelta(0) <= datetime.now(UTC) - clock() < timedelta(seconds=5)


# Slack


@pytest.mark.parametrize(
    ("answer", "is_slacks"),
    [
        (says({"ok": True}), True),
        (refuses("users_not_found"), True),
        (refuses("ratelimited", status=429, Retry_After="1"), True),
        (refuses("internal_error", status=500), True),
        (writes(PAGE), False),
        (writes(PAGE, status=503), False),
        (says({"user": "ada"}), False),
        (says(["ok"]), False),
    ],
)
async def test_only_an_answer_of_slacks_own_tells_the_time(answer: Answer, *, is_slacks: bool) -> None:
    clock = FakeMachine(ahead=1e6).clock
    async with scripted_slack(answer) as slack, api_of(slack, clock=clock) as api:
        with suppress(TriageBotError):
            await api.call("users.info")

    assert clock.is_known is is_slacks


async def test_the_stand_in_dates_its_answers_by_its_own_clock() -> None:
    slacks = SettableClock()
    async with running(clock=slacks) as world:
        answer = await world.client.auth_test()

    assert parsedate_to_datetime(answer.headers["Date"]) == slacks()


async def test_a_pause_lasts_its_span_however_far_the_machines_clock_is_ahead() -> None:
    machine = FakeMachine(ahead=86400)
    ratelimited = refuses("ratelimited", status=429, Retry_After="2")
    async with (
        scripted_slack(ratelimited, says({"ok": True})) as slack,
        api_of(slack, clock=machine.clock) as api,
    ):
        await failure(api.call("users.info"))
        machine.ahead = 0
        assert api.pause_of("users.info") == timedelta(seconds=2)

        machine.passed += 2
        await api.call("users.info")


# AWS


def call_once(url: str, session: boto3.Session, access: Access | None = None) -> None:
    client: Client = (access or Access(lambda: session)).client(
        "sqs", region="us-west-2", config=NO_WAIT, endpoint_url=url
    )
    try:
        client.call("get_queue_attributes", **QUEUE)
    finally:
        client.close()


@pytest.mark.parametrize(
    ("reply", "is_aws"),
    [
        (Reply(body=b'{"Attributes": {}}'), True),
        (Reply(body=b'{"__type": "AccessDenied", "message": "no"}', status=403), True),
        (Reply(body=b'{"__type": "InternalFailure", "message": "no"}', status=500), True),
        (Reply(body=PAGE.encode(), content_type="text/html"), False),
        (Reply(body=PAGE.encode(), status=502), False),
        (Reply(body=b"{}"), False),
    ],
)
def test_only_an_answer_of_awss_own_tells_the_time(
    aws_session: boto3.Session, reply: Reply, *, is_aws: bool
) -> None:
    access = Access(lambda: aws_session)
    with AwsStandIn(lambda _: reply) as stand_in, suppress(ClientError, BotoCoreError):
        call_once(stand_in.url, aws_session, access)

    assert is_now(access.clock) is is_aws


WRONG_TIME = [
    {"__type": "RequestTimeTooSkewed", "message": "no"},
    {"__type": "RequestExpired", "message": "no"},
    {
        "__type": "InvalidSignatureException",
        "message": "Signature expired: 20261130T200000Z is now earlier than",
    },
    {
        "__type": "SignatureDoesNotMatch",
        "message": "Signature not yet current: 20261130T200000Z is still later",
    },
]


@pytest.mark.parametrize("refusal", WRONG_TIME, ids=lambda refusal: refusal["__type"])
async def test_a_signature_that_is_refused_for_its_time_blames_the_clock_and_not_the_credentials(
    aws_session: boto3.Session, refusal: dict[str, str]
) -> None:
    made: list[boto3.Session] = []
    replies = [
        Reply(body=json.dumps(refusal).encode(), status=403),
        Reply(),
    ]

    def make() -> boto3.Session:
        made.append(aws_session)
        return aws_session

    def answer(_: Call) -> Reply:
        return replies.pop(0)

    access = Access(make)
    with AwsStandIn(answer) as stand_in:
        connector = Connector(endpoint_url=stand_in.url, access=access)
        queue = connector.open(f"{stand_in.url}/1/requests")
        with pytest.raises(TransientError, match="AWS refuses the time of this machine"):
            await queue.receive(wait_seconds=0)

        assert "AWS refuses the time of this machine" in access.clock.trouble
        assert "timedatectl set-ntp true" in access.clock.trouble
        assert (access.refused_with, len(made), is_now(access.clock)) == ("", 1, True)
        await queue.receive(wait_seconds=0)
        assert access.clock.trouble == ""
        connector.close()


# Certificates


@contextmanager
def expired(folder: Path) -> Iterator[tuple[str, Path]]:
    """Serve with a certificate that was valid yesterday; yield the address and what to trust."""
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ours")]),
    )
    yesterday = datetime.now(UTC) - timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(yesterday - timedelta(days=1))
        .not_valid_after(yesterday)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    shown, trusted = folder / "shown.pem", folder / "trusted.pem"
    pem = serialization.Encoding.PEM
    trusted.write_bytes(certificate.public_bytes(pem))
    plain = serialization.NoEncryption()
    shown.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain) + trusted.read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown)
    stand_in = AwsStandIn(lambda _: Reply(body=b'{"Attributes": {}}'))
    server: Any = vars(stand_in)["_server"]
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None
    with stand_in:
        yield stand_in.url.replace("http:", "https:"), trusted


async def call_slack(url: str, trusted: Path, clock: Clock) -> None:
    tls = ssl.create_default_context(cafile=str(trusted))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as session:
        api = SlackApi(web_client(f"{url}/api/", session, token="xoxb-1"), session, clock=clock)
        await failure(api.call("users.info"))


async def test_a_certificate_that_is_refused_for_its_time_blames_the_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, aws_session: boto3.Session
) -> None:
    clock, access = Clock(), Access(lambda: aws_session)
    with expired(tmp_path) as (url, trusted):
        monkeypatch.setenv("AWS_CA_BUNDLE", str(trusted))

        await call_slack(url, trusted, clock)
        with pytest.raises(BotoCoreError):
            call_once(url, aws_session, access)

    assert "a certificate on the way to Slack is not valid at this machine's time" in clock.trouble
    assert "AWS refuses the time of this machine (SSLError, sqs in us-west-2)" in access.clock.trouble
