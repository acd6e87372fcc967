"""The AWS side that ships, deployed into the local AWS: the whole loop runs on what it made."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from mypy_boto3_sqs import SQSClient
from stacks import AlertAction, Forwarder, Stack, Template, deploy
from triage_request import request_body
from world import World, alert, until
from world.aws_proxy import AwsProxy
from world.queues import Mailbox

from bot.sqs.wire import decode_request, identifier_in
from bot.store.dynamodb.schema import INDEXES, find_faults, table_description

# It warns of each queue policy and alarm, which it does not make: those are read from the template elsewhere.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Tried to parse AWS..:UserWarning")]

OPERATOR = "arn:aws:iam::123456789012:role/operator"

#: A stock MozDef takes the first function whose name begins so.
FUNCTION_PREFIX = "MozDefSlackTriageBotAPI-SlackTriageBotApiFunction"

#: The operations the worker needs, by their IAM names. Transactions need those of their parts.
OPERATIONS = """DescribeTable DescribeTimeToLive DescribeContinuousBackups GetItem BatchGetItem Query Scan
    PutItem UpdateItem DeleteItem""".split()


@pytest.fixture(scope="module")
def stack(aws_session: boto3.Session, sqs_endpoint: str) -> Stack:
    return deploy(aws_session, sqs_endpoint, CreateForwarder="true", CreateTable="true")


@pytest.fixture(scope="module")
def standard_stack(aws_session: boto3.Session, sqs_endpoint: str) -> Stack:
    return deploy(aws_session, sqs_endpoint, ResponseQueueType="standard", RequestSenderArns=OPERATOR)


@pytest.fixture(scope="module")
def world(create_shared_world: Callable[..., World], stack: Stack) -> Iterator[World]:
    world = _start_on(stack, create_shared_world)
    yield world
    assert world.worker.stop() == 0


@pytest.fixture(scope="module")
def forwarder(
    tmp_path_factory: pytest.TempPathFactory, aws_environment: Mapping[str, str], stack: Stack
) -> Forwarder:
    return Forwarder(tmp_path_factory.mktemp("forwarder"), stack, aws_environment)


def test_an_unmodified_mozdef_reaches_the_person_and_gets_the_answer(
    world: World, forwarder: Forwarder
) -> None:
    request = alert(user="grace@example.com", summary="Bypass codes \u2013 ten of them \U0001f511")

    forwarder.invoke(request)
    world.slack.press(world.slack.question(request["identifier"]), "no")

    assert world.status(request["identifier"]) == "escalated"
    assert world.reports(request["identifier"])[0].details["response"] == "no"


def test_a_changed_mozdef_reaches_the_person_and_gets_the_answer(
    world: World, stack: Stack, tmp_path: Path, aws_environment: Mapping[str, str]
) -> None:
    request = alert(alert="ssh_access_sign_releng")

    AlertAction(tmp_path, stack, aws_environment).ask(request)
    world.slack.press(world.slack.question(request["identifier"]), "yes")

    assert world.status(request["identifier"]) == "acknowledged"


def test_what_the_forwarder_cannot_know_to_be_wrong_ends_in_the_dead_letter_queue(
    world: World, forwarder: Forwarder
) -> None:
    request = alert(user="N/A")

    forwarder.invoke(request)

    assert world.status(request["identifier"]) == "manual"
    reasons = until(
        lambda: [one.reason for one in world.dead_letters.letters() if request["identifier"] in one.body],
        what="the dead letter",
    )
    assert "user must be" in reasons[0]


def test_the_forwarder_tells_mozdef_the_queue_to_read(forwarder: Forwarder, stack: Stack) -> None:
    answer = forwarder.invoke({"action": "discover-sqs-queue-url"})

    assert answer == {"result": stack.outputs["ResponseQueueUrl"]}


def test_a_request_that_cannot_be_sent_is_kept_in_the_dead_letter_queue_and_fails_the_invocation(
    world: World, forwarder: Forwarder, stack: Stack
) -> None:
    request = alert(summary="Bypass codes \u2013 ten of them \U0001f511")
    gone = stack.outputs["RequestQueueUrl"] + "-that-is-gone"

    with pytest.raises(AssertionError, match="NonExistentQueue"):
        forwarder.invoke(request, REQUEST_QUEUE_URL=gone)

    [kept] = [one for one in world.dead_letters.letters() if request["identifier"] in one.body]
    assert kept.reason is not None
    assert "not put on the request queue" in kept.reason
    assert decode_request(kept.body) == decode_request(json.dumps(request))


def test_a_request_that_cannot_be_kept_either_stands_in_the_function_s_log(
    forwarder: Forwarder, stack: Stack
) -> None:
    request = alert()
    gone = stack.outputs["RequestQueueUrl"] + "-that-is-gone"

    with pytest.raises(AssertionError) as failed:
        forwarder.invoke(request, REQUEST_QUEUE_URL=gone, DEAD_LETTER_QUEUE_URL=gone)

    [line] = [one for one in str(failed.value).splitlines() if "The request: " in one]
    assert json.loads(line.partition("The request: ")[2]) == request


def test_the_forwarder_writes_a_request_as_the_drop_in_does(forwarder: Forwarder) -> None:
    events: list[dict[str, Any]] = [
        alert(),
        alert(summary="x" * 1_100_000),
        alert(summary="\U0001f511" * 30_000, severity="NOTICE"),
        alert(summary=None),
        alert(user=["x"] * 400_000),
        {},
    ]

    assert forwarder.bodies_of(events) == [request_body(event) for event in events]


def test_the_forwarder_tries_twice_before_it_gives_up(
    world: World, forwarder: Forwarder, sqs_endpoint: str
) -> None:
    request = alert()

    with RequestsFail(sqs_endpoint) as broken, pytest.raises(AssertionError, match="InternalFailure"):
        forwarder.invoke(request, AWS_ENDPOINT_URL_SQS=broken.url)

    assert broken.refused == 2
    assert request["identifier"] in [identifier_in(one.body) for one in world.dead_letters.letters()]


def test_mozdef_finds_the_forwarder_by_the_beginning_of_its_name(stack: Stack) -> None:
    names = [one["FunctionName"] for one in stack.client("lambda").list_functions()["Functions"]]

    assert [name for name in names if name.startswith(FUNCTION_PREFIX)] == [stack.outputs["ForwarderName"]]
    assert len(stack.outputs["ForwarderName"]) <= 64


def test_the_loop_runs_on_a_standard_response_queue_too(
    create_world: Callable[..., World], standard_stack: Stack
) -> None:
    world = _start_on(standard_stack, create_world)
    identifier = world.send()

    world.slack.press(world.slack.question(identifier), "wrongUser")

    assert not world.responses.url.endswith(".fifo")
    assert world.status(identifier) == "manual"
    assert world.worker.stop() == 0


def test_the_queues_are_as_the_worker_wants_them(stack: Stack, sqs: SQSClient) -> None:
    facts = {
        name: sqs.get_queue_attributes(QueueUrl=stack.outputs[f"{name}QueueUrl"], AttributeNames=["All"])
        for name in ("Request", "Response", "DeadLetter")
    }
    attributes = {name: answer["Attributes"] for name, answer in facts.items()}

    assert {one["MessageRetentionPeriod"] for one in attributes.values()} == {str(14 * 24 * 3600)}
    assert {one["SqsManagedSseEnabled"] for one in attributes.values()} == {"true"}
    assert {one["VisibilityTimeout"] for one in attributes.values()} == {"60"}
    assert attributes["Response"]["FifoQueue"] == "true"
    assert [name for name, one in attributes.items() if "RedrivePolicy" in one] == ["Request"]
    assert '"maxReceiveCount": 10' in attributes["Request"]["RedrivePolicy"]
    assert stack.outputs["DeadLetterQueueArn"] in attributes["Request"]["RedrivePolicy"]


def test_the_environment_file_names_all_that_the_stack_made(stack: Stack, standard_stack: Stack) -> None:
    assert stack.environment_file == {
        "SLACK_BOT_TOKEN": "ssm:/triage-bot/slack-bot-token",
        "SLACK_APP_TOKEN": "ssm:/triage-bot/slack-app-token",
        "REQUEST_QUEUE_URL": stack.outputs["RequestQueueUrl"],
        "RESPONSE_QUEUE_URL": stack.outputs["ResponseQueueUrl"],
        "DEAD_LETTER_QUEUE_URL": stack.outputs["DeadLetterQueueUrl"],
        "AWS_REGION": "us-west-2",
        "STORE_URL": f"dynamodb://{stack.outputs['TableName']}?region=us-west-2",
    }
    assert standard_stack.environment_file["STORE_URL"] == "sqlite:////var/lib/triage-bot/triage-bot.db"


def test_the_table_is_as_the_store_wants_it_and_no_more(stack: Stack) -> None:
    name = stack.outputs["TableName"]
    table = stack.client("dynamodb").describe_table(TableName=name)["Table"]
    wanted = table_description(name)

    assert find_faults(table) == []
    assert table["KeySchema"] == wanted["KeySchema"]
    assert _sorted(table["AttributeDefinitions"]) == _sorted(wanted["AttributeDefinitions"])
    assert [_index(one) for one in table["GlobalSecondaryIndexes"]] == [
        _index(one) for one in wanted["GlobalSecondaryIndexes"]
    ]
    assert table["BillingModeSummary"]["BillingMode"] == wanted["BillingMode"]


def test_the_worker_may_do_with_the_table_what_it_does_and_no_more() -> None:
    statements = [
        statement
        for name, statement in Template(CreateTable="true").statements("AWS::IAM::Policy")
        if name == "WorkerTablePolicy"
    ]
    allowed = {action for one in statements for action in _listed(one["Action"])}
    indexes = {one for statement in statements for one in _listed(statement["Resource"]) if "/index/" in one}

    assert allowed == {f"dynamodb:{operation}" for operation in OPERATIONS}
    assert indexes == {f"${{Table.Arn}}/index/{index.name}" for index in INDEXES}


class RequestsFail(AwsProxy):
    """An SQS with a fault of its own in the request queue."""

    refused = 0

    def answer(self, action: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:  # noqa: ARG002
        """See `AwsProxy`."""
        if not json.loads(body)["QueueUrl"].endswith("-requests"):
            return self.pass_on(body, headers)
        self.refused += 1
        return 500, b'{"__type": "com.amazonaws.sqs#InternalFailure", "message": "try again"}'


def _start_on(stack: Stack, create: Callable[..., World]) -> World:
    """Start a worker in the environment that the stack offers; the others have its queues."""
    offered = {name: value for name, value in stack.environment_file.items() if name.endswith("_URL")}
    world = create(**offered | {"STORE_URL": "sqlite:///triage-bot.db"})
    world.requests = stack.outputs["RequestQueueUrl"]
    world.responses = Mailbox(world.sqs, stack.outputs["ResponseQueueUrl"])
    world.dead_letters = Mailbox(world.sqs, stack.outputs["DeadLetterQueueUrl"])
    world.start()
    return world


def _index(index: Mapping[str, Any]) -> tuple[Any, ...]:
    return index["IndexName"], index["KeySchema"], index["Projection"]


def _sorted(attributes: list[dict[str, str]]) -> list[dict[str, str]]:
    return sorted(attributes, key=lambda one: one["AttributeName"])


def _listed(one_or_more: Any) -> list[Any]:
    return one_or_more if isinstance(one_or_more, list) else [one_or_more]
