"""Between the worker and a service of AWS: hands calls on, and leaves room to meddle with them."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Final

from http_stand_in import HttpStandIn, Reply, Request

_KEPT: Final = ("X-Amz-Target", "Content-Type", "Authorization", "X-Amz-Date")


class AwsProxy(HttpStandIn):
    """Hands everything on to `upstream`, but for what a subclass makes of it.

    Its `url` is what AWS_ENDPOINT_URL_SQS or AWS_ENDPOINT_URL_DYNAMODB wants.
    """

    def __init__(self, upstream: str) -> None:
        super().__init__()
        self.upstream = upstream

    def reply_to(self, request: Request) -> Reply:
        headers = {name: request.headers[name] for name in _KEPT if name in request.headers}
        action = request.headers["X-Amz-Target"].rpartition(".")[2]
        status, body = self.answer(action, request.body, headers)
        return Reply(status=status, body=body)

    def answer(self, action: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Return status and body of what the service answers to an action such as `SendMessageBatch`."""
        raise NotImplementedError

    def pass_on(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Return status and body of what the service itself answers."""
        request = urllib.request.Request(self.upstream, data=body, headers=dict(headers))  # noqa: S310 - of this machine
        try:
            with urllib.request.urlopen(request) as answer:  # noqa: S310 - as above
                return answer.status, answer.read()
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, refusal.read()
