"""Waiting for something to become true."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

Seen = TypeVar("Seen")

#: Generous: the machine may be busy, and nothing waits longer than it must.
PATIENCE_SECONDS = 300


def until(look: Callable[[], Seen | None], *, what: str, seconds: float = PATIENCE_SECONDS) -> Seen:
    """Look again and again until there is something to see, and return that. AssertionError if never."""
    began = time.monotonic()
    while not (seen := look()):
        waited = time.monotonic() - began
        assert waited < seconds, f"this never happened: {what}"
        # A look may cost a call, and others want the processor: what takes long is looked for less often.
        time.sleep(min(max(0.02, waited / 10), 0.25))
    return seen


async def eventually(look: Callable[[], Seen | None]) -> Seen:
    """Run others until there is something to see, and return that. TimeoutError if never."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (seen := look()):
            await asyncio.sleep(0.005)
    return seen
