"""Tokens in AWS's parameter store: the worker as a process, and moto's SSM."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from uuid import uuid4

import boto3
import pytest
from metrics_world import LISTEN, Meters, address_of, health, problems
from world import PATIENCE_SECONDS, World, until
from world.aws_proxy import AwsProxy

#: How long stopping may take, whatever hangs: a promise of the worker's.
STOP_SECONDS = 10


class LateParameterStore(AwsProxy):
    """Cannot be used until it is there. Before that it fails, or, if it `hangs`, does not answer."""

    def __init__(self, upstream: str, *, hangs: bool = False) -> None:
        super().__init__(upstream)
        self.is_there = threading.Event()
        self.asked = threading.Event()
        self._hangs = hangs

    def answer(self, action: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        assert action == "GetParameter"
        self.asked.set()
        if self._hangs:
            self.is_there.wait()
        if not self.is_there.is_set():
            return 503, b'{"__type": "ServiceUnavailable"}'
        return self.pass_on(body, headers)

    def __exit__(self, *exception: object) -> None:
        self.is_there.set()
        super().__exit__(*exception)


@pytest.fixture
def world(create_world: Callable[..., World], sqs_endpoint: str) -> World:
    return create_world(AWS_ENDPOINT_URL_SSM=sqs_endpoint, **LISTEN)


@pytest.fixture
def keep(aws_session: boto3.Session, sqs_endpoint: str) -> Iterator[Callable[[str], str]]:
    """Keep a secret; return what the settings call it."""
    ssm = aws_session.client("ssm", endpoint_url=sqs_endpoint)

    def put(value: str) -> str:
        name = f"/triage/{uuid4().hex}"
        ssm.put_parameter(Name=name, Value=value, Type="SecureString")
        return f"ssm:{name}"

    yield put
    ssm.close()


def test_the_worker_fetches_its_tokens(world: World, keep: Callable[[str], str]) -> None:
    world.worker.environment["SLACK_BOT_TOKEN"] = keep(f"{world.slack.bot_token}\n")
    world.worker.environment["SLACK_APP_TOKEN"] = keep(world.slack.app_token)
    world.start()

    identifier = world.send()

    assert world.slack.press(world.slack.question(identifier), "yes").acknowledged
    assert world.worker.stop() == 0
    assert world.slack.bot_token not in world.worker.log


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (None, "the parameter /triage/nowhere cannot be read (ParameterNotFound): create it"),
        ("xapp-1-swapped", "starts with xapp-"),
        ("ssm:/triage/other", "names another parameter"),
    ],
)
def test_a_parameter_that_is_missing_or_holds_no_such_token_is_refused_and_not_shown(
    world: World, keep: Callable[[str], str], value: str | None, why: str
) -> None:
    world.worker.environment["SLACK_BOT_TOKEN"] = keep(value) if value else "ssm:/triage/nowhere"
    world.worker.start()

    assert world.worker.exit_code() == 1
    assert why in world.worker.log
    assert value is None or value not in world.worker.log


def test_while_aws_cannot_be_reached_the_worker_waits_and_stops_when_told(world: World) -> None:
    world.worker.environment["AWS_ENDPOINT_URL_SSM"] = "http://127.0.0.1:9"
    world.worker.environment["SLACK_BOT_TOKEN"] = "ssm:/triage/bot-token"
    world.worker.start()

    world.worker.until_logged("token.delayed", "/triage/bot-token")
    until(lambda: world.worker.log.count("token.delayed") > 1, what="it tries again")

    assert world.worker.is_running()
    assert world.worker.stop() == 0


def keep_tokens(world: World, keep: Callable[[str], str], store: LateParameterStore) -> None:
    """Keep the tokens in a parameter store, where the worker finds them from now on."""
    world.worker.environment["AWS_ENDPOINT_URL_SSM"] = store.url
    world.worker.environment["SLACK_BOT_TOKEN"] = keep(world.slack.bot_token)
    world.worker.environment["SLACK_APP_TOKEN"] = keep(world.slack.app_token)


@pytest.mark.slow
def test_a_worker_that_waits_for_its_tokens_tells_how_it_is_and_what_its_store_has(
    world: World, keep: Callable[[str], str], sqs_endpoint: str
) -> None:
    world.start()
    identifier = world.send()
    world.slack.press(world.slack.question(identifier), "no")
    world.reports(identifier)
    assert world.worker.stop() == 0
    with LateParameterStore(sqs_endpoint) as parameter_store:
        keep_tokens(world, keep, parameter_store)
        world.worker.start()
        world.worker.until_logged("token.delayed")
        address = address_of(world.worker)

        status, body = health(address)
        links_up = Meters(address).value("triage_links_up")
        starting = Meters(address).value("triage_problem", problem="starting")
        commands = [
            world.worker.command(*arguments)
            for arguments in (("list",), ("show", identifier), ("stats",), ("backup", "copy.db"))
        ]
        checked = world.worker.command("check")
        replayed = world.worker.command("replay", identifier)
        replayed_while_starting = "worker.started" not in world.worker.log.partition("token.delayed")[2]
        parameter_store.is_there.set()

        world.slack.until_linked()
        first, again = world.reports(identifier, 2)
        assert world.slack.press(world.slack.question(identifier), "notSure").acknowledged
        world.reports(identifier, 3)
        until(lambda: problems(address) == set(), what="the worker is healthy")

    assert replayed_while_starting
    assert (status, body["healthy"], body["links_up"]) == (503, False, 0)
    assert body["problems"][0]["problem"] == "starting"
    assert "waits for the parameter store" in body["problems"][0]["why"]
    assert (links_up, starting) == (0, 1)
    assert [one.returncode for one in commands] == [0, 0, 0, 0]
    assert [identifier in one.stdout for one in commands[:2]] == [True, True]
    assert checked.returncode == 1
    assert "starting, and waiting for the parameter store" in checked.stdout
    assert replayed.returncode == 0, replayed.stderr
    assert again.body == first.body
    assert world.worker.log.count("worker.started") == 2


def test_a_worker_is_stopped_in_time_while_the_parameter_store_does_not_answer(
    world: World, keep: Callable[[str], str], sqs_endpoint: str
) -> None:
    with LateParameterStore(sqs_endpoint, hangs=True) as parameter_store:
        keep_tokens(world, keep, parameter_store)
        world.worker.start()
        assert parameter_store.asked.wait(PATIENCE_SECONDS)
        address = address_of(world.worker)

        status, _ = health(address)
        world.worker.signal(signal.SIGTERM)

        assert world.worker.exit_code(seconds=STOP_SECONDS) == 0
        assert status == 503
