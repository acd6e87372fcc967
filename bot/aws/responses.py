"""Rejects responses that are not from AWS, such as a proxy's HTML page with status 200.

botocore takes any response with status 200 for a success, and one that it cannot parse for an empty one: the
queue seems to have no messages, the item seems to be stored. If the body is JSON but not an object, botocore
fails with an error of Python's.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from botocore.client import BaseClient
from botocore.exceptions import BotoCoreError

from bot.clock import Clock, Service

#: The content type of all services used here starts with this: they speak AWS JSON 1.0 or 1.1.
_CONTENT_TYPE = "application/x-amz-json-"

#: Where an error has its code.
_CODES = ("__type", "code", "Code")

#: What the response of an operation always contains, and its caller relies on. Null counts as missing.
_ALWAYS: Mapping[str, str] = {
    "GetQueueAttributes": "Attributes",
    "SendMessage": "MessageId",
    "GetParameter": "Parameter",
    "DescribeTable": "Table",
    "DescribeTimeToLive": "TimeToLiveDescription",
    "DescribeContinuousBackups": "ContinuousBackupsDescription",
    "BatchGetItem": "Responses",
    "Query": "Count",  # a response with only a count has no items
    "Scan": "Items",
}


class NotFromAws(BotoCoreError):
    """The response is not from AWS. Whether the call took effect is unknown."""

    fmt = "{what}, which is not a response from AWS; check the proxies on the way there"


def reject_foreign_responses(client: BaseClient, clock: Clock) -> None:
    """Make the client's calls raise `NotFromAws` for responses that are not from AWS.

    The clock learns from those that are. Only for clients of SQS, DynamoDB and the parameter store: STS
    responds in XML.
    """
    gate = _ResponseCheck(clock)
    client.meta.events.register("before-send", gate.note_request)
    client.meta.events.register("before-parse", gate.judge)


class _ResponseCheck:
    """Looks at what a client sends and receives; each call does both on one thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._request = threading.local()

    def note_request(self, **_: Any) -> None:
        """Note when a request is sent. Returns nothing: what this event returns would be the response."""
        self._request.sent = self._clock.boottime()

    def judge(self, operation_model: Any, response_dict: Mapping[str, Any], **_: Any) -> None:
        """Judge a response; note its `Date` if AWS gave it."""
        if _judge(operation_model, response_dict):
            self._clock.note(Service.AWS, response_dict["headers"].get("date"), sent=self._request.sent)


def _judge(operation_model: Any, response_dict: Mapping[str, Any]) -> bool:
    """Return whether a response is certainly from AWS. Raises `NotFromAws` if it certainly is not."""
    status, body = response_dict["status_code"], response_dict["body"]
    if status >= HTTPStatus.BAD_REQUEST:
        return _judge_refusal(status, body)
    content_type = str(response_dict["headers"].get("content-type", ""))
    if status >= HTTPStatus.MULTIPLE_CHOICES:
        raise NotFromAws(what=f"something answered with a redirect (HTTP {status})")
    if not content_type.lower().startswith(_CONTENT_TYPE):
        raise NotFromAws(what=f"something answered with {_shorten(content_type)}")
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NotFromAws(what="something answered with a body that is not JSON") from error
    if not isinstance(answer, dict):
        raise NotFromAws(what="something answered with JSON that is not an object")
    _judge_members(operation_model, answer)
    return True


def _judge_members(operation_model: Any, answer: Mapping[str, Any]) -> None:
    missing = _ALWAYS.get(operation_model.name)
    if missing and answer.get(missing) is None:
        raise NotFromAws(what=f"something answered without {missing}")
    shape = operation_model.output_shape
    for name, member in (shape.members if shape else {}).items():
        if answer.get(name) is not None and not _fits(answer[name], member):
            raise NotFromAws(what=f"something answered with another kind of {name}")


def _fits(value: Any, shape: Any) -> bool:
    """Whether a value has the structure that botocore expects there, which it does not check."""
    if shape.type_name == "list":
        return isinstance(value, list) and all(_fits(each, shape.member) for each in value)
    if shape.type_name in {"structure", "map"}:
        return isinstance(value, dict)
    return isinstance(value, str) or shape.type_name != "string"


def _judge_refusal(status: int, body: bytes) -> bool:
    """Judge an error as `_judge` does. Those of a gateway may be in any form; botocore takes the status for
    their code.
    """
    try:
        refusal = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        refusal = {}
    codes = [refusal[name] for name in _CODES if name in refusal] if isinstance(refusal, dict) else [None]
    is_named = bool(codes) or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    if not is_named or not all(isinstance(code, str) for code in codes):
        raise NotFromAws(what=f"something answered with HTTP {status} and no code of AWS's")
    return bool(codes)


def _shorten(content_type: str) -> str:
    found = re.match(r"[\w.+-]{1,40}/[\w.+-]{1,40}", content_type)
    return found[0] if found else "no content type"
