"""A limit as Slack has one for a workspace: so many messages in any so many seconds."""

from __future__ import annotations

import math
from collections import deque


class MessageLimit:
    """What a workspace takes; `refused` counts what it did not."""

    def __init__(self, *, messages: int, seconds: float) -> None:
        self._seconds = seconds
        self._taken_at: deque[float] = deque(maxlen=messages)
        self.refused = 0

    def refuse(self, now: float) -> int | None:
        """Take a message at this moment of any clock (None), or return the whole seconds of `Retry-After`."""
        is_full = len(self._taken_at) == self._taken_at.maxlen
        wait = self._taken_at[0] + self._seconds - now if is_full else 0.0
        if wait > 0:
            self.refused += 1
            return math.ceil(wait)
        self._taken_at.append(now)
        return None
