from __future__ import annotations

import json
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import boto3
import botocore.session
import pytest
from botocore.credentials import CredentialResolver

from bot.aws.access import Access
from bot.errors import StartRefused, TransientError
from bot.sqs.clients import Connector
from bot.sqs.queues import Outgoing, Queue

if TYPE_CHECKING:
    from collections.abc import Iterator


def message(body: str, **attributes: str) -> Outgoing:
    return Outgoing(body=body, group="a-group", deduplication=body[:100], attributes=attributes)


@contextmanager
def answering(status: int, body: dict[str, Any]) -> Iterator[str]:
    """An SQS that answers every call with the same; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        serving.join()


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
        answering(status, {"__type": code, "message": "no"}) as endpoint,
        queue_at(endpoint, aws_session) as queue,
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
        answering(status, {"__type": code, "message": "no"}) as endpoint,
        queue_at(endpoint, aws_session) as queue,
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

    with answering(200, answer) as endpoint, queue_at(endpoint, aws_session) as queue:
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
