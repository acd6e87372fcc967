"""The store in one SQLite file: the ports `Store`, `Outbox`, `Archive` and `Backlog` of `triage.ports`."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import lru_cache, partial
from itertools import chain, count
from operator import itemgetter
from pathlib import Path
from typing import Any, Self

from bot.backoff import pause, pause_to_beat
from bot.clock import Clock
from bot.errors import StoreError, StoreReplaced, StoreUnusable
from bot.store.records.damage import skip_damaged
from bot.store.records.found import found_facts
from bot.store.records.rows import (
    COLUMNS,
    attempt_of,
    attempt_row,
    event_row,
    find_changes,
    inquiry_of,
    inquiry_row,
    microseconds,
    moment,
    mutable_row,
    question_row,
    report_of,
    report_row,
)
from bot.store.sqlite import statements as sql
from bot.store.sqlite.connection import Database
from bot.store.sqlite.head import beside
from bot.store.sqlite.opening import needs_upgrade, open_file, open_to_read, refusal_of
from bot.store.sqlite.past import Past
from bot.store.sqlite.places import PlaceTable, put_lines_in_doubt, write_places
from bot.store.sqlite.small_rows import answer_of, conversation_of, found_of, restore_of
from bot.store.sqlite.trails import append_event, question_from, replay, trails_under
from bot.triage import restore_rules
from bot.triage.asking_rules import row_key
from bot.triage.event_kinds import EventKind
from bot.triage.factor import Attempt, attempt_key
from bot.triage.inquiry import Inquiry
from bot.triage.listing import EVERYTHING, Counts, Filter
from bot.triage.log_events import log_event
from bot.triage.model import RESTORE_SETTLES, Change, FoundQuestion, OutboxRow, Question, Restore, Trail, Work
from bot.triage.ports import SelectReport, select_all
from bot.triage.reporting import REPORTS_APART
from bot.triage.statistics import AlertStatistics, Tally

log = logging.getLogger(__name__)

#: How often to look whether the store's files are in place.
LOOK_INTERVAL = timedelta(seconds=5)

_values_of = itemgetter(*COLUMNS)

#: Alerts whose trails are read at a time, or whose reports are replayed: a few milliseconds.
_AT_A_TIME = 50


class SqliteStore(PlaceTable):
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
            await database.write(lambda connection: [connection.execute(each) for each in sql.OPENED])
        except BaseException:
            await store.close()
            raise
        return store

    @classmethod
    async def open_to_read(cls, path: Path) -> Self:
        """Open the file for reading alone, also where it is not what it was; the log says so then."""

        def tell(mismatch: str) -> None:
            log_event(log.warning, "store.mismatched", "%s", refusal_of(path, mismatch))

        if await asyncio.to_thread(needs_upgrade, path):
            return await cls.open(path, create=False)
        connection = await asyncio.to_thread(open_to_read, path, on_mismatch=tell)
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
            await pause_to_beat(stop, self._database.replaced, every=interval)

    async def _rescue(self) -> None:
        """Write all of the store into a file next to it; raise `StoreUnusable` once that is done."""
        path = _unused(beside(self._path, ".rescue"))
        try:
            await self._database.rescue(path)
        except StoreError as error:
            log_event(log.error, "store.rescue_failed", "%s", error)
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

    async def find_attempt(self, subject: str) -> Attempt | None:
        rows = await self._read(sql.ATTEMPT, (attempt_key(subject),))
        return next((attempt_of(row) for row in rows), None)

    async def save_attempt(self, attempt: Attempt) -> bool:
        return await self._database.write(lambda connection: _save_attempt(connection, attempt))

    async def due_attempts(self, now: datetime, *, limit: int) -> Sequence[Attempt]:
        return skip_damaged(attempt_of, await self._read(sql.ATTEMPTS_DUE, (microseconds(now), limit)))

    async def inquiries_of(self, ref: str) -> Sequence[Inquiry]:
        return [inquiry_of(row) for row in await self._read(sql.INQUIRIES, (ref.partition(".")[0],))]

    async def save_inquiry(self, inquiry: Inquiry) -> bool:
        return await self._database.write(lambda connection: _save_inquiry(connection, inquiry))

    async def due_inquiries(self, now: datetime, *, limit: int) -> Sequence[Inquiry]:
        return skip_damaged(inquiry_of, await self._read(sql.INQUIRIES_DUE, (microseconds(now), limit)))

    async def load(self, ref: str) -> Question | None:
        key, _, _ = ref.partition(".")
        question = await self._read_question(key)
        return question if question and hmac.compare_digest(question.ref.encode(), ref.encode()) else None

    async def load_by_key(self, key: str) -> Question | None:
        return await self._read_question(key)

    async def find(self, identifier: str) -> Question | None:
        return await self._read_question(row_key(identifier))

    async def due(
        self, work: Work, now: datetime, *, limit: int, exclude: frozenset[str] = frozenset()
    ) -> Sequence[Question]:
        # SQLite itself leaves out `exclude`: every row it returns costs time, and makes the threads contend.
        condition = sql.CARDS_DUE if work is Work.CARD else sql.WORK_DUE[work]
        return await self._read_questions(condition, (microseconds(now), _keys_of(exclude), limit))

    async def overdue(self, now: datetime, *, limit: int) -> Sequence[Question]:
        return await self._read_questions(sql.OVERDUE, (microseconds(now), limit))

    async def next_due(self, after: datetime) -> datetime | None:
        return await self._read_moment(sql.NEXT_DUE, {"after": microseconds(after)})

    async def open_for(self, slack_id: str, *, limit: int) -> Sequence[Question]:
        return await self._read_questions(sql.OPEN_FOR, (slack_id, limit))

    async def asked_as(self, other_slack_id: str) -> str:
        rows = await self._read(sql.ASKED_AS, (other_slack_id,))
        return str(rows[0][0]) if rows else ""

    async def answered_by(self, slack_id: str, since: datetime, *, limit: int) -> Sequence[Question]:
        return await self._read_questions(sql.ANSWERED_BY, (slack_id, microseconds(since), limit))

    async def taken_by(self, slack_id: str, *, limit: int) -> Sequence[Question]:
        return await self._read_questions(sql.TAKEN_BY, (slack_id, limit))

    async def probe(self) -> None:
        await self._database.write(lambda connection: connection.execute(sql.PROBE))

    async def remove_ended(self, before: datetime, *, limit: int) -> int:
        values = {"before": microseconds(before), "limit": limit}
        return await self._database.write(lambda connection: _remove_ended(connection, values))

    async def reset_after_restore(
        self, now: datetime, *, longest: timedelta | None = None, since: datetime | None = None
    ) -> None:
        window = restore_rules.restore_window(await self.restored(), since, now)
        values = {
            "now": microseconds(now),
            "longest": longest and longest // timedelta(microseconds=1),
            "settled_at": microseconds(now + RESTORE_SETTLES),
            "since": microseconds(window.since),
            "until": microseconds(window.until),
        }

        def restore(connection: sqlite3.Connection) -> None:
            for each in (sql.KEEP_RESTORE, *sql.RESTORED):
                connection.execute(each, values)
            put_lines_in_doubt(connection, now)
            if self._past:
                self._past.restore(connection, now)

        await self._database.write(restore)

    async def restored(self) -> Restore | None:
        rows = await self._read("SELECT since, until FROM restore", ())
        return next((restore_of(row) for row in rows), None)

    async def conversation_read_at(self, slack_id: str) -> datetime | None:
        rows = await self._read("SELECT read_at FROM conversation WHERE slack_id = ?", (slack_id,))
        return next((conversation_of(row) for row in rows), None)

    async def keep_conversation(self, slack_id: str, found: Sequence[FoundQuestion], at: datetime) -> None:
        rows = [(each.ref.partition(".")[0], found_facts(each), microseconds(at)) for each in found]

        def keep(connection: sqlite3.Connection) -> None:
            connection.executemany(sql.KEEP_FOUND, rows)
            connection.execute(sql.KEEP_CONVERSATION, (slack_id, microseconds(at)))

        await self._database.write(keep)

    async def found_question(self, key: str) -> FoundQuestion | None:
        rows = await self._read("SELECT facts FROM found_question WHERE key = ?", (key,))
        return next((found_of(row) for row in rows), None)

    async def copy_to(self, path: Path) -> None:
        """Write a consistent copy to a new file without blocking other work. `StoreError` if that fails."""
        await self._database.copy_to(path)

    async def list_questions(self, *, limit: int, only: Filter = EVERYTHING) -> Sequence[Question]:
        found: list[Question] = []
        before = sql.LAST
        while before > sql.FIRST and len(found) < limit:
            step = partial(_list_step, only=only, before=before, limit=limit - len(found))
            questions, before = await self._database.read(step)
            found += questions
        return found

    async def sendable(self, now: datetime, *, limit: int) -> Sequence[OutboxRow]:
        return await self._read_reports(sql.SENDABLE, {**_time_values(now), "limit": limit})

    async def next_sendable(self, now: datetime) -> datetime | None:
        return await self._read_moment(sql.NEXT_SENDABLE, _time_values(now))

    async def mark_sent(self, rows: Sequence[OutboxRow], at: datetime) -> None:
        await self._mark("sent_at", rows, at, EventKind.SENT)

    async def mark_parked(self, rows: Sequence[OutboxRow], at: datetime) -> None:
        await self._mark("parked_at", rows, at, EventKind.PARKED)

    async def reports_of(self, identifier: str) -> Sequence[OutboxRow]:
        return await self._read_reports(sql.REPORTS_OF, (row_key(identifier),))

    async def identifiers_sent_since(self, since: datetime) -> Sequence[str]:
        values = {"since": microseconds(since)}
        found = [await self._read(sql.SENT_SINCE, {**values, "slice": each}) for each in sql.SLICES]
        return [str(row["identifier"]) for row in sorted(chain(*found), key=itemgetter("accepted_at"))]

    async def identifiers_unsent(self) -> Sequence[str]:
        return [str(row["identifier"]) for row in await self._read(sql.WITH_UNSENT, ())]

    async def replay(
        self, identifiers: Sequence[str], now: datetime, *, select: SelectReport = select_all
    ) -> None:
        for start in range(0, len(identifiers), _AT_A_TIME):
            keys = [row_key(identifier) for identifier in identifiers[start : start + _AT_A_TIME]]
            await self._database.write(partial(replay, keys=keys, now=now, select=select))

    async def trail_of(self, identifier: str) -> Trail | None:
        trails = await self._read_trails([row_key(identifier)])
        return trails[0] if trails else None

    async def trails(self, since: datetime, until: datetime) -> AsyncIterator[Trail]:
        span = {"since": microseconds(since), "until": microseconds(until)}
        for each in sql.SLICES:
            keys = [str(row[0]) for row in await self._read(sql.ALERTS_BETWEEN, {**span, "slice": each})]
            for start in range(0, len(keys), _AT_A_TIME):
                for trail in await self._read_trails(keys[start : start + _AT_A_TIME]):
                    yield trail

    async def oldest_open(self) -> datetime | None:
        return await self._read_moment(sql.OLDEST_OPEN)

    async def oldest_unsent(self) -> datetime | None:
        return await self._read_moment(sql.OLDEST_UNSENT)

    async def count(self) -> Counts:
        [row] = await self._read(sql.COUNT, ())
        return Counts(**dict(row))

    async def statistics(self, since: datetime) -> Sequence[AlertStatistics]:
        tally = Tally()
        for each in sql.SLICES:
            values = {"slice": each, "since": microseconds(since)}
            for alert, standing, taken in skip_damaged(answer_of, await self._read(sql.ASKED, values)):
                tally.add(alert, standing=standing, answer_time=taken)
        return tally.result()

    async def _add_alone(self, change: Change) -> bool | StoreError:
        try:
            return await self._database.write(lambda connection: _add(connection, change))
        except StoreError as error:
            return error
        except ValueError as error:
            return StoreError(f"the store cannot hold this request: {error}")

    async def _read_question(self, key: str) -> Question | None:
        rows = await self._read(f"{sql.SELECT} WHERE key = ?", (key,))
        return question_from(rows[0]) if rows else None

    async def _read_questions(self, condition: str, values: tuple[Any, ...]) -> list[Question]:
        return skip_damaged(question_from, await self._read(f"{sql.SELECT} {condition}", values))

    async def _read_reports(self, query: str, values: Any) -> list[OutboxRow]:
        return skip_damaged(report_of, await self._read(query, values))

    async def _read_trails(self, keys: Sequence[str]) -> list[Trail]:
        """Return the alerts that exist under these keys, read at once: nothing changes in between."""
        return await self._database.read(
            lambda connection: [trail for key in keys for trail in trails_under(connection, key)]
        )

    async def _mark(self, column: str, rows: Sequence[OutboxRow], at: datetime, kind: EventKind) -> None:
        statement = f"UPDATE report SET {column} = ? WHERE key = ? AND sequence = ?"

        def mark(connection: sqlite3.Connection) -> None:
            for row in rows:
                key = row_key(row.identifier)
                if connection.execute(statement, (microseconds(at), key, row.sequence)).rowcount:
                    append_event(connection, key, kind, {"sequence": row.sequence}, at)

        await self._database.write(mark)

    async def _read_moment(self, query: str, values: Any = ()) -> datetime | None:
        [[stored]] = await self._read(query, values)
        with suppress(OverflowError):  # the time of a damaged row: it is never due
            return moment(stored)
        return None

    async def _read(self, query: str, values: Any) -> list[Any]:
        return await self._database.read(lambda connection: connection.execute(query, values).fetchall())


def _unused(path: Path) -> Path:
    """Return this path, or one with a number behind it that nothing has: an earlier rescue stays."""
    candidates = chain([path], (path.with_name(f"{path.name}.{number}") for number in count(2)))
    return next(each for each in candidates if not each.exists())


def _add(connection: sqlite3.Connection, change: Change) -> bool:
    is_new = connection.execute(sql.INSERT, _values_of(question_row(change.question))).rowcount == 1
    if is_new:
        _insert_others(connection, change)
    return is_new


def _insert_others(connection: sqlite3.Connection, change: Change) -> None:
    """Add the report and the event of a change whose question is written."""
    if change.report is not None:
        connection.execute(sql.INSERT_REPORT, report_row(change, change.report))
    if change.event is not None:
        connection.execute(sql.INSERT_EVENT, event_row(change.event))


def _list_step(
    connection: sqlite3.Connection, *, only: Filter, before: int, limit: int
) -> tuple[list[Question], int]:
    """Return up to `limit` of the next questions of a list, and the moment before which it goes on."""
    end, wanted = sql.list_statements(only)
    values: dict[str, Any] = {"user": only.user, "alert": only.alert, "outcome": only.outcome}
    values |= {"taken_by": only.taken_by, "since": microseconds(only.since), "before": before}
    reached = next((row[0] for row in connection.execute(end, values)), sql.FIRST)
    rows = connection.execute(f"{sql.SELECT} {wanted}", {**values, "end": reached, "limit": limit})
    return skip_damaged(question_from, rows), reached


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
    key, _, secret = (before or question).ref.partition(".")
    if before and before.ref != question.ref:  # a restored question has taken over a message that was found
        row["secret"] = question.ref.partition(".")[2]
    values = (*row.values(), key, secret, question.version - 1)
    if change.attempt is not None or change.inquiry is not None or change.places is not None:
        [is_current] = connection.execute(sql.IS_CURRENT, (key, secret, question.version - 1)).fetchone()
        if not is_current or not _save_beside(connection, change):
            return False
    was_first = connection.execute(_update(tuple(row)), values).rowcount == 1
    if was_first:
        _insert_others(connection, change)
    return was_first


def _save_attempt(connection: sqlite3.Connection, attempt: Attempt) -> bool:
    statement = sql.INSERT_ATTEMPT if attempt.version == 1 else sql.UPDATE_ATTEMPT
    return connection.execute(statement, attempt_row(attempt)).rowcount == 1


def _save_inquiry(connection: sqlite3.Connection, inquiry: Inquiry) -> bool:
    statement = sql.INSERT_INQUIRY if inquiry.version == 1 else sql.UPDATE_INQUIRY
    return connection.execute(statement, inquiry_row(inquiry)).rowcount == 1


def _save_beside(connection: sqlite3.Connection, change: Change) -> bool:
    """Write what a change changes next to its question; return False if another writer was faster."""
    return (
        (change.attempt is None or _save_attempt(connection, change.attempt))
        and (change.inquiry is None or _save_inquiry(connection, change.inquiry))
        and (change.places is None or write_places(connection, change.places))
    )


def _remove_ended(connection: sqlite3.Connection, values: dict[str, Any]) -> int:
    keys = [(row["key"],) for row in connection.execute(sql.ENDED, values)]
    for table in ("event", "report", "inquiry"):
        connection.executemany(f"DELETE FROM {table} WHERE key = ?", keys)
    connection.executemany("DELETE FROM question WHERE key = ?", keys)
    for each in (*sql.OLD_FINDS, sql.OLD_ATTEMPTS, sql.OLD_PLACES):
        connection.execute(each, values)
    return len(keys)


def _time_values(now: datetime) -> dict[str, int | None]:
    return {"now": microseconds(now), "apart": microseconds(now - REPORTS_APART)}
