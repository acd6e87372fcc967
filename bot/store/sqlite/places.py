"""The places of people's open questions in the file: the port `PlaceRecord` of `triage.ports`."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from bot.store.records.damage import skip_damaged
from bot.store.records.place_rows import places_of, places_row
from bot.store.records.rows import microseconds
from bot.store.sqlite import statements as sql
from bot.store.sqlite.connection import Database
from bot.store.sqlite.trails import question_from
from bot.triage import restore_rules
from bot.triage.model import Question
from bot.triage.places import Places, WaitingCount


class PlaceTable:
    """The part of the store that is about places; see the port for the methods."""

    _database: Database

    async def find_places(self, person: str) -> Places | None:
        """See the port."""
        rows = await self._database.read(lambda each: each.execute(sql.PLACES, (person,)).fetchall())
        return next((places_of(row) for row in rows), None)

    async def save_places(self, places: Places) -> bool:
        """See the port."""
        return await self._database.write(lambda connection: write_places(connection, places))

    async def due_places(self, now: datetime, *, limit: int) -> Sequence[Places]:
        """See the port."""
        values = (microseconds(now), limit)
        rows = await self._database.read(lambda each: each.execute(sql.PLACES_DUE, values).fetchall())
        return skip_damaged(places_of, rows)

    async def first_waiting(self, person: str) -> Sequence[Question]:
        """See the port."""
        return await self._database.read(lambda connection: _first_waiting(connection, person))

    async def count_waiting(self, person: str, *, limit: int) -> WaitingCount:
        """See the port."""
        return await self._database.read(lambda connection: _count_waiting(connection, person, limit))


def write_places(connection: sqlite3.Connection, places: Places) -> bool:
    """Replace a row if the stored version is the one before; return whether it was."""
    statement = sql.INSERT_PLACES if places.version == 1 else sql.UPDATE_PLACES
    return connection.execute(statement, places_row(places)).rowcount == 1


def put_lines_in_doubt(connection: sqlite3.Connection, now: datetime) -> None:
    """Mark each burst's line that a restored backup had not posted as in doubt: it is looked up first."""
    for places in skip_damaged(places_of, connection.execute(sql.PLACES_WITH_BURST).fetchall()):
        doubted = restore_rules.put_line_in_doubt(places, now)
        if doubted is not None:
            write_places(connection, doubted)


def _first_waiting(connection: sqlite3.Connection, person: str) -> list[Question]:
    """Return the oldest of each label: one seek in the index for each, however many wait."""
    found: list[Question] = []
    label = ""
    while rows := connection.execute(f"{sql.SELECT} {sql.NEXT_LABEL}", (person, label)).fetchall():
        found += skip_damaged(question_from, rows)
        label = rows[0]["alert"]
    return found


def _count_waiting(connection: sqlite3.Connection, person: str, limit: int) -> WaitingCount:
    kinds = {row[0]: row[1] for row in connection.execute(sql.WAITING_KINDS, (person,))}
    first = [row[0] for row in connection.execute(sql.WAITING_FIRST, (person, limit))]
    return WaitingCount(kinds=kinds, first=first)
