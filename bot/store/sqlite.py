"""The store in one SQLite file: the ports `Store`, `Outbox` and `Archive` of `triage.ports`."""

from __future__ import annotations

import asyncio
import hmac
import sqlite3
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from bot.errors import StoreError
from bot.store.database import Database, connect
from bot.store.rows import (
    FIXED,
    MUTABLE,
    microseconds,
    moment,
    question_of,
    question_row,
    report_of,
    report_row,
)
from bot.triage.rules import row_key

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from bot.triage.model import Change, OutboxRow, Question

#: Two reports of one identifier are at least this far apart: standard queues do not keep order.
REPORTS_APART = timedelta(seconds=5)

_INSERT = (
    f"INSERT INTO question ({', '.join(FIXED + MUTABLE)})"
    f" VALUES ({', '.join(f':{name}' for name in FIXED + MUTABLE)}) ON CONFLICT (key) DO NOTHING"
)
_UPDATE = (
    f"UPDATE question SET {', '.join(f'{name} = :{name}' for name in MUTABLE)}"
    " WHERE key = :key AND secret = :secret AND version = :version - 1"
)
_INSERT_REPORT = (
    "INSERT INTO report (key, sequence, event_id, body, due_at)"
    " VALUES (:key, :sequence, :event_id, :body, :due_at)"
)
# This process holds the file alone, so whoever claimed these is dead: nobody needs to wait for them.
_END_LEASES = """UPDATE question SET due_at = in_doubt_since
    WHERE due_at > in_doubt_since AND state = 'posting'"""
_REPORTS = "SELECT report.*, question.identifier FROM report JOIN question USING (key)"
_UNSENT = "report.sent_at IS NULL AND report.parked_at IS NULL"
_SENDABLE = f"""{_REPORTS} WHERE {_UNSENT} AND report.due_at <= :now AND NOT EXISTS (
    SELECT 1 FROM report AS earlier WHERE earlier.key = report.key AND earlier.sequence < report.sequence
    AND (earlier.sent_at > :apart OR (earlier.sent_at IS NULL AND earlier.parked_at IS NULL)))
    ORDER BY report.due_at LIMIT :limit"""
_NEXT_SENDABLE = f"""SELECT min(moment) FROM (
    SELECT min(due_at) AS moment FROM report WHERE {_UNSENT} AND due_at > :now
    UNION ALL
    SELECT max(earlier.sent_at) - :apart + :now AS moment FROM report JOIN report AS earlier
    ON earlier.key = report.key AND earlier.sequence < report.sequence
    WHERE {_UNSENT} AND report.due_at <= :now AND earlier.sent_at > :apart
    GROUP BY report.key, report.sequence)"""


class SqliteStore:
    """Questions and reports in one file that this process holds alone."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    async def open(cls, path: Path, *, create: bool) -> Self:
        """Open as `bot.store.open_store` says."""
        connection = await asyncio.to_thread(_open, path, create=create)
        return cls(Database(connection))

    async def close(self) -> None:
        """Finish what was submitted, and let go of the file."""
        await self._database.close()

    async def add(self, changes: Sequence[Change]) -> Sequence[bool | StoreError]:
        """See `triage.ports.Store`."""
        try:
            return await self._database.write(lambda connection: [_add(connection, each) for each in changes])
        except (StoreError, ValueError):
            return await asyncio.gather(*(self._add_alone(change) for change in changes))

    async def save(self, change: Change) -> bool:
        """See `triage.ports.Store`."""
        return await self._database.write(lambda connection: _save(connection, change))

    async def load(self, ref: str) -> Question | None:
        """See `triage.ports.Store`."""
        key, _, _ = ref.partition(".")
        question = await self._question_by_key(key)
        return question if question and hmac.compare_digest(question.ref.encode(), ref.encode()) else None

    async def find(self, identifier: str) -> Question | None:
        """See `triage.ports.Store`."""
        return await self._question_by_key(row_key(identifier))

    async def due(self, now: datetime, *, limit: int) -> Sequence[Question]:
        """See `triage.ports.Store`."""
        return await self._questions("WHERE due_at <= ? ORDER BY due_at LIMIT ?", (microseconds(now), limit))

    async def next_due(self, after: datetime) -> datetime | None:
        """See `triage.ports.Store`."""
        return await self._moment("SELECT min(due_at) FROM question WHERE due_at > ?", (microseconds(after),))

    async def list_questions(self, *, limit: int) -> Sequence[Question]:
        """See `triage.ports.Archive`."""
        return await self._questions("ORDER BY accepted_at DESC LIMIT ?", (limit,))

    async def reports_of(self, identifier: str) -> Sequence[OutboxRow]:
        """See `triage.ports.Archive`."""
        return await self._reports(f"{_REPORTS} WHERE key = ? ORDER BY sequence", (row_key(identifier),))

    async def sendable(self, now: datetime, *, limit: int) -> Sequence[OutboxRow]:
        """See `triage.ports.Outbox`."""
        return await self._reports(_SENDABLE, {**_around(now), "limit": limit})

    async def next_sendable(self, now: datetime) -> datetime | None:
        """See `triage.ports.Outbox`."""
        return await self._moment(_NEXT_SENDABLE, _around(now))

    async def mark_sent(self, rows: Sequence[OutboxRow], at: datetime) -> None:
        """See `triage.ports.Outbox`."""
        await self._mark("sent_at", rows, at)

    async def mark_parked(self, rows: Sequence[OutboxRow], at: datetime) -> None:
        """See `triage.ports.Outbox`."""
        await self._mark("parked_at", rows, at)

    async def _add_alone(self, change: Change) -> bool | StoreError:
        try:
            return await self._database.write(lambda connection: _add(connection, change))
        except StoreError as error:
            return error
        except ValueError as error:
            return StoreError(f"the store cannot hold this request: {error}")

    async def _question_by_key(self, key: str) -> Question | None:
        found = await self._questions("WHERE key = ?", (key,))
        return found[0] if found else None

    async def _questions(self, condition: str, values: tuple[Any, ...]) -> list[Question]:
        rows = await self._database.read(
            lambda connection: connection.execute(f"SELECT * FROM question {condition}", values).fetchall()
        )
        return [question_of(row) for row in rows]

    async def _reports(self, query: str, values: Any) -> list[OutboxRow]:
        rows = await self._database.read(lambda connection: connection.execute(query, values).fetchall())
        return [report_of(row) for row in rows]

    async def _moment(self, query: str, values: Any) -> datetime | None:
        row = await self._database.read(lambda connection: connection.execute(query, values).fetchone())
        return moment(row[0])

    async def _mark(self, column: str, rows: Sequence[OutboxRow], at: datetime) -> None:
        values = [(microseconds(at), row_key(row.identifier), row.sequence) for row in rows]
        statement = f"UPDATE report SET {column} = ? WHERE key = ? AND sequence = ?"
        await self._database.write(lambda connection: connection.executemany(statement, values))


def _open(path: Path, *, create: bool) -> sqlite3.Connection:
    connection = connect(path, create=create)
    connection.row_factory = sqlite3.Row
    connection.execute(_END_LEASES)
    return connection


def _add(connection: sqlite3.Connection, change: Change) -> bool:
    with closing(connection.execute(_INSERT, question_row(change.question))) as cursor:
        is_new = cursor.rowcount == 1
    if is_new and change.report:
        connection.execute(_INSERT_REPORT, report_row(change, change.report))
    return is_new


def _save(connection: sqlite3.Connection, change: Change) -> bool:
    with closing(connection.execute(_UPDATE, question_row(change.question))) as cursor:
        was_first = cursor.rowcount == 1
    if was_first and change.report:
        connection.execute(_INSERT_REPORT, report_row(change, change.report))
    return was_first


def _around(now: datetime) -> dict[str, int | None]:
    return {"now": microseconds(now), "apart": microseconds(now - REPORTS_APART)}
