"""Rejects responses that are not from AWS, such as a proxy's HTML page with status 200.

botocore takes any response with status 200 for a success, and one that it cannot parse for an empty one: the
queue seems to have no messages, the item seems to be stored. If the body is JSON but not an object, botocore
fails with an error of Python's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from botocore.client import BaseClient
from botocore.exceptions import BotoCoreError

#: The content type of all services used here starts with this: they speak AWS JSON 1.0 or 1.1.
_CONTENT_TYPE = "application/x-amz-json-"

#: What the response of an operation always contains, and its caller relies on.
_ALWAYS: Mapping[str, str] = {
    "GetQueueAttributes": "Attributes",
    "SendMessage": "MessageId",
    "GetParameter": "Parameter",
    "DescribeTable": "Table",
    "DescribeTimeToLive": "TimeToLiveDescription",
    "DescribeContinuousBackups": "ContinuousBackupsDescription",
    "BatchGetItem": "Responses",
    "Query": "Items",
    "Scan": "Items",
}


class NotAnAnswer(BotoCoreError):
    """The response is not from AWS. Whether the call took effect is unknown."""

    fmt = "{what}, which is not a response from AWS; check the proxies on the way there"


def accept_only_answers(client: BaseClient) -> None:
    """Make the client's calls raise `NotAnAnswer` for responses that are not from AWS.

    Only for clients of SQS, DynamoDB and the parameter store: STS responds in XML.
    """
    client.meta.events.register("before-parse", _judge, unique_id=__name__)  # once, however often it is asked


def _judge(operation_model: Any, response_dict: Mapping[str, Any], **_: Any) -> None:
    is_success = response_dict["status_code"] < HTTPStatus.MULTIPLE_CHOICES
    content_type = str(response_dict["headers"].get("content-type", ""))
    if is_success and not content_type.startswith(_CONTENT_TYPE):
        raise NotAnAnswer(what=f"something answered with {_shorten(content_type)}")
    try:
        answer = json.loads(response_dict["body"] or b"{}")
    except (ValueError, RecursionError) as error:
        if is_success:
            raise NotAnAnswer(what="something answered with a body that is not JSON") from error
        return  # botocore raises an error with the status as its code
    if not isinstance(answer, dict):
        raise NotAnAnswer(what="something answered with JSON that is not an object")
    missing = _ALWAYS.get(operation_model.name)
    if is_success and missing and missing not in answer:
        raise NotAnAnswer(what=f"something answered without {missing}")


def _shorten(content_type: str) -> str:
    found = re.match(r"[\w.+-]{1,40}/[\w.+-]{1,40}", content_type)
    return found[0] if found else "no content type"
