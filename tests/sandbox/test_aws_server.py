"""The sandbox's SQS: one request after another, but for long polls."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from wsgiref.types import StartResponse, WSGIEnvironment

from mypy_boto3_sqs import SQSClient
from werkzeug.test import Client

from bot.sandbox.aws_server import SerialApplication


def test_no_request_begins_before_the_last_one_is_answered() -> None:
    busy = threading.Lock()

    def application(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        alone = busy.acquire(blocking=False)
        time.sleep(0.01)  # the others come in now
        if alone:
            busy.release()
        start_response("200 OK" if alone else "409 Conflict", [])
        return []

    client = Client(SerialApplication(application))
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: client.post("/").status_code, range(24)))

    assert answers == [200] * 24


def test_a_long_poll_that_is_refused_does_not_wait() -> None:
    calls = []

    def application(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        calls.append("refused")
        start_response("400 Bad Request", [])
        return []

    headers = {"X-Amz-Target": "AmazonSQS.ReceiveMessage"}
    answer = Client(SerialApplication(application)).post("/", headers=headers, json={"WaitTimeSeconds": 2})

    assert (answer.status_code, calls) == (400, ["refused"])


def test_a_message_that_is_sent_meanwhile_ends_a_long_poll(
    sqs: SQSClient, create_queue: Callable[..., str]
) -> None:
    queue = create_queue()
    with ThreadPoolExecutor() as threads:
        poll = threads.submit(sqs.receive_message, QueueUrl=queue, WaitTimeSeconds=20)
        sqs.send_message(QueueUrl=queue, MessageBody="sent meanwhile")

    assert [message["Body"] for message in poll.result()["Messages"]] == ["sent meanwhile"]


def test_a_long_poll_without_a_message_ends(sqs: SQSClient, create_queue: Callable[..., str]) -> None:
    assert "Messages" not in sqs.receive_message(QueueUrl=create_queue(), WaitTimeSeconds=1)
