"""Notifies waiters that something in the trial has changed; they read from the trial what it was."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Changes:
    """A number that grows with every change. Used from one event loop only."""

    def __init__(self) -> None:
        self.revision = 0
        self._next = asyncio.Event()

    def mark(self) -> None:
        """Announce a change."""
        self.revision += 1
        self._next.set()
        self._next = asyncio.Event()

    async def after(self, revision: int) -> int:
        """Wait until the revision is greater than `revision`, and return it."""
        while self.revision <= revision:
            await self._next.wait()
        return self.revision

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until `holds()` is true; it is called again after each change."""
        while not holds():
            await self.after(self.revision)
