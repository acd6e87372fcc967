"""The outbox in SQLite: the port `Outbox` of `triage.ports`, and what `replay` asks of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.store.records.rows import microseconds, moment, report_of
from bot.triage.asking_rules import row_key
from bot.triage.reporting import REPORTS_APART

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from bot.store.sqlite.connection import Database
    from bot.triage.model import OutboxRow

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
    GROUP BY +report.key, report.sequence)"""

# All reports of an identifier go again, in order: one alone might set what a later one has changed.
# One that is held for MozDef stays held: sent sooner, it would be lost.
_REPLAY = """UPDATE report SET sent_at = NULL, parked_at = NULL, due_at = max(due_at, :now),
    replays = replays + 1 WHERE key = :key"""


class SqliteOutbox:
    """Reports, in the file that `SqliteStore` holds."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def sendable(self, now: datetime, *, limit: int) -> Sequence[OutboxRow]:
        """See `triage.ports.Outbox`."""
        return await self._reports(_SENDABLE, {**_around(now), "limit": limit})

    async def next_sendable(self, now: datetime) -> datetime | None:
        """See `triage.ports.Outbox`."""
        row = await self._database.read(
            lambda connection: connection.execute(_NEXT_SENDABLE, _around(now)).fetchone()
        )
        return moment(row[0])

    async def mark_sent(self, rows: Sequence[OutboxRow], at: datetime) -> None:
        """See `triage.ports.Outbox`."""
        await self._mark("sent_at", rows, at)

    async def mark_parked(self, rows: Sequence[OutboxRow], at: datetime) -> None:
        """See `triage.ports.Outbox`."""
        await self._mark("parked_at", rows, at)

    async def reports_of(self, identifier: str) -> Sequence[OutboxRow]:
        """See `triage.ports.Archive`."""
        return await self._reports(f"{_REPORTS} WHERE key = ? ORDER BY sequence", (row_key(identifier),))

    async def identifiers_sent_since(self, since: datetime) -> Sequence[str]:
        """See `triage.ports.Archive`."""
        return await self._identifiers("report.sent_at >= ?", microseconds(since))

    async def identifiers_unsent(self) -> Sequence[str]:
        """See `triage.ports.Archive`."""
        return await self._identifiers("report.sent_at IS NULL")

    async def replay(self, identifiers: Sequence[str], now: datetime) -> None:
        """See `triage.ports.Archive`."""
        values = [{"key": row_key(identifier), "now": microseconds(now)} for identifier in identifiers]
        await self._database.write(lambda connection: connection.executemany(_REPLAY, values))

    async def _identifiers(self, condition: str, *values: Any) -> list[str]:
        query = f"""SELECT DISTINCT question.identifier FROM report JOIN question USING (key)
            WHERE {condition} ORDER BY question.accepted_at"""
        rows = await self._database.read(lambda connection: connection.execute(query, values).fetchall())
        return [str(row[0]) for row in rows]

    async def _reports(self, query: str, values: Any) -> list[OutboxRow]:
        rows = await self._database.read(lambda connection: connection.execute(query, values).fetchall())
        return [report_of(row) for row in rows]

    async def _mark(self, column: str, rows: Sequence[OutboxRow], at: datetime) -> None:
        values = [(microseconds(at), row_key(row.identifier), row.sequence) for row in rows]
        statement = f"UPDATE report SET {column} = ? WHERE key = ? AND sequence = ?"
        await self._database.write(lambda connection: connection.executemany(statement, values))


def _around(now: datetime) -> dict[str, int | None]:
    return {"now": microseconds(now), "apart": microseconds(now - REPORTS_APART)}
