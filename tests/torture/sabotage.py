"""Two broken workers, to prove that the checker can fail."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, Final

from bot.store import OpenStore
from bot.triage.model import Change, OutboxRow, Question

#: How long the careless store puts off a report, in seconds of ours: time enough for the acknowledgement.
_PUT_OFF: Final = 0.4


class BlindMessenger:
    """Looks for no question: each that is in doubt counts as not posted."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def look_up(self, _: Question, **__: Any) -> None:
        """See `triage.ports.Messenger`."""


class CarelessStore:
    """Stores an answer at once, and its report in a second step, when the click was acknowledged already."""

    def __init__(self, inner: OpenStore) -> None:
        self._inner = inner
        self._order = asyncio.Lock()
        self._later: set[asyncio.Task[None]] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def save(self, change: Change) -> bool:
        """See `triage.ports.Store`."""
        saved = await self._inner.save(replace(change, report=None))
        if saved and change.report is not None:
            task = asyncio.create_task(self._report(change.question.ref, change.report))
            self._later.add(task)
            task.add_done_callback(self._later.discard)
        return saved

    async def _report(self, ref: str, report: OutboxRow) -> None:
        await asyncio.sleep(_PUT_OFF)
        async with self._order:
            saved = False
            while not saved:
                question = await self._inner.load(ref)
                assert question is not None
                raised = replace(question, version=question.version + 1)
                saved = await self._inner.save(Change(question=raised, report=report))
