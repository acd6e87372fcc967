"""A store under whose writes the process dies on cue, and how each kind of store outlives its process."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Protocol, TypeVar

from memory_store import AnyStore, MemoryStore

from bot.errors import StoreError
from bot.store import OpenStore, open_store
from bot.triage.factor import Attempt
from bot.triage.model import Change, FoundQuestion, OutboxRow
from bot.triage.places import Places

T = TypeVar("T")


class KilledError(Exception):
    """The process died here."""


#: How a write may end.
WRITE_ENDS = ("kept", "refused", "killed before", "killed after")


class MortalStore:
    """Passes everything on to the store that is kept; `ends` says how the next writes end, one each."""

    def __init__(self, kept: AnyStore) -> None:
        self.ends: list[str] = []
        self._kept = kept
        self.load, self.find, self.reports_of = kept.load, kept.find, kept.reports_of
        self.due, self.overdue, self.next_due = kept.due, kept.overdue, kept.next_due
        self.probe, self.remove_ended = kept.probe, kept.remove_ended
        self.open_for, self.answered_by = kept.open_for, kept.answered_by
        self.restored, self.found_question = kept.restored, kept.found_question
        self.conversation_read_at = kept.conversation_read_at
        self.find_attempt, self.due_attempts = kept.find_attempt, kept.due_attempts
        self.find_places, self.due_places = kept.find_places, kept.due_places
        self.first_waiting, self.count_waiting = kept.first_waiting, kept.count_waiting

    async def add(self, changes: Sequence[Change]) -> Sequence[bool | StoreError]:
        try:
            return await self._write(lambda: self._kept.add(changes))
        except StoreError as error:
            return [error] * len(changes)

    async def save(self, change: Change) -> bool:
        return await self._write(lambda: self._kept.save(change))

    async def save_attempt(self, attempt: Attempt) -> bool:
        return await self._write(lambda: self._kept.save_attempt(attempt))

    async def save_places(self, places: Places) -> bool:
        return await self._write(lambda: self._kept.save_places(places))

    async def keep_conversation(self, slack_id: str, found: Sequence[FoundQuestion], at: datetime) -> None:
        await self._write(lambda: self._kept.keep_conversation(slack_id, found, at))

    async def mark_sent(self, rows: Sequence[OutboxRow], at: datetime) -> None:
        await self._write(lambda: self._kept.mark_sent(rows, at))

    async def _write(self, work: Callable[[], Awaitable[T]]) -> T:
        end = self.ends.pop(0) if self.ends else "kept"
        if end == "killed before":
            raise KilledError
        if end == "refused":
            raise StoreError("disk full")
        result = await work()
        if end == "killed after":
            raise KilledError
        return result


class Home(Protocol):
    """Where a store lives on while processes come and go."""

    async def open(self) -> AnyStore:
        """Open the store (again), as the next process does."""

    async def back_up(self) -> None:
        """Keep a copy of what is stored now."""

    async def restore(self) -> AnyStore:
        """Put the copy in place, and open it."""

    async def close(self) -> None:
        """Leave nothing behind."""


class MemoryHome:
    def __init__(self) -> None:
        self._store = MemoryStore()
        self._backup = MemoryStore()

    async def open(self) -> AnyStore:
        return self._store

    async def back_up(self) -> None:
        self._backup = copy.deepcopy(self._store)

    async def restore(self) -> AnyStore:
        self._store = copy.deepcopy(self._backup)
        return self._store

    async def close(self) -> None:
        self._store = MemoryStore()


class SqliteHome:
    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._numbers = count()
        self._store: OpenStore | None = None
        self._backup = self._path = self._new_path()

    async def open(self) -> AnyStore:
        await self._close_store()
        self._store = await open_store(f"sqlite:///{self._path}", create=True)
        return self._store

    async def back_up(self) -> None:
        assert self._store
        self._backup = self._new_path()
        await self._store.copy_to(self._backup)

    async def restore(self) -> AnyStore:
        await self._close_store()
        self._path = self._new_path()
        self._path.write_bytes(self._backup.read_bytes())
        self._store = await open_store(f"sqlite:///{self._path}", restored=True)
        return self._store

    async def close(self) -> None:
        await self._close_store()
        self._folder.cleanup()

    def _new_path(self) -> Path:
        return Path(self._folder.name) / f"store-{next(self._numbers)}.db"

    async def _close_store(self) -> None:
        if self._store:
            await self._store.close()
            self._store = None
