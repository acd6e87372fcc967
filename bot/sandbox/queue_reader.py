"""Reads a queue as a consumer does: receive, hand over, delete."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef


class QueueReader:
    """A daemon thread that reads one queue; `hand_over(message)` runs in the event loop that created it.

    Errors of SQS are retried every 0.5 s and never raised.
    """

    def __init__(self, client: SQSClient, url: str, hand_over: Callable[[MessageTypeDef], None]) -> None:
        self._client = client
        self._url = url
        self._hand_over = hand_over
        self._loop = asyncio.get_running_loop()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._read, name=f"reader of {url}", daemon=True)

    def start(self) -> None:
        """Start reading."""
        self._thread.start()

    def stop(self) -> None:
        """Stop reading; a poll in progress still takes up to a second."""
        self._stopping.set()

    async def wait_for_end(self) -> None:
        """Wait for the thread to end after `stop`, for at most 3 s."""
        await asyncio.to_thread(self._thread.join, 3)

    def _read(self) -> None:
        while not self._stopping.is_set():
            try:
                self._read_once()
            except (BotoCoreError, ClientError):
                # If the server has ended, the trial notices and reports it: it watches the process.
                self._stopping.wait(0.5)

    def _read_once(self) -> None:
        answer = self._client.receive_message(
            QueueUrl=self._url, WaitTimeSeconds=1, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        )
        for message in answer.get("Messages", []):
            if self._stopping.is_set():
                return
            self._loop.call_soon_threadsafe(self._hand_over, message)
            self._client.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
