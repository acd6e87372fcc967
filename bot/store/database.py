"""One SQLite connection on one thread, with group commits.

SQLite up to 3.51.2 can corrupt a database when a write-ahead log is reset with two connections or more, so
there is exactly one, locked to this process. WAL with synchronous=FULL survives a loss of power.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import sqlite3
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from bot.errors import StartRefused, StoreError, StoreUnusable
from bot.store import schema

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

T = TypeVar("T")

#: How long to wait for another process to let go of the store, in milliseconds.
LOCK_WAIT_MS = 5000

#: Writes that share one commit, at the most.
GROUP_MAX = 200


@dataclass(kw_only=True, slots=True)
class _Job:
    work: Callable[[sqlite3.Connection], Any]
    writes: bool
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = field(default=None)


class Database:
    """Runs work on the connection for the event loop that made it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closing = False
        self._closed = asyncio.Event()
        threading.Thread(target=self._serve, name="store", daemon=True).start()

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run work that changes nothing. `StoreError` if SQLite cannot."""
        result: T = await self._submit(work, writes=False)
        return result

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run work in a transaction, shared with others that wait; durable when it returns.

        `StoreError` if SQLite cannot: then nothing of this work is kept.
        """
        result: T = await self._submit(work, writes=True)
        return result

    async def close(self) -> None:
        """Finish what was submitted, then close: what comes later is refused with `StoreError`."""
        self._closing = True
        self._jobs.put(None)
        await self._closed.wait()

    async def _submit(self, work: Callable[[sqlite3.Connection], T], *, writes: bool) -> T:
        if self._closing:
            raise StoreError("the store is closed")
        job = _Job(work=work, writes=writes, future=self._loop.create_future())
        self._jobs.put(job)
        result: T = await job.future
        return result

    def _serve(self) -> None:
        last = False
        while not last:
            group, last = self._next_group()
            self._run(group)
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()
        self._tell_loop(self._closed.set)

    def _next_group(self) -> tuple[list[_Job], bool]:
        """Wait for a job and take those that wait behind it; tell whether the end was among them."""
        jobs = [self._jobs.get()]
        with contextlib.suppress(queue.Empty):
            while jobs[-1] is not None and len(jobs) < GROUP_MAX:
                jobs.append(self._jobs.get_nowait())
        return [job for job in jobs if job is not None], jobs[-1] is None

    def _run(self, group: Sequence[_Job]) -> None:
        # Writes first, so that no read tells of what a failing commit takes back.
        writes = [job for job in group if job.writes]
        if writes and not self._commit(writes) and len(writes) > 1:
            for job in writes:
                self._commit([job])
        for job in group:
            if not job.writes:
                _attempt(job, self._connection)
        self._tell_loop(_settle, group)

    def _tell_loop(self, callback: Callable[..., object], *values: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is gone: nobody waits any more
            self._loop.call_soon_threadsafe(callback, *values)

    def _commit(self, jobs: Sequence[_Job]) -> bool:
        """Run jobs in one transaction; one that fails takes back itself alone. False: all were taken back."""
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            for job in jobs:
                connection.execute("SAVEPOINT job")
                if not _attempt(job, connection):
                    connection.execute("ROLLBACK TO job")
                connection.execute("RELEASE job")
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            _roll_back(connection)
            for job in jobs:
                job.error = _translated(error)
            return False
        return True


def connect(path: Path, *, create: bool) -> sqlite3.Connection:
    """Open and lock a database. Errors as `bot.store.open_store` says."""
    unclean = _prepare_file(path, create=create)
    with contextlib.ExitStack() as given_up:
        try:
            connection = sqlite3.connect(
                path, isolation_level=None, check_same_thread=False, timeout=LOCK_WAIT_MS / 1000
            )
            given_up.callback(connection.close)
            _take(connection, path, unclean=unclean)
        except sqlite3.Error as error:
            raise _refusal(error, path) from error
        given_up.pop_all()
    return connection


def _take(connection: sqlite3.Connection, path: Path, *, unclean: bool) -> None:
    connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    is_new = schema.is_empty(connection, path)  # before anything is written: it may not be ours
    _lock(connection)
    if unclean:
        _check(connection, path)
    if is_new:
        schema.create_tables(connection)


def _prepare_file(path: Path, *, create: bool) -> bool:
    """Make the file, for its owner only, where it may be made; tell whether it was left by a crash."""
    try:
        if not path.parent.is_dir():
            raise StoreUnusable(
                f"the store's folder {path.parent} does not exist; create it, or set STORE_URL"
            )
        if not path.exists() and not create:
            raise StoreUnusable(f"there is no store at {path}; `triage-bot run` makes it (see STORE_URL)")
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except PermissionError as error:
        raise StoreUnusable(f"the store {path} may not be written by this user: {error.strerror}") from error
    except IsADirectoryError as error:
        raise StoreUnusable(f"the store {path} is a folder; set STORE_URL to a file in it") from error
    except OSError as error:
        raise StartRefused(f"the store {path} cannot be opened: {error.strerror}") from error
    return path.with_name(path.name + "-wal").exists()


def _lock(connection: sqlite3.Connection) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("COMMIT")


def _check(connection: sqlite3.Connection, path: Path) -> None:
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise StoreUnusable(f"the store {path} is corrupt ({verdict}); restore a backup")


def _refusal(error: sqlite3.Error, path: Path) -> StartRefused | StoreUnusable:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StartRefused(f"the store {path} is held by another process; stop it first")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StoreUnusable(f"the store {path} is corrupt or no SQLite database ({error}); restore a backup")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN):
        return StoreUnusable(f"the store {path} or its folder may not be written by this user ({error})")
    return StartRefused(f"the store {path} cannot be used: {error}")


def _attempt(job: _Job, connection: sqlite3.Connection) -> bool:
    job.error = None
    try:
        job.result = job.work(connection)
    except sqlite3.Error as error:
        job.error = _translated(error)
    except Exception as error:  # noqa: BLE001 - it belongs to whoever submitted the work
        job.error = error
    return job.error is None


def _translated(error: sqlite3.Error) -> StoreError:
    translated = StoreError(f"the store cannot do it: {error}")
    translated.__cause__ = error
    return translated


def _roll_back(connection: sqlite3.Connection) -> None:
    with contextlib.suppress(sqlite3.Error):  # SQLite rolls back by itself on some errors
        connection.execute("ROLLBACK")


def _settle(group: Sequence[_Job]) -> None:
    for job in group:
        if job.future.done():  # its waiter was cancelled
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)
