"""The SQLite store as the source of a copy: locked, so that no worker can start on it, and only read."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from bot.errors import StoreError
from bot.store.migration.inventory import Alert
from bot.store.records.found import found_from
from bot.store.records.rows import ADDED, TRAIL, events_of, question_of, report_of, restore_of
from bot.store.sqlite.opening import open_to_read
from bot.triage.model import FoundQuestion, OutboxRow, Restore

#: The window of a restore, a question that was found, or a person whose conversation was read; and when, in
#: microseconds since 1970.
RestoreRow = Restore | tuple[FoundQuestion | str, int]

#: Alerts in memory at a time.
PAGE = 100

_PAGE = "SELECT * FROM question WHERE key > ? ORDER BY key LIMIT ?"
_AMONG = "SELECT * FROM question WHERE key IN ({marks})"
_REPORTS = """SELECT report.*, question.identifier FROM report JOIN question USING (key)
    WHERE key IN ({marks}) ORDER BY key, sequence"""
_EVENTS = "SELECT * FROM event WHERE key IN ({marks}) ORDER BY key, version"
_HAS_EVENTS = "SELECT count(*) FROM sqlite_master WHERE name = 'event'"


class SqliteSource:
    """A store's file, opened for reading. Methods raise `StoreError` if SQLite cannot read it."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self.path = path

    @classmethod
    async def open(cls, path: Path, *, restored: bool = False) -> Self:
        """Open and lock the file. `StoreUnusable`, `StartRefused`: see `sqlite.opening.open_to_read`."""
        connection = await asyncio.to_thread(open_to_read, path, restored=restored)
        connection.row_factory = sqlite3.Row
        return cls(connection, path)

    def close(self) -> None:
        """Close the file, which releases its lock."""
        self._connection.close()

    async def size(self) -> int:
        """Return how many questions there are."""
        [[rows]] = await self._read("SELECT count(*) FROM question")
        return int(rows)

    async def pages(self) -> AsyncIterator[Sequence[Alert]]:
        """Yield all alerts, up to 100 at a time, in order of their keys."""
        last = ""
        while rows := await self._read(_PAGE, last, PAGE):
            yield await self._make_alerts(rows)
            last = rows[-1]["key"]

    async def alerts(self, keys: Sequence[str]) -> Mapping[str, Alert]:
        """Return the alerts that exist under these keys, by key."""
        rows = await self._read(_AMONG.format(marks=_marks(keys)), *keys)
        return dict(zip((row["key"] for row in rows), await self._make_alerts(rows), strict=True))

    async def restores(self) -> Sequence[RestoreRow]:
        """Return what the store remembers of its last restore; nothing if there was none."""
        tables = await self._read("SELECT name FROM sqlite_master WHERE name = 'restore'")
        if not tables:  # a file of an earlier release
            return []
        windows = await self._read("SELECT since, until FROM restore")
        read = await self._read("SELECT slack_id, read_at FROM conversation")
        found = await self._read("SELECT facts, found_at FROM found_question")
        return [
            *(restore_of(row["since"], row["until"]) for row in windows),
            *((found_from(row["facts"]), row["found_at"]) for row in found),
            *((row["slack_id"], row["read_at"]) for row in read),
        ]

    async def _make_alerts(self, rows: Sequence[sqlite3.Row]) -> Sequence[Alert]:
        # A file of an earlier release is only read, not upgraded: it lacks columns, and a table.
        keys = [row["key"] for row in rows]
        reports: dict[str, list[OutboxRow]] = {key: [] for key in keys}
        for row in await self._read(_REPORTS.format(marks=_marks(keys)), *keys):
            reports[row["key"]].append(report_of({"facts": "", **dict(row)}))
        events: dict[str, list[Mapping[str, Any]]] = {key: [] for key in keys}
        [[has_events]] = await self._read(_HAS_EVENTS)
        for row in await self._read(_EVENTS.format(marks=_marks(keys)), *keys) if has_events else ():
            events[row["key"]].append(dict(row))
        return [
            Alert(
                question=question_of({**ADDED, **TRAIL, **dict(row)}),
                reports=reports[row["key"]],
                events=events_of(row["identifier"], events[row["key"]]),
            )
            for row in rows
        ]

    async def _read(self, query: str, *values: Any) -> list[sqlite3.Row]:
        try:
            return await asyncio.to_thread(lambda: self._connection.execute(query, values).fetchall())
        except sqlite3.Error as error:
            raise StoreError(f"the store {self.path} cannot be read: {error}") from error


def _marks(keys: Sequence[str]) -> str:
    return ", ".join("?" * len(keys))
