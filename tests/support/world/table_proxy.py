"""Between a worker and DynamoDB: keeps replies waiting, or is a DynamoDB that is away."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from world.aws_proxy import AwsProxy
from world.waiting import PATIENCE_SECONDS

_AWAY: Final = (500, b'{"__type": "InternalServerError"}')


class TableProxy(AwsProxy):
    """Hands everything on; replies to what `holds` says wait until they are let go."""

    def __init__(self, upstream: str, *, holds: Callable[[dict[str, Any]], bool] = lambda _: False) -> None:
        super().__init__(upstream)
        self.is_away = False  #: whether it does nothing that it is asked
        self.holds = holds
        self._reached = threading.Event()
        self._released = threading.Event()

    def __exit__(self, *exception: object) -> None:
        self.release()
        super().__exit__(*exception)

    def wait_until_held(self) -> None:
        assert self._reached.wait(PATIENCE_SECONDS), "nobody made the call"

    def release(self) -> None:
        """Release every reply, now and later."""
        self._released.set()

    def answer(self, action: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:  # noqa: ARG002
        """See `AwsProxy`: what DynamoDB answers, when it may go."""
        answer = _AWAY if self.is_away else self.pass_on(body, headers)
        if self.holds(json.loads(body)):
            self._reached.set()
            self._released.wait()
        return answer
