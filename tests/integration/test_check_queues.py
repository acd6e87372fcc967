"""What `check` says of a queue: depth, permissions, encryption, redrive policy, clock, the way there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from mypy_boto3_sqs import SQSClient
from served import served

from bot.cli.checks.findings import CheckStatus, Finding
from bot.cli.checks.sqs import DEAD_LETTER_QUEUE, REQUEST_QUEUE, RESPONSE_QUEUE, QueueRole, check_queue

CreateQueue = Callable[..., str]

pytestmark = pytest.mark.usefixtures("in_aws_environment")

#: Without an endpoint of our own, its host does not exist.
URL = "https://sqs.eu-central-1.amazonaws.com/123456789012/triage-requests"
ATTRIBUTES = {
    "QueueArn": "arn:aws:sqs:eu-central-1:123456789012:triage-requests",
    **dict.fromkeys((f"ApproximateNumberOfMessages{which}" for which in ("", "NotVisible", "Delayed")), "0"),
}
LONG_AGO = "Mon, 23 Nov 2020 03:00:00 GMT"


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where boto3 looks for credentials and endpoint is the local SQS, and nothing of this machine's."""
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)


def answered(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.json_response(body, status=status, headers=headers, content_type="application/x-amz-json-1.0")


def refused(code: str, status: int = 400, headers: Mapping[str, str] | None = None) -> web.Response:
    return answered({"__type": f"com.amazonaws.sqs#{code}"}, status, headers)


@asynccontextmanager
async def answering(answer: Callable[[str], web.Response]) -> AsyncIterator[str]:
    """An SQS that answers each action like this, and is AWS's while it runs. Yields its address."""

    async def respond(request: web.Request) -> web.Response:
        action = request.headers["X-Amz-Target"].removeprefix("AmazonSQS.").removesuffix("Batch")
        try:
            return answer(action)
        except ConnectionError:
            assert request.transport
            request.transport.close()
            return web.Response()

    async with served(respond) as url:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL_SQS", url)
            yield url


def policed(denied: Collection[str] = (), *, silent: str = "", date: str = "", **attributes: str) -> Any:
    """An SQS of one queue, whose policy denies these actions, and which hangs up at the `silent` one."""
    headers = {"Date": date} if date else {}

    def answer(action: str) -> web.Response:
        if action == silent:
            raise ConnectionError
        if action in denied:
            return refused("AccessDeniedException", 403, headers)
        if action == "GetQueueAttributes":
            return answered({"Attributes": {**ATTRIBUTES, **attributes}}, headers=headers)
        return refused("InvalidParameterValue", headers=headers)

    return answering(answer)


async def look(role: QueueRole, url: str = URL, *, region: str | None = "us-west-2") -> dict[str, Finding]:
    return {finding.subject: finding for finding in await check_queue(role, url, region=region)}


async def look_at_it(role: QueueRole, url: str = URL) -> Finding:
    """Return the first finding, of the queue itself."""
    return (await look(role, url, region=None))[role.subject]


# Whether it is there


async def test_a_queue_is_shown_with_its_depth(create_queue: CreateQueue, sqs: SQSClient) -> None:
    url = create_queue()
    sqs.send_message(QueueUrl=url, MessageBody="in flight")
    sqs.receive_message(QueueUrl=url, VisibilityTimeout=600)
    sqs.send_message(QueueUrl=url, MessageBody="waiting")

    finding = (await look(REQUEST_QUEUE, url))["request queue"]

    assert finding.status is CheckStatus.OK
    assert finding.detail == "in us-west-2; 1 visible, 1 in flight, 0 delayed"
    assert finding.facts["ARN"].endswith(url.rpartition("/")[2])


async def test_a_queue_that_is_not_there_is_to_be_made_or_its_url_corrected() -> None:
    finding = await look_at_it(RESPONSE_QUEUE)

    assert finding.status is CheckStatus.FAILED
    assert finding.detail.startswith(f"there is no queue {URL}")
    listed = "`aws sqs list-queues --region eu-central-1` lists those that exist"
    assert finding.remedy == f"create it, or correct its URL; {listed}"
    assert finding.facts == {"URL": URL}


@pytest.mark.parametrize("role", [REQUEST_QUEUE, RESPONSE_QUEUE])
async def test_where_access_is_denied_the_actions_that_the_queue_needs_are_named(role: QueueRole) -> None:
    async with answering(lambda _: refused("AccessDeniedException")):
        finding = await look_at_it(role)

    assert finding.detail == "sqs:GetQueueAttributes is denied (AccessDeniedException)"
    assert (
        finding.remedy == f"grant the worker's role {', '.join(f'sqs:{one}' for one in role.actions)} on it"
    )
    assert f"sqs:{'Receive' if role is REQUEST_QUEUE else 'Send'}Message" in finding.remedy


@pytest.mark.parametrize(
    ("role", "code", "remedy"),
    [
        (REQUEST_QUEUE, "KmsAccessDenied", "grant this worker kms:Decrypt on that key"),
        (
            RESPONSE_QUEUE,
            "KMS.AccessDeniedException",
            "grant this worker kms:GenerateDataKey and kms:Decrypt on that key",
        ),
        (REQUEST_QUEUE, "KmsDisabled", "enable that key again, or choose another one"),
        (
            REQUEST_QUEUE,
            "KmsThrottled",
            "the worker retries; if it persists, ask AWS for a higher quota of KMS",
        ),
    ],
)
async def test_what_kms_refuses_has_a_remedy_of_its_own(role: QueueRole, code: str, remedy: str) -> None:
    async with answering(lambda _: refused(code)):
        finding = await look_at_it(role)

    assert finding.detail == f"KMS refuses the key of {URL} ({code})"
    assert finding.remedy.startswith(remedy)
    assert "sqs:" not in finding.remedy


PAGE = (
    f"SQS cannot be reached for {URL} (something answered with text/html, which is not a response from"
    " AWS; check the proxies on the way there)"
)


@pytest.mark.parametrize(
    ("answer", "detail", "remedy"),
    [
        (
            lambda _: web.Response(text="<html>Please log in</html>", content_type="text/html"),
            PAGE,
            "check the region, DNS, firewall and proxy",
        ),
        (
            lambda _: refused("InvalidClientTokenId", 403),
            f"AWS does not accept the credentials for {URL} (InvalidClientTokenId)",
            "renew them",
        ),
        (
            lambda _: refused("RequestThrottled", 403),
            f"SQS failed to perform GetQueueAttributes on {URL} (RequestThrottled)",
            "try again in a minute; for outages see https://health.aws.amazon.com",
        ),
    ],
)
async def test_any_other_answer_blames_what_is_to_blame(
    answer: Callable[[str], web.Response], detail: str, remedy: str
) -> None:
    async with answering(answer):
        finding = await look_at_it(REQUEST_QUEUE)

    assert (finding.status, finding.detail) == (CheckStatus.FAILED, detail)
    assert finding.remedy.startswith(remedy)


async def test_without_credentials_it_says_where_they_may_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    finding = await look_at_it(REQUEST_QUEUE)

    assert finding.detail.startswith("there are no usable AWS credentials")
    assert finding.remedy == (
        "provide an instance profile, AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the"
        " settings file"
    )


async def test_an_sqs_that_cannot_be_reached_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with answering(lambda _: web.Response()) as closed:
        pass
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", closed.replace("//", "//me:secret@"))

    finding = await look_at_it(REQUEST_QUEUE)

    assert finding.detail.startswith(f"SQS cannot be reached at {closed}")
    assert finding.remedy == (
        "check the region, DNS, firewall and proxy (HTTPS_PROXY, NO_PROXY; AWS_ENDPOINT_URL_SQS if SQS has"
        " another endpoint; AWS_CA_BUNDLE if a proxy intercepts TLS)"
    )


async def test_a_url_without_a_region_and_a_profile_that_is_not_there_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    elsewhere = "https://me:secret@queues.example/123456789012/triage-requests"

    nowhere = await look_at_it(REQUEST_QUEUE, elsewhere)
    monkeypatch.setenv("AWS_PROFILE", "elsewhere")
    nobody = await look_at_it(REQUEST_QUEUE)

    assert nowhere.status is CheckStatus.FAILED
    assert nowhere.detail.endswith("names no AWS region: set AWS_REGION, e.g. us-west-2")
    assert "secret" not in str(nowhere)
    assert "elsewhere" in nobody.detail
    assert "correct AWS_REGION, AWS_PROFILE" in nobody.remedy


# How it is set up


@pytest.mark.parametrize("role", [REQUEST_QUEUE, RESPONSE_QUEUE, DEAD_LETTER_QUEUE])
async def test_what_the_worker_may_do_is_tried_and_changes_nothing(
    create_queue: CreateQueue, sqs: SQSClient, role: QueueRole
) -> None:
    url = create_queue(fifo=role is RESPONSE_QUEUE)

    finding = (await look(role, url))[f"{role.subject} permissions"]

    assert finding.status is CheckStatus.OK
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
async def test_each_action_that_is_denied_is_named(role: QueueRole, action: str) -> None:
    async with policed({action}):
        finding = (await look(role))[f"{role.subject} permissions"]

    assert finding.status is CheckStatus.FAILED
    assert finding.detail == f"denied: sqs:{action}"
    named = ", ".join(f"sqs:{each}" for each in role.actions)
    assert finding.remedy == f"grant the worker's role {named}"


async def test_permissions_that_cannot_be_tried_are_a_warning() -> None:
    async with policed(silent="SendMessage"):
        finding = (await look(RESPONSE_QUEUE))["response queue permissions"]

    assert finding.status is CheckStatus.WARNING
    assert finding.detail.startswith("cannot be tested: SQS did not answer (")
    assert finding.remedy == "try again"


@pytest.mark.parametrize(
    ("attributes", "how"),
    [
        ({"SqsManagedSseEnabled": "true"}, "SSE-SQS"),
        ({"KmsMasterKeyId": "alias/aws/sqs"}, "SSE-KMS, AWS's own key alias/aws/sqs"),
    ],
)
async def test_how_a_queue_is_encrypted_is_said(attributes: dict[str, str], how: str) -> None:
    async with policed(**attributes):
        finding = (await look(RESPONSE_QUEUE))["response queue encryption"]

    assert (finding.status, finding.detail) == (CheckStatus.OK, how)


@pytest.mark.parametrize(
    ("role", "rights"),
    [
        (REQUEST_QUEUE, "kms:Decrypt"),
        (RESPONSE_QUEUE, "kms:GenerateDataKey and kms:Decrypt"),
        (DEAD_LETTER_QUEUE, "kms:GenerateDataKey and kms:Decrypt"),
    ],
)
async def test_a_key_of_ones_own_is_a_warning_with_the_rights_that_it_takes(
    role: QueueRole, rights: str
) -> None:
    async with policed(KmsMasterKeyId="alias/own"):
        findings = await look(role)

    finding = findings[f"{role.subject} encryption"]
    assert finding.status is CheckStatus.WARNING
    assert finding.detail == (
        "SSE-KMS, key alias/own: only a real message can prove that the worker may use it"
    )
    assert finding.remedy == (
        f"make sure that the worker's role has {rights} on it, in its own policy and in the key's"
    )
    assert findings[f"{role.subject} permissions"].status is CheckStatus.OK


async def test_a_queue_that_is_not_encrypted_is_a_warning_with_the_command(create_queue: CreateQueue) -> None:
    url = create_queue(SqsManagedSseEnabled="false")

    finding = (await look(RESPONSE_QUEUE, url))["response queue encryption"]

    assert finding.status is CheckStatus.WARNING
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

    assert finding.status is CheckStatus.WARNING
    assert ("an outage of the bot can move valid requests there" in finding.detail) is bool(count)
    assert ("a request that can never be processed is received again" in finding.detail) is not bool(count)
    _, _, attributes = finding.remedy.replace("QUEUE_ARN", target).partition(" --attributes ")
    sqs.set_queue_attributes(QueueUrl=url, Attributes=json.loads(attributes.strip("'")))
    assert (await look(REQUEST_QUEUE, url))["request queue redrive"].status is CheckStatus.OK


async def test_a_clock_that_aws_does_not_agree_with_fails_and_is_shown_where_a_signature_is_refused() -> None:
    async with policed(date=LONG_AGO):
        wrong = await look(REQUEST_QUEUE)
    async with policed({"GetQueueAttributes"}, date=LONG_AGO):
        denied = await look(REQUEST_QUEUE)

    assert wrong["clock and AWS"].status is denied["request queue"].status is CheckStatus.FAILED
    for findings in (wrong, denied):
        assert "ahead of AWS" in findings["clock and AWS"].detail
