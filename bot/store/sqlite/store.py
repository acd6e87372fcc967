"""The store in one SQLite file: the ports `Store`, `Outbox`, `Archive` and `Backlog` of `triage.ports`."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import chain, count
from pathlib import Path
from typing import Any, Self

from bot.backoff import pause
from bot.clock import Clock
from bot.errors import StoreError, StoreReplaced, StoreUnusable
from bot.store.records.rows import (
    COLUMNS,
    find_changes,
    microseconds,
    moment,
    mutable_row,
    question_of,
    question_row,
    report_of,
    report_row,
)
from bot.store.sqlite.connection import Database
from bot.store.sqlite.head import beside
from bot.store.sqlite.opening import needs_upgrade, open_file, open_to_read, refusal_of
from bot.store.sqlite.past import Past
from bot.triage.asking_rules import row_key
from bot.triage.log_events import log_event
from bot.triage.model import Change, OutboxRow, Question, Work
from bot.triage.outcomes import Outcome
from bot.triage.reporting import REPORTS_APART
from bot.triage.statistics import AlertStatistics, Tally

log = logging.getLogger(__name__)

#: How often to look whether the store's files are in place.
LOOK_INTERVAL = timedelta(seconds=5)

_INSERT = (
    f"INSERT INTO question ({', '.join(COLUMNS)})"
    f" VALUES ({', '.join(f':{name}' for name in COLUMNS)}) ON CONFLICT (key) DO NOTHING"
)
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM question"
_INSERT_REPORT = (
    "INSERT INTO report (key, sequence, event_id, body, due_at, facts)"
    " VALUES (:key, :sequence, :event_id, :body, :due_at, :facts)"
)
# This process holds the file exclusively, so the worker that made these claims is dead: do not wait for it.
_END_LEASES = """UPDATE question SET due_at = in_doubt_since
    WHERE work = 'ask' AND due_at > in_doubt_since AND state = 'posting'"""
# Nor does anybody remember which strangers' questions waited in line: those are due, whether or not they were
# claimed before. One with a time zone that was never claimed waits for working hours.
_END_WAITS = """UPDATE question SET due_at = accepted_at WHERE work = 'ask' AND due_at > accepted_at
    AND attempts = 0 AND paced = 0 AND in_doubt_since IS NULL AND (state = 'posting' OR time_zone = '')"""
_NOT_AMONG = "key NOT IN (SELECT value FROM json_each(?))"
# The kind of work is part of the SQL: as a parameter it makes the query ten times slower (SQLite 3.40.1).
_WORK_DUE = {
    work: f"WHERE work = '{work}' AND due_at <= ? AND {_NOT_AMONG} ORDER BY due_at LIMIT ?"
    for work in Work
    if work is not Work.CARD
}
_CARDS_DUE = f"WHERE card_due_at <= ? AND {_NOT_AMONG} ORDER BY card_due_at LIMIT ?"
_OPEN_FOR = """WHERE slack_id = ? AND answered_at IS NULL AND state = 'asked'
    ORDER BY asked_at DESC LIMIT ?"""
_ANSWERED_BY = "WHERE slack_id = ? AND answered_at >= ? ORDER BY answered_at DESC LIMIT ?"
_ASKED_AS = "SELECT slack_id FROM question WHERE other_slack_id = ? AND other_slack_id <> '' LIMIT 1"
_OVERDUE = "WHERE deadline <= ? ORDER BY deadline LIMIT ?"
_NEXT_DUE = """SELECT min(moment) FROM (
    SELECT min(due_at) AS moment FROM question WHERE work = 'redraw' AND due_at > :after
    UNION ALL SELECT min(due_at) FROM question WHERE work = 'ask' AND due_at > :after
    UNION ALL SELECT min(due_at) FROM question WHERE work = 'remind' AND due_at > :after
    UNION ALL SELECT min(card_due_at) FROM question WHERE card_due_at > :after
    UNION ALL SELECT min(deadline) FROM question WHERE deadline > :after)"""
_ENDED = """SELECT key FROM question
    WHERE work = '' AND deadline IS NULL AND card_due_at IS NULL AND settled_at < :before
    AND NOT EXISTS (SELECT 1 FROM report WHERE report.key = question.key
    AND (report.sent_at IS NULL OR report.sent_at >= :before)) ORDER BY settled_at LIMIT :limit"""
_PROBE = "INSERT INTO probe VALUES (1, unixepoch()) ON CONFLICT (id) DO UPDATE SET at = excluded.at"
# A restored copy does not know what was asked after it was made, nor which deadlines have passed.
_RESTORED = (
    """UPDATE question SET deadline = :now + min(deadline - coalesce(asked_at, accepted_at),
        coalesce(:longest, deadline - coalesce(asked_at, accepted_at))) WHERE deadline IS NOT NULL""",
    "UPDATE question SET due_at = :now + due_at - coalesce(asked_at, accepted_at) WHERE work = 'remind'",
    """UPDATE question SET in_doubt_since = :now, due_at = :now, paced = 0
        WHERE state IN ('accepted', 'posting')""",
)

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

# All reports of an identifier are replayed, in order: one alone could overwrite what a later one has changed.
# A report held for MozDef stays held: sent sooner, it would be lost.
_REPLAY = """UPDATE report SET sent_at = NULL, parked_at = NULL, due_at = max(due_at, :now),
    replays = replays + 1 WHERE key = :key"""
_OLDEST_OPEN = "SELECT min(accepted_at) FROM question WHERE standing = ''"
_OLDEST_UNSENT = "SELECT min(due_at) FROM report WHERE sent_at IS NULL AND parked_at IS NULL"

#: All keys, in slices: they begin with hex digits of a hash, so the slices are about even. One query over a
#: million rows would delay every click by a second; a slice takes a few milliseconds.
_SLICES = [f"{number:02x}" for number in range(256)]

_ASKED = """SELECT alert, standing, first_answered_at - asked_at FROM question
    WHERE key >= :slice AND key < :slice || 'g' AND asked_at >= :since"""


class SqliteStore:
    """Questions and their reports in one file, locked for this process. See the ports for the methods.

    They raise `StoreError` if SQLite cannot read or write; then nothing of the change is saved.
    """

    def __init__(self, database: Database, *, path: Path, past: Past | None = None) -> None:
        self._database = database
        self._path = path
        self._past = past
        self._is_rescued = False

    @property
    def written_at(self) -> datetime | None:
        """When the store had last been written when it was opened; None if that is not known."""
        return self._past.row.written_at if self._past else None

    @property
    def head_trouble(self) -> str:
        """Why `NAME.head` could not be written; "" if it could."""
        return self._database.head_trouble

    @classmethod
    async def open(
        cls, path: Path, *, create: bool, restored: bool = False, clock: Clock | None = None
    ) -> Self:
        """Open the file: see `bot.store.open_store`. `StoreUnusable`, `StartRefused`, `StoreError`."""
        opened = await asyncio.to_thread(
            open_file, path, create=create, restored=restored, clock=clock or Clock()
        )
        opened.connection.row_factory = sqlite3.Row
        database = Database(opened.connection, opened.past, reopen=opened.reopen)
        store = cls(database, path=path, past=opened.past)
        try:
            await database.write(
                lambda connection: [connection.execute(each) for each in (_END_LEASES, _END_WAITS)]
            )
        except BaseException:
            await store.close()
            raise
        return store

    @classmethod
    async def open_to_read(cls, path: Path) -> Self:
        """Open the file for reading alone, also where it is not what it was; the log says so then."""

        def tell(doubt: str) -> None:
            log_event(log.warning, "store.doubted", "%s", refusal_of(path, doubt))

        if await asyncio.to_thread(needs_upgrade, path):
            return await cls.open(path, create=False)
        connection = await asyncio.to_thread(open_to_read, path, on_doubt=tell)
        connection.row_factory = sqlite3.Row
        return cls(Database(connection), path=path)

    async def confirm(self) -> bool:
        """See `OpenStore`. A file that is not what it was is not opened in the first place."""
        return True

    async def watch(self, stop: asyncio.Event, *, interval: timedelta = LOOK_INTERVAL) -> None:
        """See `OpenStore`. Looks every `interval`, and at once after a commit found that the file is gone."""
        while not stop.is_set():
            try:
                await self._database.look()
            except StoreReplaced as replaced:
                log_event(log.error, "store.replaced", "%s: nobody is told anything more", replaced)
                while not stop.is_set():  # if it stops, closing tries once more
                    await self._rescue()
                    await pause(stop, seconds=interval.total_seconds())
            except StoreError as error:
                log_event(log.error, "store.failed", "%s", error)
            await pause(stop, self._database.replaced, seconds=interval.total_seconds())

    async def _rescue(self) -> None:
        """Write all of the store into a file beside it; raise `StoreUnusable` once that is done."""
        path = _unused(beside(self._path, ".rescue"))
        try:
            await self._database.rescue(path)
        except StoreError as error:
            log_event(log.error, "store.unrescued", "%s", error)
            return
        self._is_rescued = True
        raise StoreUnusable(
            f"the store {self._path} was removed or replaced while the worker ran; all that it held is in"
            f" {path}: put that in its place, and start once with `triage-bot run --restored`"
        )

    async def close(self) -> None:
        """Finish the submitted work, then close and unlock the file. `StoreUnusable` as `watch` raises it."""
        try:
            if self._past and not self._is_rescued:
                await self._database.look()
        except StoreReplaced:
            await self._rescue()
        except StoreError:
            pass  # closed already, or about to fail in the same way
        finally:
            await self._database.close()

    async def add(self, changes: Sequence[Change]) -> Sequence[bool | StoreError]:
        try:
            return await self._database.write(lambda connection: [_add(connection, each) for each in changes])
        except (StoreError, ValueError):
            return await asyncio.gather(*(self._add_alone(change) for change in changes))

    async def save(self, change: Change) -> bool:
        return await self._database.write(lambda connection: _save(connection, change))

    async def load(self, ref: str) -> Question | None:
        key, _, _ = ref.partition(".")
        question = await self._read_question(key)
        return question if question and hmac.compare_digest(question.ref.encode(), ref.encode()) else None

    async def find(self, identifier: str) -> Question | None:
        return await self._read_question(row_key(identifier))

    async def due(
        self, work: Work, now: datetime, *, limit: int, exclude: frozenset[str] = frozenset()
    ) -> Sequence[Question]:
        # SQLite itself leaves out `exclude`: every row it returns costs time, and makes the threads contend.
        condition = _CARDS_DUE if work is Work.CARD else _WORK_DUE[work]
        return await self._read_questions(condition, (microseconds(now), _keys_of(exclude), limit))

    async def overdue(self, now: datetime, *, limit: int) -> Sequence[Question]:
        return await self._read_questions(_OVERDUE, (microseconds(now), limit))

    async def next_due(self, after: datetime) -> datetime | None:
        return await self._read_moment(_NEXT_DUE, {"after": microseconds(after)})

    async def open_for(self, slack_id: str, *, limit: int) -> Sequence[Question]:
        return await self._read_questions(_OPEN_FOR, (slack_id, limit))

    async def asked_as(self, other_slack_id: str) -> str:
        rows = await self._read(_ASKED_AS, (other_slack_id,))
        return str(rows[0][0]) if rows else ""

    async def answered_by(self, slack_id: str, since: datetime, *, limit: int) -> Sequence[Question]:
        return await self._read_questions(_ANSWERED_BY, (slack_id, microseconds(since), limit))

    async def probe(self) -> None:
        await self._database.write(lambda connection: connection.execute(_PROBE))

    async def remove_ended(self, before: datetime, *, limit: int) -> int:
        values = {"before": microseconds(before), "limit": limit}
        return await self._database.write(lambda connection: _remove_ended(connection, values))

    async def reset_after_restore(self, now: datetime, *, longest: timedelta | None = None) -> None:
        values = {"now": microseconds(now), "longest": longest and longest // timedelta(microseconds=1)}

        def restore(connection: sqlite3.Connection) -> None:
            for each in _RESTORED:
                connection.execute(each, values)
            if self._past:
                self._past.restore(connection, now)

        await self._database.write(restore)

    async def copy_to(self, path: Path) -> None:
        """Write a consistent copy to a new file without blocking other work. `StoreError` if that fails."""
        await self._database.copy_to(path)

    async def list_questions(self, *, limit: int) -> Sequence[Question]:
        return await self._read_questions("ORDER BY accepted_at DESC LIMIT ?", (limit,))

    async def sendable(self, now: datetime, *, limit: int) -> Sequence[OutboxRow]:
        return await self._read_reports(_SENDABLE, {**_time_values(now), "limit": limit})

    async def next_sendable(self, now: datetime) -> datetime | None:
        return await self._read_moment(_NEXT_SENDABLE, _time_values(now))

    async def mark_sent(self, rows: Sequence[OutboxRow], at: datetime) -> None:
        await self._mark("sent_at", rows, at)

    async def mark_parked(self, rows: Sequence[OutboxRow], at: datetime) -> None:
        await self._mark("parked_at", rows, at)

    async def reports_of(self, identifier: str) -> Sequence[OutboxRow]:
        return await self._read_reports(f"{_REPORTS} WHERE key = ? ORDER BY sequence", (row_key(identifier),))

    async def identifiers_sent_since(self, since: datetime) -> Sequence[str]:
        return await self._read_identifiers("report.sent_at >= ?", microseconds(since))

    async def identifiers_unsent(self) -> Sequence[str]:
        return await self._read_identifiers("report.sent_at IS NULL")

    async def replay(self, identifiers: Sequence[str], now: datetime) -> None:
        values = [{"key": row_key(identifier), "now": microseconds(now)} for identifier in identifiers]
        await self._database.write(lambda connection: connection.executemany(_REPLAY, values))

    async def oldest_open(self) -> datetime | None:
        return await self._read_moment(_OLDEST_OPEN)

    async def oldest_unsent(self) -> datetime | None:
        return await self._read_moment(_OLDEST_UNSENT)

    async def statistics(self, since: datetime) -> Sequence[AlertStatistics]:
        tally = Tally()
        for each in _SLICES:
            values = {"slice": each, "since": microseconds(since)}
            for alert, standing, taken in await self._read(_ASKED, values):
                tally.add(
                    alert,
                    standing=Outcome(standing) if standing else None,
                    answer_time=None if taken is None else timedelta(microseconds=taken),
                )
        return tally.result()

    async def _add_alone(self, change: Change) -> bool | StoreError:
        try:
            return await self._database.write(lambda connection: _add(connection, change))
        except StoreError as error:
            return error
        except ValueError as error:
            return StoreError(f"the store cannot hold this request: {error}")

    async def _read_question(self, key: str) -> Question | None:
        found = await self._read_questions("WHERE key = ?", (key,))
        return found[0] if found else None

    async def _read_questions(self, condition: str, values: tuple[Any, ...]) -> list[Question]:
        rows = await self._read(f"{_SELECT} {condition}", values)
        # As dicts: sqlite3.Row searches its column names for each value.
        return [question_of(dict(zip(COLUMNS, row, strict=True))) for row in rows]

    async def _read_identifiers(self, condition: str, *values: Any) -> list[str]:
        query = f"""SELECT DISTINCT question.identifier FROM report JOIN question USING (key)
            WHERE {condition} ORDER BY question.accepted_at"""
        return [str(row[0]) for row in await self._read(query, values)]

    async def _read_reports(self, query: str, values: Any) -> list[OutboxRow]:
        return [report_of(row) for row in await self._read(query, values)]

    async def _mark(self, column: str, rows: Sequence[OutboxRow], at: datetime) -> None:
        values = [(microseconds(at), row_key(row.identifier), row.sequence) for row in rows]
        statement = f"UPDATE report SET {column} = ? WHERE key = ? AND sequence = ?"
        await self._database.write(lambda connection: connection.executemany(statement, values))

    async def _read_moment(self, query: str, values: Any = ()) -> datetime | None:
        [[stored]] = await self._read(query, values)
        return moment(stored)

    async def _read(self, query: str, values: Any) -> list[Any]:
        return await self._database.read(lambda connection: connection.execute(query, values).fetchall())


def _unused(path: Path) -> Path:
    """Return this path, or one with a number behind it that nothing has: an earlier rescue stays."""
    candidates = chain([path], (path.with_name(f"{path.name}.{number}") for number in count(2)))
    return next(each for each in candidates if not each.exists())


def _add(connection: sqlite3.Connection, change: Change) -> bool:
    is_new = connection.execute(_INSERT, question_row(change.question)).rowcount == 1
    if is_new and change.report:
        connection.execute(_INSERT_REPORT, report_row(change, change.report))
    return is_new


@lru_cache(maxsize=1)  # the sweeper asks for each kind of work with the same refs
def _keys_of(refs: frozenset[str]) -> str:
    return json.dumps([ref.partition(".")[0] for ref in refs])


@lru_cache(maxsize=64)
def _update(columns: tuple[str, ...]) -> str:
    """Return the statement that writes only these columns, so that other columns' indexes cost nothing."""
    written = ", ".join(f"{name} = ?" for name in columns)
    return f"UPDATE question SET {written} WHERE key = ? AND secret = ? AND version = ?"


def _save(connection: sqlite3.Connection, change: Change) -> bool:
    question, before = change.question, change.before
    row = find_changes(before, question) if before else mutable_row(question)
    key, _, secret = question.ref.partition(".")
    values = (*row.values(), key, secret, question.version - 1)
    was_first = connection.execute(_update(tuple(row)), values).rowcount == 1
    if was_first and change.report:
        connection.execute(_INSERT_REPORT, report_row(change, change.report))
    return was_first


def _remove_ended(connection: sqlite3.Connection, values: dict[str, Any]) -> int:
    keys = [(row["key"],) for row in connection.execute(_ENDED, values)]
    connection.executemany("DELETE FROM report WHERE key = ?", keys)
    connection.executemany("DELETE FROM question WHERE key = ?", keys)
    return len(keys)


def _time_values(now: datetime) -> dict[str, int | None]:
    return {"now": microseconds(now), "apart": microseconds(now - REPORTS_APART)}
