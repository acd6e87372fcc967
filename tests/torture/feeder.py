"""MozDef's side of a run: sends the requests in step with the deaths."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from .alerts import Alert
from .sqs_queue import StandInQueue

#: Requests that MozDef sends twice.
_REPEATED_SHARE: Final = 0.03


class Feeder:
    """Sends each alert's request once, and some of them again."""

    def __init__(self, queue: StandInQueue, alerts: Sequence[Alert], random: Random) -> None:
        self._queue = queue
        self._count = len(alerts)
        self._waiting = list(reversed(alerts))
        self._random = random

    @property
    def is_done(self) -> bool:
        return not self._waiting

    async def run(self, share: Callable[[], float]) -> None:
        """Send the share of all alerts (0 to 1) that is wanted by now, again and again. Never returns."""
        while True:
            while self._waiting and len(self._waiting) > self._count * (1 - share()):
                body = self._waiting.pop().body
                for _ in range(2 if self._random.random() < _REPEATED_SHARE else 1):
                    self._queue.send(body, attributes={})
            await asyncio.sleep(0.05)
