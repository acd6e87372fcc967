"""A queue: how it is opened, what it does, and what its refusals mean."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import botocore.session
import pytest
from aws_stand_in import AwsStandIn
from botocore.configprovider import ConstantProvider
from botocore.credentials import CredentialResolver
from http_stand_in import Reply
from mypy_boto3_sqs import SQSClient

from bot.aws.access import Access
from bot.aws.region import region_in
from bot.errors import ConfigError, StartRefused, TransientError
from bot.sqs.clients import Connector
from bot.sqs.queues import BATCH_BYTES, Outgoing, Queue, cut_into_batches

CreateQueue = Callable[..., str]


def message(body: str, **attributes: str) -> Outgoing:
    return Outgoing(body=body, group="a-group", deduplication=body[:100], attributes=attributes)


def session_without_region() -> boto3.Session:
    """A session that finds no region, whatever this machine's environment says."""
    core = botocore.session.get_session()
    core.get_component("config_store").set_config_provider("region", ConstantProvider(None))
    return boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing", botocore_session=core)


# Opening


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://sqs.us-west-2.amazonaws.com/123456789012/requests", "us-west-2"),
        ("https://sqs-fips.us-gov-west-1.amazonaws.com/123456789012/requests", "us-gov-west-1"),
        ("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/requests", "cn-north-1"),
        ("https://vpce-1a-2b.sqs.eu-central-1.vpce.amazonaws.com/123456789012/requests", "eu-central-1"),
        ("https://ap-southeast-2.queue.amazonaws.com/123456789012/requests", "ap-southeast-2"),
        ("https://queue.amazonaws.com/123456789012/requests", "us-east-1"),
        ("https://QUEUE.amazonaws.com:443/123456789012/requests/", "us-east-1"),
        ("https://cn-north-1.queue.amazonaws.com.cn/123456789012/requests", "cn-north-1"),
        ("https://queue.amazonaws.com.example.org/123456789012/requests", None),
        ("http://127.0.0.1:9324/123456789012/sqs.us-west-2.x", None),
        ("http://sqs:9324/000000000000/requests", None),
        ("", None),
    ],
)
def test_a_queue_s_address_names_its_region(url: str, region: str | None) -> None:
    assert region_in(url) == region


def test_a_queue_needs_a_region_in_its_address_or_elsewhere_and_an_endpoint_that_is_one(
    aws_session: boto3.Session,
) -> None:
    url = "https://sqs.us-west-2.amazonaws.com/123456789012/requests"
    nowhere, regionless = "http://127.0.0.1:9/123456789012/requests", Access(session_without_region)

    with pytest.raises(ConfigError, match="names no AWS region: set AWS_REGION"):
        Connector(region=None, endpoint_url="http://127.0.0.1:9", access=regionless).open(nowhere)
    with pytest.raises(ConfigError, match="nowhere"):
        Connector(endpoint_url="nowhere", access=Access(lambda: aws_session)).open(nowhere)
    connector = Connector(region=None, access=regionless)
    assert connector.open(url).url == url
    connector.close()


@pytest.mark.parametrize("slashes", ["/", "//"])
async def test_a_queue_s_url_may_end_in_a_slash(
    connector: Connector, create_queue: CreateQueue, slashes: str
) -> None:
    queue = connector.open(create_queue(fifo=True) + slashes)

    assert await queue.send_batch([message("one")]) == [None]
    assert [one.body for one in await queue.receive(wait_seconds=1)] == ["one"]


# A real life


async def test_a_message_is_sent_received_and_deleted(
    connector: Connector, create_queue: CreateQueue, sqs: SQSClient
) -> None:
    url = create_queue()
    queue = connector.open(url)

    refusals = await queue.send_batch([message("one", reason="why"), message("two")])
    received = await queue.receive(wait_seconds=1)
    deleted = await queue.delete_batch(received)

    assert refusals == deleted == [None, None]
    assert {one.body for one in received} == {"one", "two"}
    facts = await queue.describe()
    assert (facts.visible, facts.in_flight, facts.delayed) == (0, 0, 0)
    assert "Messages" not in sqs.receive_message(QueueUrl=url)


async def test_a_single_message_is_sent_under_the_id_that_it_arrives_with(
    connector: Connector, create_queue: CreateQueue
) -> None:
    queue = connector.open(create_queue())

    message_id = await queue.send(message("one"))

    assert [one.message_id for one in await queue.receive(wait_seconds=1)] == [message_id]


async def test_a_message_handed_back_comes_again_at_once(
    connector: Connector, create_queue: CreateQueue
) -> None:
    queue = connector.open(create_queue())
    await queue.send_batch([message("one")])

    first = await queue.receive(wait_seconds=1)
    hidden = await queue.receive(wait_seconds=0)
    await queue.hand_back(first)
    second = await queue.receive(wait_seconds=5)

    assert [one.body for one in first] == ["one"]
    assert hidden == []
    assert [one.message_id for one in second] == [one.message_id for one in first]


async def test_a_queue_describes_itself(connector: Connector, create_queue: CreateQueue) -> None:
    dead_letters = await connector.open(create_queue()).describe()
    redrive = json.dumps({"deadLetterTargetArn": dead_letters.arn, "maxReceiveCount": "10"})
    queue = connector.open(create_queue(RedrivePolicy=redrive, KmsMasterKeyId="alias/aws/sqs"))
    await queue.send_batch([message("one"), message("two"), message("three")])
    await queue.receive(limit=1, wait_seconds=1)

    facts = await queue.describe()

    assert facts.arn.startswith("arn:aws:sqs:us-west-2:")
    assert (facts.visible, facts.in_flight, facts.delayed) == (2, 1, 0)
    assert (facts.dead_letter_arn, facts.max_receive_count) == (dead_letters.arn, 10)
    assert facts.encryption == "alias/aws/sqs"
    assert (dead_letters.dead_letter_arn, dead_letters.max_receive_count) == ("", None)


# Batches


def test_batches_hold_ten_messages_at_most() -> None:
    assert [len(batch) for batch in cut_into_batches([message(str(number)) for number in range(25)])] == [
        10,
        10,
        5,
    ]
    assert list(cut_into_batches([])) == []


def test_batches_stay_within_what_sqs_takes_at_once() -> None:
    third = BATCH_BYTES // 3
    messages = [
        message("x" * size) for size in (third, third, third, third, BATCH_BYTES + 1, 1, BATCH_BYTES - 1)
    ]

    batches = list(cut_into_batches(messages))

    assert [len(batch) for batch in batches] == [3, 1, 1, 2]
    assert [one for batch in batches for one in batch] == messages


def test_a_message_is_measured_in_bytes_with_its_attributes() -> None:
    assert message("é", reason="why").size == 2 + len("reason") + len("String") + len("why")


def answering(status: int, body: dict[str, Any]) -> AwsStandIn:
    """An SQS that answers every call with the same."""
    return AwsStandIn(lambda _: Reply(body=json.dumps(body).encode(), status=status))


@contextmanager
def queue_at(endpoint_url: str, session: boto3.Session) -> Iterator[Queue]:
    connector = Connector(endpoint_url=endpoint_url, access=Access(lambda: session))
    try:
        yield connector.open(f"{endpoint_url}/123456789012/requests")
    finally:
        connector.close()


async def test_a_missing_queue_is_for_the_engineer_to_mend(connector: Connector, sqs_endpoint: str) -> None:
    queue = connector.open(f"{sqs_endpoint}/123456789012/no-such-queue")

    for call in (queue.describe(), queue.receive(wait_seconds=0), queue.send_batch([message("one")])):
        with pytest.raises(StartRefused, match=r"there is no queue http://127.0.0.1:.*/no-such-queue"):
            await call


@pytest.mark.parametrize(
    ("status", "code", "sentence"),
    [
        (403, "AccessDenied", "access to .* is denied .*: grant this worker sqs:GetQueueAttributes"),
        (
            400,
            "KMS.AccessDeniedException",
            "KMS refuses the key of .*: grant this worker kms:Decrypt on that key",
        ),
        (403, "InvalidClientTokenId", "does not accept the credentials"),
        (400, "com.amazon.coral.service#UnrecognizedClientException", "does not accept the credentials"),
        (400, "ExpiredTokenException", "does not accept the credentials"),
        (403, "SignatureDoesNotMatch", "does not accept the credentials"),
    ],
)
async def test_a_refusal_of_the_worker_is_for_the_engineer_to_mend(
    aws_session: boto3.Session, *, status: int, code: str, sentence: str
) -> None:
    with (
        answering(status, {"__type": code, "message": "no"}) as sqs,
        queue_at(sqs.url, aws_session) as queue,
        pytest.raises(StartRefused, match=sentence),
    ):
        await queue.describe()


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "ThrottlingException"),
        (400, "RequestThrottled"),
        (500, "InternalFailure"),
        (503, "ServiceUnavailable"),
        (403, ""),
    ],
)
async def test_trouble_that_goes_by_is_transient(
    aws_session: boto3.Session, *, status: int, code: str
) -> None:
    with (
        answering(status, {"__type": code, "message": "no"}) as sqs,
        queue_at(sqs.url, aws_session) as queue,
        pytest.raises(TransientError, match="SQS failed to perform ReceiveMessage"),
    ):
        await queue.receive()


async def test_an_sqs_that_cannot_be_reached_is_transient(aws_session: boto3.Session) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, but not listening: connections are refused
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"

        with queue_at(endpoint, aws_session) as queue:
            with pytest.raises(TransientError, match="cannot be reached"):
                await queue.receive()
            with pytest.raises(TransientError, match="cannot be reached"):
                await queue.send_batch([message("one")])


async def test_missing_credentials_are_for_the_engineer_to_mend(sqs_endpoint: str) -> None:
    core = botocore.session.get_session()
    core.register_component("credential_provider", CredentialResolver(providers=[]))

    session = boto3.Session(botocore_session=core, region_name="us-west-2")
    with (
        queue_at(sqs_endpoint, session) as queue,
        pytest.raises(StartRefused, match="no usable AWS credentials"),
    ):
        await queue.describe()


async def test_each_entry_of_a_batch_has_its_own_fate(aws_session: boto3.Session) -> None:
    answer = {
        "Successful": [{"Id": "0", "MessageId": "m", "MD5OfMessageBody": "f97c5d29941bfb1b2fdab0874906ab82"}],
        "Failed": [
            {"Id": "1", "Code": "InvalidMessageContents", "SenderFault": True},
            {"Id": "2", "Code": "InternalError", "SenderFault": False},
            {"Id": "3", "Code": "KmsAccessDenied", "SenderFault": True},
            {"Id": "4", "Code": "ExpiredToken", "SenderFault": True},
        ],
    }

    with answering(200, answer) as sqs, queue_at(sqs.url, aws_session) as queue:
        verdicts = await queue.send_batch(
            [message(body) for body in ("one", "two", "three", "four", "five", "six")]
        )

    sent, *refused = verdicts
    assert sent is None
    assert [(refusal.code, refusal.permanent) for refusal in refused if refusal] == [
        ("InvalidMessageContents", True),
        ("InternalError", False),
        ("KmsAccessDenied", False),
        ("ExpiredToken", False),
        ("unanswered", False),
    ]
