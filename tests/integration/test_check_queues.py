from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from mypy_boto3_sqs import SQSClient

from bot.cli.checks.findings import Finding, Verdict
from bot.cli.checks.sqs import REQUEST_QUEUE, RESPONSE_QUEUE, QueueRole, check_queue

#: Without an endpoint of our own, its host does not exist.
URL = "https://sqs.eu-central-1.amazonaws.com/123456789012/triage-requests"


@pytest.fixture(autouse=True)
def _surroundings(
    aws_environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where boto3 looks for credentials and endpoint is the local SQS, and nothing of this machine's."""
    for name, value in aws_environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)


@asynccontextmanager
async def answering_with(
    body: bytes, content_type: str = "application/x-amz-json-1.0", *, status: int = 200
) -> AsyncIterator[str]:
    """A server that answers every call with the same; yields its address."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, status=status, content_type=content_type)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


def refusing(code: str, status: int = 400) -> AbstractAsyncContextManager[str]:
    """An SQS that refuses every call with this code; yields its address."""
    return answering_with(json.dumps({"__type": f"com.amazonaws.sqs#{code}"}).encode(), status=status)


async def look(role: QueueRole, url: str, *, region: str | None = None) -> Finding:
    finding, *_ = await check_queue(role, url, region=region)
    return finding


async def test_a_queue_is_shown_with_its_depth(create_queue: Callable[..., str], sqs: SQSClient) -> None:
    url = create_queue()
    sqs.send_message(QueueUrl=url, MessageBody="in flight")
    sqs.receive_message(QueueUrl=url, VisibilityTimeout=600)
    sqs.send_message(QueueUrl=url, MessageBody="waiting")

    finding = await look(REQUEST_QUEUE, url, region="us-west-2")

    assert finding.verdict is Verdict.OK
    assert finding.detail == "in us-west-2; 1 visible, 1 in flight, 0 delayed"
    assert finding.facts["ARN"].endswith(url.rpartition("/")[2])


async def test_a_queue_that_is_not_there_is_to_be_made_or_its_url_corrected() -> None:
    finding = await look(RESPONSE_QUEUE, URL)

    assert finding.verdict is Verdict.FAILED
    assert finding.detail.startswith(f"there is no queue {URL}")
    listed = "`aws sqs list-queues --region eu-central-1` lists those that exist"
    assert finding.remedy == f"create it, or correct its URL; {listed}"
    assert finding.facts == {"URL": URL}


@pytest.mark.parametrize(
    ("role", "action"), [(REQUEST_QUEUE, "sqs:ReceiveMessage"), (RESPONSE_QUEUE, "sqs:SendMessage")]
)
async def test_where_access_is_denied_the_actions_that_the_queue_needs_are_named(
    role: QueueRole, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with refusing("AccessDeniedException") as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", endpoint)

        finding = await look(role, URL)

    assert finding.detail == "sqs:GetQueueAttributes is denied (AccessDeniedException)"
    named = ", ".join(f"sqs:{each}" for each in role.actions)
    assert action in named
    assert finding.remedy == f"grant the worker's role {named} on it"


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
async def test_what_kms_refuses_has_a_remedy_of_its_own(
    role: QueueRole, code: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with refusing(code) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", endpoint)

        finding = await look(role, URL)

    assert finding.detail == f"KMS refuses the key of {URL} ({code})"
    assert finding.remedy.startswith(remedy)
    assert "sqs:" not in finding.remedy


async def test_a_proxys_page_is_not_taken_for_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async with answering_with(b"<html>Please log in</html>", "text/html") as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", endpoint)

        finding = await look(REQUEST_QUEUE, URL)

    assert finding.verdict is Verdict.FAILED
    assert finding.detail == (
        f"SQS cannot be reached for {URL} (something answered with text/html, which is not a response from"
        " AWS; check the proxies on the way there)"
    )
    assert "check the region, DNS, firewall and proxy" in finding.remedy


async def test_credentials_that_aws_refuses_are_to_be_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with refusing("InvalidClientTokenId", 403) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", endpoint)

        finding = await look(REQUEST_QUEUE, URL)

    assert finding.detail == f"AWS does not accept the credentials for {URL} (InvalidClientTokenId)"
    assert finding.remedy.startswith("renew them")


async def test_a_refusal_that_goes_by_blames_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with refusing("RequestThrottled", 403) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", endpoint)

        finding = await look(REQUEST_QUEUE, URL)

    assert finding.verdict is Verdict.FAILED
    assert finding.detail == f"SQS failed to perform GetQueueAttributes on {URL} (RequestThrottled)"
    assert finding.remedy.startswith("try again in a minute; for outages see https://health.aws.amazon.com")


async def test_without_credentials_it_says_where_they_may_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    finding = await look(REQUEST_QUEUE, URL)

    assert finding.detail.startswith("there are no usable AWS credentials")
    assert (
        finding.remedy
        == "provide an instance profile, AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in .env"
    )


async def test_an_sqs_that_cannot_be_reached_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with refusing("nothing") as endpoint:
        closed = endpoint
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", closed.replace("//", "//me:secret@"))

    finding = await look(REQUEST_QUEUE, URL)

    assert finding.detail.startswith(f"SQS cannot be reached at {closed}")
    assert finding.remedy == (
        "check the region, DNS, firewall and proxy (HTTPS_PROXY, NO_PROXY; AWS_ENDPOINT_URL_SQS if SQS has"
        " another endpoint; AWS_CA_BUNDLE if a proxy intercepts TLS)"
    )


async def test_a_url_without_a_region_needs_one_of_its_own() -> None:
    finding = await look(REQUEST_QUEUE, "https://me:secret@queues.example/123456789012/triage-requests")

    assert finding.verdict is Verdict.FAILED
    assert finding.detail.endswith("names no AWS region: set AWS_REGION, e.g. us-west-2")
    assert "secret" not in str(finding)


async def test_a_profile_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "elsewhere")

    finding = await look(REQUEST_QUEUE, URL)

    assert "elsewhere" in finding.detail
    assert "correct AWS_REGION, AWS_PROFILE" in finding.remedy
