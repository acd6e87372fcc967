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
from bot.store.records.place_rows import places_of
from bot.store.records.rows import (
    ADDED,
    LATER,
    attempt_of,
    events_of,
    inquiry_of,
    question_of,
    report_of,
    restore_of,
)
from bot.store.sqlite.opening import open_to_read
from bot.triage.factor import Attempt
from bot.triage.inquiry import Inquiry
from bot.triage.model import FoundQuestion, OutboxRow, Restore
from bot.triage.places import Places

#: What somebody was last asked to prove; the window of a restore; or a question that was found, or whose
#: conversation was read, and when, in microseconds since 1970.
OtherRow = Attempt | Places | Restore | tuple[FoundQuestion | str, int]

#: Alerts in memory at a time.
PAGE = 100

_PAGE = "SELECT * FROM question WHERE key > ? ORDER BY key LIMIT ?"
_AMONG = "SELECT * FROM question WHERE key IN ({marks})"
_REPORTS = """SELECT report.*, question.identifier FROM report JOIN question USING (key)
    WHERE key IN ({marks}) ORDER BY key, sequence"""
_EVENTS = "SELECT * FROM event WHERE key IN ({marks}) ORDER BY key, version"
_INQUIRIES = "SELECT * FROM inquiry WHERE key IN ({marks}) ORDER BY key, number"
_TABLES = "SELECT name FROM sqlite_master"


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

    async def others(self) -> Sequence[OtherRow]:
        """Return what the store holds besides its alerts: of its last restore, and of proofs."""
        tables = await self._list_tables()
        if "restore" not in tables:  # a file of an earlier release
            return []
        attempts = await self._read("SELECT * FROM attempt") if "attempt" in tables else ()
        places = await self._read("SELECT * FROM places") if "places" in tables else ()
        windows = await self._read("SELECT since, until FROM restore")
        read = await self._read("SELECT slack_id, read_at FROM conversation")
        found = await self._read("SELECT facts, found_at FROM found_question")
        return [
            *(attempt_of(dict(row)) for row in attempts),
            *(places_of(dict(row)) for row in places),
            *(restore_of(row["since"], row["until"]) for row in windows),
            *((found_from(row["facts"]), row["found_at"]) for row in found),
            *((row["slack_id"], row["read_at"]) for row in read),
        ]

    async def _make_alerts(self, rows: Sequence[sqlite3.Row]) -> Sequence[Alert]:
        # A file of an earlier release is only read, not upgraded: it lacks columns, and tables.
        keys, tables = [row["key"] for row in rows], await self._list_tables()
        reports: dict[str, list[OutboxRow]] = {key: [] for key in keys}
        for row in await self._read(_REPORTS.format(marks=_marks(keys)), *keys):
            reports[row["key"]].append(report_of({"facts": "", **dict(row)}))
        events: dict[str, list[Mapping[str, Any]]] = {key: [] for key in keys}
        for row in await self._read(_EVENTS.format(marks=_marks(keys)), *keys) if "event" in tables else ():
            events[row["key"]].append(dict(row))
        inquiries: dict[str, list[Inquiry]] = {key: [] for key in keys}
        asked = _INQUIRIES.format(marks=_marks(keys))
        for row in await self._read(asked, *keys) if "inquiry" in tables else ():
            inquiries[row["key"]].append(inquiry_of(dict(row)))
        return [
            Alert(
                question=question_of({**ADDED, **LATER, **dict(row)}),
                reports=reports[row["key"]],
                events=events_of(row["identifier"], events[row["key"]]),
                inquiries=inquiries[row["key"]],
            )
            for row in rows
        ]

    async def _list_tables(self) -> set[str]:
        return {row["name"] for row in await self._read(_TABLES)}

    async def _read(self, query: str, *values: Any) -> list[sqlite3.Row]:
        try:
            return await asyncio.to_thread(lambda: self._connection.execute(query, values).fetchall())
        except sqlite3.Error as error:
            raise StoreError(f"the store {self.path} cannot be read: {error}") from error


def _marks(keys: Sequence[str]) -> str:
    return ", ".join("?" * len(keys))
