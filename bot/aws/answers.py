"""What counts as an answer of AWS's.

botocore takes whatever comes with status 200 for a success, and what it cannot read for an empty one: after a
proxy's HTML page a queue has no messages, and an item is stored. And it fails in its own code where the body
is JSON, but no object.
"""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botocore.client import BaseClient

#: How the content type of each of our services begins: all speak AWS JSON 1.0 or 1.1.
_CONTENT_TYPE = "application/x-amz-json-"

#: What an operation's answer always has, and its reader relies on.
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
    """Something answered that is not AWS, so nobody knows whether the call was done."""

    fmt = "{what}, which is no answer of AWS's; look at the proxies on the way there"


def accept_only_answers(client: BaseClient) -> None:
    """Make the client's calls raise `NotAnAnswer` where it would read something else as an answer.

    For clients of SQS, DynamoDB and the parameter store alone: STS answers in XML.
    """
    client.meta.events.register("before-parse", _judge)


def _judge(operation_model: Any, response_dict: Mapping[str, Any], **_: Any) -> None:
    is_success = response_dict["status_code"] < HTTPStatus.MULTIPLE_CHOICES
    content_type = str(response_dict["headers"].get("content-type", ""))
    if is_success and not content_type.startswith(_CONTENT_TYPE):
        raise NotAnAnswer(what=f"something answered with {_shown(content_type)}")
    try:
        answer = json.loads(response_dict["body"] or b"{}")
    except (ValueError, RecursionError) as error:
        if is_success:
            raise NotAnAnswer(what="something answered with a body that is not JSON") from error
        return  # botocore makes an error of it, with the status for its code
    if not isinstance(answer, dict):
        raise NotAnAnswer(what="something answered with JSON that is no object")
    lacking = _ALWAYS.get(operation_model.name)
    if is_success and lacking and lacking not in answer:
        raise NotAnAnswer(what=f"something answered without {lacking}")


def _shown(content_type: str) -> str:
    found = re.match(r"[\w.+-]{1,40}/[\w.+-]{1,40}", content_type)
    return found[0] if found else "no content type"
