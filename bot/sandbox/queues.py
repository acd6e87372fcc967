"""A local SQS with the three queues: `aws_server` in a separate process, accessed through boto3."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from bot.sandbox.child_process import ChildProcess, bare_environment, end_on_error
from bot.sandbox.failure import SandboxFailed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mypy_boto3_sqs import SQSClient

#: Credentials that open nothing; moto accepts any.
ACCESS_KEY_ID: Final = "sandbox"
SECRET_ACCESS_KEY: Final = "sandbox"  # noqa: S105 - it protects nothing: moto accepts any secret
REGION: Final = "us-west-2"

#: Another program may take a free port before the server does, so several are tried.
_PORT_ATTEMPTS: Final = 5
_START_LIMIT: Final = timedelta(seconds=60)
_STOP_GRACE: Final = timedelta(seconds=2)


@dataclass(frozen=True, kw_only=True)
class QueueUrls:
    """The URLs of the three queues."""

    request: str
    response: str
    dead_letter: str


class LocalQueues:
    """A running local SQS. `client` may be used from any thread."""

    def __init__(self, process: ChildProcess, *, endpoint: str, client: SQSClient, urls: QueueUrls) -> None:
        self.process = process
        self.endpoint = endpoint
        self.client = client
        self.urls = urls

    @classmethod
    async def start(cls, folder: Path) -> LocalQueues:
        """Start the server, with its files below `folder`, and create the queues.

        :raises SandboxFailed: when it does not start, or moto is not installed.
        """
        process, endpoint = await _start_server(folder)
        client = local_client(endpoint)
        async with end_on_error(process, grace=_STOP_GRACE):
            urls = await asyncio.to_thread(_create_queues, client)
        return cls(process, endpoint=endpoint, client=client, urls=urls)

    async def send_request(self, body: str) -> None:
        """Send one message to the request queue; errors of boto3 pass unchanged."""
        await asyncio.to_thread(self.client.send_message, QueueUrl=self.urls.request, MessageBody=body)

    async def show_again(self, handles: Sequence[str]) -> None:
        """Make requests that no poll returned visible to the next one. Raises nothing."""
        for handle in handles:
            with suppress(ClientError, BotoCoreError):
                await asyncio.to_thread(
                    self.client.change_message_visibility,
                    QueueUrl=self.urls.request,
                    ReceiptHandle=handle,
                    VisibilityTimeout=0,
                )

    async def stop(self) -> None:
        """Stop the server, within 2 s; the queues and their messages are lost."""
        await self.process.stop(grace=_STOP_GRACE)


def local_client(endpoint: str) -> SQSClient:
    """Return a client of `endpoint` that ignores the user's profile, credentials and proxy settings."""
    unread = {"profile": (None, None, None, None), "config_file": (None, None, os.devnull, None)}
    session = boto3.Session(
        aws_access_key_id=ACCESS_KEY_ID,
        aws_secret_access_key=SECRET_ACCESS_KEY,
        region_name=REGION,
        botocore_session=botocore.session.Session(session_vars=unread),
    )
    config = Config(
        proxies={}, connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2}
    )
    return session.client("sqs", endpoint_url=endpoint, config=config)


async def _start_server(folder: Path) -> tuple[ChildProcess, str]:
    for attempt in range(_PORT_ATTEMPTS):
        port = free_port()
        process = await ChildProcess.start(
            ["-P", "-m", "bot.sandbox.aws_server", str(port)],
            name="local SQS",
            folder=folder / f"sqs-{attempt}",
            environment=bare_environment(folder),
        )
        async with end_on_error(process, grace=_STOP_GRACE):
            answers = await _answers(process, port)
        if answers:
            return process, f"http://127.0.0.1:{port}"
        log = process.log_tail()
        await process.stop(grace=_STOP_GRACE)
        if "No module named" in log:
            raise SandboxFailed('moto is not installed: see "Try it" in README.md', log=log)
    raise SandboxFailed("The local SQS did not start", log=log)


async def _answers(process: ChildProcess, port: int) -> bool:
    """Wait until the server accepts connections; return False if it ended or was too slow."""
    try:
        async with asyncio.timeout(_START_LIMIT.total_seconds()):
            while process.running:
                if await _takes_connections(port):
                    return process.running
                await asyncio.sleep(0.05)
    except TimeoutError:
        pass
    return False


async def _takes_connections(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def free_port() -> int:
    """Return a port that was free just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _create_queues(client: SQSClient) -> QueueUrls:
    """Create the queues as the project's template does: a visibility timeout of 60 s."""
    names = ("triage-bot-requests", "triage-bot-responses", "triage-bot-dead-letters")
    urls = [
        client.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "60"})["QueueUrl"]
        for name in names
    ]
    return QueueUrls(request=urls[0], response=urls[1], dead_letter=urls[2])
