"""Tokens in AWS's parameter store: the worker as a process, and moto's SSM."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from world import World, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import boto3
    from mypy_boto3_sqs import SQSClient


@pytest.fixture
def world(
    tmp_path: Path, sqs: SQSClient, sqs_endpoint: str, aws_environment: Mapping[str, str]
) -> Iterator[World]:
    with World(tmp_path, sqs, aws_environment, variables={"AWS_ENDPOINT_URL_SSM": sqs_endpoint}) as world:
        yield world


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


def test_a_parameter_that_is_missing_is_named_and_the_worker_may_try_again(world: World) -> None:
    world.worker.environment["SLACK_BOT_TOKEN"] = "ssm:/triage/nowhere"
    world.worker.start()

    assert world.worker.exit_code() == 1
    assert "the parameter /triage/nowhere cannot be read (ParameterNotFound): create it" in world.worker.log


@pytest.mark.parametrize(
    ("value", "why"),
    [("xapp-1-swapped", "starts with xapp-"), ("ssm:/triage/other", "names another one")],
)
def test_a_parameter_that_holds_no_such_token_is_refused_and_not_shown(
    world: World, keep: Callable[[str], str], value: str, why: str
) -> None:
    world.worker.environment["SLACK_BOT_TOKEN"] = keep(value)
    world.worker.start()

    assert world.worker.exit_code() == 1
    assert why in world.worker.log
    assert value not in world.worker.log


def test_while_aws_cannot_be_reached_the_worker_waits_and_stops_when_told(world: World) -> None:
    world.worker.environment["AWS_ENDPOINT_URL_SSM"] = "http://127.0.0.1:9"
    world.worker.environment["SLACK_BOT_TOKEN"] = "ssm:/triage/bot-token"
    world.worker.start()

    world.worker.until_logged("token.delayed", "/triage/bot-token")
    until(lambda: world.worker.log.count("token.delayed") > 1, what="it tries again")

    assert world.worker.is_running()
    assert world.worker.stop() == 0
