"""Asks the triage bot about an alert: one message on the bot's request queue.

For MozDef's alert action, in place of invoking a Lambda function. It needs Python 3.8 or later and boto3,
and nothing of the bot's.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_sqs import SQSClient

#: What the bot reads; everything else that an alert carries stays at home.
FIELDS = ("identifier", "alert", "identityConfidence", "summary", "user")

#: Characters, of up to 12 bytes each in a message of at most 1 MiB. The bot shows fewer to the person.
LONGEST_SUMMARY = 20_000

#: An alert action should not hang. Trying again is harmless: the bot asks once about an identifier.
CALLS = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 5})


class RequestQueue:
    """The bot's request queue, by its name. Credentials: from `session`, or from where boto3 finds them."""

    def __init__(self, name: str, *, region: str, session: boto3.Session | None = None) -> None:
        self._name = name
        self._region = region
        self._session = session

    def send(self, fields: Mapping[str, Any]) -> str:
        """Send a request (see `request_body`); return the id that SQS gave it.

        Raises what boto3 raises: then the bot may not have been asked. Nothing is looked up before the first
        call, so that MozDef starts while SQS is away.
        """
        sent = self._sqs.send_message(QueueUrl=self._url, MessageBody=request_body(fields))
        return sent["MessageId"]

    @cached_property
    def _sqs(self) -> SQSClient:
        return (self._session or boto3.Session()).client("sqs", region_name=self._region, config=CALLS)

    @cached_property
    def _url(self) -> str:
        return self._sqs.get_queue_url(QueueName=self._name)["QueueUrl"]


def request_body(fields: Mapping[str, Any]) -> str:
    """Return the message's body: JSON in ASCII, since SQS refuses some characters.

    A field that is missing or wrong is sent so, and not judged here: the bot answers `undeliverable`, and the
    alert gets its status. `TypeError` for a value that JSON has no form for: hand over words, not objects.
    """
    request = {name: fields[name] for name in FIELDS if name in fields}
    summary = request.get("summary")
    if isinstance(summary, str) and len(summary) > LONGEST_SUMMARY:
        request["summary"] = summary[:LONGEST_SUMMARY]
    return json.dumps(request, sort_keys=True)
