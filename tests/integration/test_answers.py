"""What AWS did not answer is never taken for its answer: not by any service, not by any call."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import boto3
import pytest
from aws_stand_in import AwsStandIn, Call
from botocore.config import Config
from botocore.exceptions import ClientError
from http_stand_in import Reply
from world import World

from bot.aws.access import Access
from bot.aws.responses import NotFromAws
from bot.errors import StoreError, TransientError
from bot.settings.parameter_store import fetch_tokens
from bot.settings.settings import Purpose, load_settings
from bot.sqs.clients import Connector
from bot.sqs.queues import Received
from bot.store.address import Address
from bot.store.dynamodb.table import NEW, Connection, Table

PAGE = b"<!DOCTYPE html><html><body>Please log in</body></html>"

#: Each of them was an empty success, or an error of Python's.
STRANGERS = {
    "a page": Reply(body=PAGE, content_type="text/html; charset=utf-8"),
    "a page under AWS's type": Reply(body=PAGE),
    "JSON of somebody else": Reply(body=b"{}", content_type="application/json"),
    "nothing at all": Reply(body=b"", content_type=""),
    "half an answer": Reply(body=b'{"Messages": ['),
    "a list": Reply(body=b"[]"),
    "null": Reply(body=b"null"),
    "an empty body": Reply(body=b""),
    "an empty body with status 204": Reply(body=b"", status=204),
    "a redirect to a page": Reply(body=PAGE, content_type="text/html", status=302),
    "a choice of pages": Reply(body=PAGE, content_type="text/html", status=300),
    "a page that forbids": Reply(body=PAGE, content_type="text/html", status=403),
    "a gateway's error": Reply(body=b'{"code": 407, "message": "no"}', status=407),
    "an error with two codes": Reply(body=b'{"__type": ["a", "b"]}', status=400),
    "an error without a code": Reply(body=b'{"message": "Forbidden"}', status=403),
    "an error that is a list": Reply(body=b"[]", status=502),
    "nesting without end": Reply(body=b"[" * 100_000),
    "bytes that are no text": Reply(body=b"\xff\xfe"),
}

ITEM: dict[str, Any] = {"pk": {"S": "a"}, "sk": {"S": "b"}}
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "receive_message": ("sqs", {"QueueUrl": "http://sqs/1/requests"}),
    "delete_message": ("sqs", {"QueueUrl": "http://sqs/1/requests", "ReceiptHandle": "h"}),
    "get_queue_attributes": ("sqs", {"QueueUrl": "http://sqs/1/requests"}),
    "send_message": ("sqs", {"QueueUrl": "http://sqs/1/requests", "MessageBody": "{}"}),
    "put_item": ("dynamodb", {"TableName": "table", "Item": ITEM}),
    "get_item": ("dynamodb", {"TableName": "table", "Key": ITEM}),
    "query": ("dynamodb", {"TableName": "table", "KeyConditionExpression": "pk = :a"}),
    "describe_table": ("dynamodb", {"TableName": "table"}),
    "get_parameter": ("ssm", {"Name": "/token"}),
}

#: Calls whose answer may be empty: SQS has no message, the item is not there, or there is nothing to say.
MAY_BE_EMPTY = {"receive_message", "delete_message", "put_item", "get_item"}


#: What each of these answers with, as far as it is a list or an object.
MEMBERS = {
    "receive_message": "Messages",
    "get_queue_attributes": "Attributes",
    "put_item": "Attributes",
    "get_item": "Item",
    "query": "Items",
    "describe_table": "Table",
    "get_parameter": "Parameter",
}


def call(endpoint_url: str, session: boto3.Session, operation: str) -> Any:
    service, arguments = CALLS[operation]
    config = Config(retries={"total_max_attempts": 1})
    client = Access(lambda: session).client(
        service, region="us-west-2", config=config, endpoint_url=endpoint_url
    )
    try:
        return client.call(operation, **arguments)
    finally:
        client.close()


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("stranger", STRANGERS)
def test_no_call_takes_somebody_elses_answer(
    aws_session: boto3.Session, operation: str, stranger: str
) -> None:
    with (
        AwsStandIn(lambda _: STRANGERS[stranger]) as stand_in,
        pytest.raises(NotFromAws, match=r"^something answered with.*check the proxies"),
    ):
        call(stand_in.url, aws_session, operation)

    assert len(stand_in.calls) == 1


@pytest.mark.parametrize("operation", CALLS)
def test_an_empty_answer_of_aws_is_one_only_where_it_may_be_empty(
    aws_session: boto3.Session, operation: str
) -> None:
    with AwsStandIn(lambda _: Reply()) as stand_in:
        if operation in MAY_BE_EMPTY:
            assert call(stand_in.url, aws_session, operation).keys() == {"ResponseMetadata"}
            return
        with pytest.raises(NotFromAws, match="something answered without "):
            call(stand_in.url, aws_session, operation)


@pytest.mark.parametrize("value", ["null", "7", '"text"', "[null]"])
@pytest.mark.parametrize("operation", MEMBERS)
def test_an_answer_of_another_form_is_none(aws_session: boto3.Session, operation: str, value: str) -> None:
    """Each was a Python error, there or where the answer is read."""
    body = f'{{"{MEMBERS[operation]}": {value}}}'.encode()

    with AwsStandIn(lambda _: Reply(body=body)) as stand_in:
        if value == "null" and operation in MAY_BE_EMPTY:
            assert call(stand_in.url, aws_session, operation).keys() == {"ResponseMetadata"}
            return
        with pytest.raises(NotFromAws, match="something answered with"):
            call(stand_in.url, aws_session, operation)


def test_a_page_with_an_error_of_the_server_is_one_of_aws(aws_session: boto3.Session) -> None:
    """botocore makes one of it already, with the status for its code, and may try again."""
    with (
        AwsStandIn(lambda _: Reply(body=PAGE, content_type="text/html", status=503)) as stand_in,
        pytest.raises(ClientError, match="503"),
    ):
        call(stand_in.url, aws_session, "receive_message")


# What each adapter makes of it


async def test_a_queue_says_what_is_in_the_way(aws_session: boto3.Session) -> None:
    with AwsStandIn(lambda _: STRANGERS["a page"]) as stand_in:
        connector = Connector(endpoint_url=stand_in.url, access=Access(lambda: aws_session))
        queue = connector.open(f"{stand_in.url}/123456789012/requests")
        for attempt in (queue.receive(), queue.describe(), queue.delete_batch([]), queue.send_batch([])):
            with pytest.raises(TransientError, match=r"SQS cannot be reached for .* with text/html"):
                await attempt
        connector.close()


@pytest.mark.parametrize(
    "message",
    [{"MessageId": "1"}, {"ReceiptHandle": "h"}, {"MessageId": "1", "ReceiptHandle": "h", "Body": 5}],
)
async def test_a_message_of_another_form_is_none(
    aws_session: boto3.Session, message: dict[str, object]
) -> None:
    with AwsStandIn(lambda _: Reply(body=json.dumps({"Messages": [message]}).encode())) as stand_in:
        connector = Connector(endpoint_url=stand_in.url, access=Access(lambda: aws_session))
        with pytest.raises(TransientError, match="a message of another form"):
            await connector.open(f"{stand_in.url}/123456789012/requests").receive()
        connector.close()


async def test_entries_without_an_id_are_unanswered(aws_session: boto3.Session) -> None:
    body = b'{"Successful": [{}], "Failed": [{"Code": "x"}]}'
    message = Received(message_id="1", receipt_handle="h", body="")
    with AwsStandIn(lambda _: Reply(body=body)) as stand_in:
        connector = Connector(endpoint_url=stand_in.url, access=Access(lambda: aws_session))
        [refusal] = await connector.open(f"{stand_in.url}/123456789012/requests").delete_batch([message])
        connector.close()

    assert refusal is not None
    assert refusal.code == "unanswered"


async def test_a_table_says_what_is_in_the_way_and_stores_nothing(aws_session: boto3.Session) -> None:
    with AwsStandIn(lambda _: STRANGERS["a page"]) as stand_in:
        address = Address(table="table", region="us-west-2")
        table = Table(
            "table",
            Connection(address, access=Access(lambda: aws_session), endpoint_url=stand_in.url),
            random=Random(0),
        )
        for attempt in (table.put({"pk": "a", "sk": "b"}, NEW), table.get({"pk": "a", "sk": "b"})):
            with pytest.raises(
                StoreError, match=r"DynamoDB cannot be reached for the table table \(.*text/html"
            ):
                await attempt
        table.close()


async def test_the_parameter_store_says_what_is_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, aws_session: boto3.Session
) -> None:
    environ = {
        "SLACK_BOT_TOKEN": "ssm:/token",
        "SLACK_APP_TOKEN": "xapp-1",
        "REQUEST_QUEUE_URL": "https://sqs.us-west-2.amazonaws.com/123456789012/requests",
        "RESPONSE_QUEUE_URL": "https://sqs.us-west-2.amazonaws.com/123456789012/responses",
    }
    settings = load_settings(Purpose.RUN, environ=environ, directory=tmp_path)
    with AwsStandIn(lambda _: STRANGERS["a page"]) as stand_in:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", stand_in.url)
        with pytest.raises(TransientError, match=r"cannot be reached for the parameter .*/token .*text/html"):
            await fetch_tokens(settings, Access(lambda: aws_session))


def test_a_page_at_the_start_is_no_traceback_and_the_worker_waits(create_world: Callable[..., World]) -> None:
    def page(_: Call) -> Reply:
        return STRANGERS["a page"]

    with AwsStandIn(page) as stand_in:
        world = create_world(AWS_ENDPOINT_URL_SQS=stand_in.url)
        world.worker.start()

        world.worker.until_logged("queue.delayed", "something answered with text/html")
        world.worker.until_logged("poll.failed", "something answered with text/html")
        polls = [each for each in stand_in.calls if each.operation == "ReceiveMessage"]

        assert world.worker.is_running()
        assert len(polls) < 10
        assert world.worker.stop() == 0


def test_a_role_is_still_assumed_though_sts_answers_in_xml(
    create_world: Callable[..., World], sqs_endpoint: str, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text(
        "[profile bot]\nrole_arn = arn:aws:iam::123456789012:role/bot\nsource_profile = keys\n"
        "[profile keys]\naws_access_key_id = testing\naws_secret_access_key = testing\n",
        encoding="utf-8",
    )
    world = create_world(
        AWS_PROFILE="bot", AWS_CONFIG_FILE=str(config), AWS_ENDPOINT_URL_STS=sqs_endpoint, LOG_LEVEL="DEBUG"
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del world.worker.environment[name]
    world.start()

    identifier = world.send()
    assert world.slack.press(world.slack.question(identifier), "yes").acknowledged

    assert world.status(identifier) == "acknowledged"
    for secret in ("SecretAccessKey", "SessionToken", "ASIA"):
        assert secret not in world.worker.log
