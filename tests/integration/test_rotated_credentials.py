"""Credentials that are rotated in the shared credentials file while the program runs, for every service."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import boto3
import pytest
from aws_stand_in import AwsStandIn, Call
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError, NoCredentialsError
from fakes import NOON, SteppedClock
from http_stand_in import Reply
from metrics_world import LISTEN, address_of, problems
from world import World, until
from world.aws_proxy import AwsProxy

from bot.aws.access import RENEWED_EVERY, Access
from bot.errors import ConfigError, StoreError
from bot.store.address import Address
from bot.store.dynamodb.table import NEW, Connection, Table
from bot.worker.health import StoreHealth, Trouble, WorkerHealth, find_problems

OLD, NEW_KEY = "AKIAOLDKEYOFTHISTEST", "AKIANEWKEYOFTHISTEST"
CODES = [
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "InvalidAccessKeyId",
    "InvalidSignatureException",
]
CALLS: dict[str, tuple[str, dict[str, Any], bytes]] = {
    "sqs": ("receive_message", {"QueueUrl": "http://sqs/1/requests"}, b"{}"),
    "dynamodb": ("get_item", {"TableName": "t", "Key": {"pk": {"S": "a"}}}, b"{}"),
    "ssm": ("get_parameter", {"Name": "/token"}, b'{"Parameter": {"Value": "xoxb-1"}}'),
}
every_service = pytest.mark.parametrize(
    "service", ["sqs", *(pytest.param(each, marks=pytest.mark.slow) for each in ("dynamodb", "ssm"))]
)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shared credentials file, and nothing else of this machine's to get credentials from."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    path = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    write(path, OLD)
    return path


def write(path: Path, key: str) -> None:
    path.write_text(
        f"[default]\naws_access_key_id = {key}\naws_secret_access_key = secret\n", encoding="utf-8"
    )


class Harness:
    """Sessions that are counted, and a clock that is moved."""

    def __init__(self) -> None:
        self.clock = SteppedClock()
        self.made = 0
        self.fails: list[Exception] = []
        self.access = Access(self._make, clock=self.clock)

    def _make(self) -> boto3.Session:
        self.made += 1
        if self.fails:
            raise self.fails.pop(0)
        return boto3.Session()

    def call(self, service: str, url: str) -> Any:
        operation, arguments, _ = CALLS[service]
        config = Config(retries={"total_max_attempts": 1})
        client = self.access.client(service, region="us-west-2", config=config, endpoint_url=url)
        return lambda: client.call(operation, **arguments)


def accepting(service: str, key: Callable[[], str], code: str = CODES[0]) -> Callable[[Call], Reply]:
    """Answer calls that are signed with this key, and refuse all others."""

    def answer(call: Call) -> Reply:
        if call.key == key():
            return Reply(body=CALLS[service][2])
        return Reply(body=json.dumps({"__type": code, "message": "no"}).encode(), status=403)

    return answer


@pytest.mark.parametrize(
    ("service", "code"), [*(("sqs", code) for code in CODES), ("dynamodb", CODES[0]), ("ssm", CODES[0])]
)
def test_a_call_that_is_refused_is_made_again_with_what_the_file_holds_now(
    file: Path, service: str, code: str
) -> None:
    harness, accepted = Harness(), [OLD]
    with AwsStandIn(accepting(service, lambda: accepted[0], code)) as stand_in:
        call = harness.call(service, stand_in.url)
        call()
        write(file, NEW_KEY)
        accepted[0] = NEW_KEY

        call()

    assert [each.key for each in stand_in.calls] == [OLD, OLD, NEW_KEY]
    assert harness.access.refused_with == ""


@every_service
def test_while_the_file_is_not_renewed_the_session_is_renewed_only_now_and_then(
    file: Path, service: str
) -> None:
    harness = Harness()
    with AwsStandIn(accepting(service, lambda: NEW_KEY)) as stand_in:
        call = harness.call(service, stand_in.url)
        for _ in range(10):
            with pytest.raises(ClientError):
                call()
        assert (harness.made, len(stand_in.calls)) == (2, 11)
        assert harness.access.refused_with == CODES[0]

        write(file, NEW_KEY)
        harness.clock.now += RENEWED_EVERY - timedelta(seconds=0.1)
        with pytest.raises(ClientError):
            call()
        harness.clock.advance(seconds=0.1)
        call()

    assert harness.made == 3
    assert harness.access.refused_with == ""


def test_one_renewal_is_enough_for_all_services(file: Path) -> None:
    harness, accepted = Harness(), [OLD]
    with AwsStandIn(lambda call: accepting(_service_of(call), lambda: accepted[0])(call)) as stand_in:
        calls = {service: harness.call(service, stand_in.url) for service in CALLS}
        write(file, NEW_KEY)
        accepted[0] = NEW_KEY

        for call in calls.values():
            call()

    assert harness.made == 2


def test_a_service_that_is_still_refused_counts_though_another_is_not(file: Path) -> None:
    harness = Harness()

    def answer(call: Call) -> Reply:
        service = _service_of(call)
        return accepting(service, lambda: NEW_KEY if service == "sqs" else OLD)(call)

    with AwsStandIn(answer) as stand_in:
        calls = {service: harness.call(service, stand_in.url) for service in CALLS}
        with pytest.raises(ClientError):
            calls["sqs"]()
        calls["dynamodb"]()
        assert harness.access.refused_with == CODES[0]

        write(file, NEW_KEY)
        harness.clock.now += RENEWED_EVERY
        calls["sqs"]()
        assert harness.access.refused_with == ""


def _service_of(call: Call) -> str:
    return next(name for name, (method, _, _) in CALLS.items() if method == xform_name(call.operation))


@every_service
def test_credentials_that_come_later_are_found(file: Path, service: str) -> None:
    file.unlink()
    harness = Harness()
    with AwsStandIn(accepting(service, lambda: NEW_KEY)) as stand_in:
        call = harness.call(service, stand_in.url)
        with pytest.raises(NoCredentialsError):
            call()
        assert harness.access.refused_with == "NoCredentialsError"

        write(file, NEW_KEY)
        harness.clock.now += RENEWED_EVERY
        call()

    assert harness.access.refused_with == ""


@pytest.mark.parametrize("code", ["AccessDenied", "ThrottlingException", "InternalError"])
def test_any_other_refusal_leaves_the_session_alone(file: Path, code: str) -> None:
    harness = Harness()
    with AwsStandIn(accepting("sqs", lambda: NEW_KEY, code)) as stand_in, pytest.raises(ClientError):
        harness.call("sqs", stand_in.url)()

    assert file.exists()
    assert harness.made == 1
    assert harness.access.refused_with == ""


def test_a_file_that_is_half_written_is_read_again_later(file: Path) -> None:
    harness = Harness()
    with AwsStandIn(accepting("sqs", lambda: NEW_KEY)) as stand_in:
        call = harness.call("sqs", stand_in.url)
        harness.fails = [ConfigError(["AWS_PROFILE: half a file"])]
        with pytest.raises(ClientError):
            call()

        write(file, NEW_KEY)
        harness.clock.now += RENEWED_EVERY
        call()


async def test_a_write_to_the_table_goes_through_as_if_nothing_had_happened(file: Path) -> None:
    accepted = [OLD]
    with AwsStandIn(accepting("dynamodb", lambda: accepted[0])) as stand_in:
        address = Address(table="t", region="us-west-2")
        table = Table("t", Connection(address, endpoint_url=stand_in.url), random=Random(0))
        assert await table.put({"pk": "a", "sk": "b"}, NEW)
        write(file, NEW_KEY)
        accepted[0] = NEW_KEY

        assert await table.put({"pk": "a", "sk": "c"}, NEW)
        accepted[0] = "AKIANOBODYSKEY"
        with pytest.raises(StoreError, match="AWS does not accept the credentials"):
            await table.put({"pk": "a", "sk": "d"}, NEW)
        table.close()


def test_health_names_the_credentials_until_they_are_accepted() -> None:
    health = WorkerHealth(
        links_up=1,
        link_shared=False,
        rejection_code="",
        polled_at=NOON,
        silence=timedelta(0),
        store=StoreHealth(),
        aws_refuses_with="ExpiredToken",
    )

    (problem,) = find_problems(health)

    assert problem.trouble is Trouble.CREDENTIALS
    assert problem.why == "AWS does not accept the worker's credentials (ExpiredToken): renew them"


# The worker


class Bouncer(AwsProxy):
    """Lets calls through to SQS that are signed with the key that counts now."""

    key = OLD

    def answer(self, action: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:  # noqa: ARG002 - the shape of AwsProxy
        if f"Credential={self.key}/" in headers["Authorization"]:
            return self.pass_on(body, headers)
        return 403, b'{"__type": "com.amazon.coral.service#ExpiredTokenException"}'


@pytest.fixture
def bouncer(sqs_endpoint: str) -> Iterator[Bouncer]:
    with Bouncer(sqs_endpoint) as bouncer:
        yield bouncer


@pytest.mark.slow
def test_a_worker_whose_keys_are_rotated_works_on_and_tells_of_it_while_it_cannot(
    create_world: Callable[..., World], bouncer: Bouncer, tmp_path: Path
) -> None:
    file = tmp_path / "credentials"
    write(file, OLD)
    world = create_world(AWS_ENDPOINT_URL_SQS=bouncer.url, AWS_SHARED_CREDENTIALS_FILE=str(file), **LISTEN)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del world.worker.environment[name]
    world.start()
    address = address_of(world.worker)

    # The keys are rotated as they should be: first the file, then AWS.
    write(file, NEW_KEY)
    bouncer.key = NEW_KEY
    identifier = world.send()
    assert world.slack.press(world.slack.question(identifier), "yes").acknowledged
    assert world.status(identifier) == "acknowledged"
    assert "ExpiredToken" not in world.worker.log

    # The keys are revoked, and nobody has written new ones.
    bouncer.key = OLD
    world.worker.until_logged("poll.failed", "AWS does not accept the credentials")
    until(lambda: "credentials" in problems(address), what="health names the credentials")
