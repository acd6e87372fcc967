"""What `check` says of a queue that is there: permissions, encryption, redrive policy, the clock."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from mypy_boto3_sqs import SQSClient
from served import served

from bot.cli.checks.findings import Finding, Verdict
from bot.cli.checks.sqs import DEAD_LETTER_QUEUE, REQUEST_QUEUE, RESPONSE_QUEUE, QueueRole, check_queue

CreateQueue = Callable[..., str]

pytestmark = pytest.mark.usefixtures("in_aws_environment")

URL = "https://sqs.eu-central-1.amazonaws.com/123456789012/triage-requests"
ARN = "arn:aws:sqs:eu-central-1:123456789012:triage-requests"
ATTRIBUTES = {
    "QueueArn": ARN,
    "ApproximateNumberOfMessages": "0",
    "ApproximateNumberOfMessagesNotVisible": "0",
    "ApproximateNumberOfMessagesDelayed": "0",
}


def answered(body: object, status: int, headers: Mapping[str, str]) -> web.Response:
    return web.json_response(body, status=status, headers=headers, content_type="application/x-amz-json-1.0")


@asynccontextmanager
async def policed(
    *, denied: Collection[str] = (), silent: Collection[str] = (), date: str = "", **attributes: str
) -> AsyncIterator[str]:
    """An SQS of one queue, whose policy denies these actions, and which hangs up at those that are `silent`.

    Yields its address. It does nothing else.
    """

    async def answer(request: web.Request) -> web.Response:
        action = request.headers["X-Amz-Target"].removeprefix("AmazonSQS.").removesuffix("Batch")
        headers = {"Date": date} if date else {}
        if action in silent:
            assert request.transport
            request.transport.close()
        if action in denied:
            refusal = {"__type": "com.amazonaws.sqs#AccessDeniedException"}
            return answered(refusal, 403, headers)
        if action == "GetQueueAttributes":
            return answered({"Attributes": {**ATTRIBUTES, **attributes}}, 200, headers)
        refusal = {"__type": "com.amazonaws.sqs#InvalidParameterValue"}
        return answered(refusal, 400, headers)

    async with served(answer) as url:
        yield url


async def look(role: QueueRole, url: str = URL) -> dict[str, Finding]:
    return {finding.subject: finding for finding in await check_queue(role, url, region="us-west-2")}


@pytest.mark.parametrize("role", [REQUEST_QUEUE, RESPONSE_QUEUE, DEAD_LETTER_QUEUE])
async def test_what_the_worker_may_do_is_tried_and_changes_nothing(
    create_queue: CreateQueue, sqs: SQSClient, role: QueueRole
) -> None:
    url = create_queue(fifo=role is RESPONSE_QUEUE)

    finding = (await look(role, url))[f"{role.subject} permissions"]

    assert finding.verdict is Verdict.OK
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert [counts[name] for name in names] == ["0", "0"]  # type: ignore[index] # the stubs want literals


async def test_a_message_that_waits_stays_where_it_is(create_queue: CreateQueue, sqs: SQSClient) -> None:
    url = create_queue()
    sqs.send_message(QueueUrl=url, MessageBody="waiting")

    await look(REQUEST_QUEUE, url)

    (message,) = sqs.receive_message(QueueUrl=url, AttributeNames=["All"])["Messages"]
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"


@pytest.mark.parametrize(
    ("role", "action"),
    [
        (REQUEST_QUEUE, "ReceiveMessage"),
        (REQUEST_QUEUE, "DeleteMessage"),
        (REQUEST_QUEUE, "ChangeMessageVisibility"),
        (RESPONSE_QUEUE, "SendMessage"),
        (DEAD_LETTER_QUEUE, "SendMessage"),
    ],
)
async def test_each_action_that_is_denied_is_named(
    role: QueueRole, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with policed(denied={action}) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", endpoint)

        finding = (await look(role))[f"{role.subject} permissions"]

    assert finding.verdict is Verdict.FAILED
    assert finding.detail == f"denied: sqs:{action}"
    named = ", ".join(f"sqs:{each}" for each in role.actions)
    assert finding.remedy == f"grant the worker's role {named}"


async def test_permissions_that_cannot_be_tried_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    async with policed(silent={"SendMessage"}) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", endpoint)

        finding = (await look(RESPONSE_QUEUE))["response queue permissions"]

    assert finding.verdict is Verdict.WARNING
    assert finding.detail.startswith("cannot be tested: SQS did not answer (")
    assert finding.remedy == "try again"


@pytest.mark.parametrize(
    ("attributes", "how"),
    [
        ({"SqsManagedSseEnabled": "true"}, "SSE-SQS"),
        ({"KmsMasterKeyId": "alias/aws/sqs"}, "SSE-KMS, AWS's own key alias/aws/sqs"),
    ],
)
async def test_how_a_queue_is_encrypted_is_said(
    attributes: dict[str, str], how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with policed(**attributes) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", endpoint)

        finding = (await look(RESPONSE_QUEUE))["response queue encryption"]

    assert (finding.verdict, finding.detail) == (Verdict.OK, how)


@pytest.mark.parametrize(
    ("role", "rights"),
    [
        (REQUEST_QUEUE, "kms:Decrypt"),
        (RESPONSE_QUEUE, "kms:GenerateDataKey and kms:Decrypt"),
        (DEAD_LETTER_QUEUE, "kms:GenerateDataKey and kms:Decrypt"),
    ],
)
async def test_a_key_of_ones_own_is_a_warning_with_the_rights_that_it_takes(
    role: QueueRole, rights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with policed(KmsMasterKeyId="alias/own") as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", endpoint)

        findings = await look(role)

    finding = findings[f"{role.subject} encryption"]
    assert finding.verdict is Verdict.WARNING
    assert finding.detail == (
        "SSE-KMS, key alias/own: only a real message can prove that the worker may use it"
    )
    assert finding.remedy == (
        f"make sure that the worker's role has {rights} on it, in its own policy and in the key's"
    )
    assert findings[f"{role.subject} permissions"].verdict is Verdict.OK


async def test_a_queue_that_is_not_encrypted_is_a_warning_with_the_command(
    create_queue: CreateQueue,
) -> None:
    url = create_queue(SqsManagedSseEnabled="false")

    finding = (await look(RESPONSE_QUEUE, url))["response queue encryption"]

    assert finding.verdict is Verdict.WARNING
    assert finding.detail == "none: addresses and alert texts are not encrypted at rest"
    assert finding.remedy == (
        f"aws sqs set-queue-attributes --queue-url {url} --attributes SqsManagedSseEnabled=true"
    )


@pytest.mark.parametrize("count", [None, 3])
async def test_a_redrive_policy_that_is_missing_or_hasty_is_a_warning_with_the_command(
    create_queue: CreateQueue, sqs: SQSClient, count: int | None
) -> None:
    target = f"arn:aws:sqs:us-west-2:123456789012:{create_queue().rpartition('/')[2]}"
    policy = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": target, "maxReceiveCount": count})}
    url = create_queue(**(policy if count else {}))

    finding = (await look(REQUEST_QUEUE, url))["request queue redrive"]

    assert finding.verdict is Verdict.WARNING
    assert ("an outage of the bot can move valid requests there" in finding.detail) is bool(count)
    assert ("a request that can never be processed is received again" in finding.detail) is not bool(count)
    _, _, attributes = finding.remedy.replace("QUEUE_ARN", target).partition(" --attributes ")
    sqs.set_queue_attributes(QueueUrl=url, Attributes=json.loads(attributes.strip("'")))
    assert (await look(REQUEST_QUEUE, url))["request queue redrive"].verdict is Verdict.OK


async def test_a_clock_that_aws_does_not_agree_with_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    async with policed(date="Mon, 23 Nov 2020 03:00:00 GMT") as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", endpoint)

        finding = (await look(REQUEST_QUEUE))["clock and AWS"]

    assert finding.verdict is Verdict.FAILED
    assert "ahead of AWS" in finding.detail


async def test_a_signature_that_is_refused_for_the_clock_shows_the_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with policed(denied={"GetQueueAttributes"}, date="Mon, 23 Nov 2020 03:00:00 GMT") as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", endpoint)

        findings = await look(REQUEST_QUEUE)

    assert findings["request queue"].verdict is Verdict.FAILED
    assert "ahead of AWS" in findings["clock and AWS"].detail
