"""Something on 127.0.0.1 that answers AWS's calls as a test wants it, and notes as whom it was asked."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from http_stand_in import HttpStandIn, Reply, Request


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call: the operation, e.g. `ReceiveMessage`, and the id of the key that it was signed with."""

    operation: str
    key: str


class AwsStandIn(HttpStandIn):
    """The stand-in; `answer` may be set anew at any time."""

    def __init__(self, answer: Callable[[Call], Reply]) -> None:
        super().__init__()
        self.answer = answer
        self.calls: list[Call] = []

    def reply_to(self, request: Request) -> Reply:
        key = re.search(r"Credential=(\w+)/", request.headers.get("Authorization", ""))
        operation = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        call = Call(operation=operation, key=key[1] if key else "")
        self.calls.append(call)
        return self.answer(call)
