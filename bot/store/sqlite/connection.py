"""One SQLite connection on one thread, with group commits.

SQLite up to 3.51.2 can corrupt a database when its write-ahead log is reset while two or more connections are
open, so there is exactly one, locked to this process. WAL with synchronous=FULL survives a power failure.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Any, TypeVar

from bot.errors import StoreError, StoreReplaced, TriageBotError
from bot.store.sqlite.head import sync_folder
from bot.store.sqlite.past import Past, mark_as_backup
from bot.threads import DaemonThreads

T = TypeVar("T")

#: Pages copied at a time: about 250 kB, a few milliseconds.
COPY_PAGES = 64

#: When this many jobs wait, they are run and share a commit, with any others handed over in the same batch.
GROUP_MAX = 200

#: How long the head may lag behind on disk, in seconds: it is synced at most this often.
SYNC_INTERVAL = 1.0


class _Kind(Enum):
    """Kinds of jobs. Those that wait together run in this order."""

    READ = auto()
    WRITE = auto()
    LONG = auto()  #: lets other jobs run in between
    LOOK = auto()  #: also runs when the file has been replaced


@dataclass(kw_only=True, slots=True)
class _Job:
    work: Callable[[sqlite3.Connection], Any]
    kind: _Kind
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = field(default=None)


class Database:
    """Runs work on the connection, in a thread of its own, for the event loop that created it."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        past: Past | None = None,
        *,
        reopen: Callable[[], sqlite3.Connection] | None = None,
    ) -> None:
        self.replaced = asyncio.Event()  #: set once the file is gone, or another is at its path
        self._connection = connection
        self._past = past
        self._reopen = reopen
        self._is_replaced = False
        self._loop = asyncio.get_running_loop()
        self._submitted: list[_Job] = []
        self._handed_over: queue.SimpleQueue[list[_Job] | None] = queue.SimpleQueue()
        self._closing = False
        self._closed = asyncio.Event()
        self._syncer = DaemonThreads("store's head")
        self._sync_task: asyncio.Task[None] | None = None
        self._is_unsynced = False
        self._is_copying = False
        self._is_between = False  #: the connection was closed, and could not be reopened yet
        threading.Thread(target=self._serve, name="store", daemon=True).start()

    @property
    def head_trouble(self) -> str:
        """Why the head could not be written; "" if it could."""
        return self._past.trouble if self._past else ""

    def read(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Run work that changes nothing. `StoreError` if SQLite fails or the database is closed."""
        return self._submit(work, kind=_Kind.READ)

    def write(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Run work in a transaction shared with other waiting work; durable when it is done.

        `StoreError` if SQLite fails or the database is closed: then nothing of this work is saved.
        """
        return self._submit(work, kind=_Kind.WRITE)

    async def copy_to(self, path: Path) -> None:
        """Copy the database to a new file, a few pages at a time, so that other work continues in between.

        `StoreError` if the file exists or cannot be written, or if the database is closed meanwhile. An
        unfinished copy is removed.
        """
        await self._submit(lambda connection: self._copy(connection, path), kind=_Kind.LONG)

    async def look(self) -> None:
        """Look whether file, log and head are in place; renew log and head if not.

        `StoreReplaced` if the file is gone, or another is at its path. `StoreError` if the log is gone and
        what was in it cannot be written into the file.
        """
        await self._submit(self._look_after, kind=_Kind.LOOK)

    async def rescue(self, path: Path) -> None:
        """Write a backup to a new file and sync it, also where the store's own file is gone. `StoreError`."""
        await self._submit(lambda connection: _rescue(connection, path), kind=_Kind.LOOK)

    async def close(self) -> None:
        """Finish the submitted work, then close. Work submitted later raises `StoreError`."""
        if self._sync_task:
            self._sync_task.cancel()
        self._syncer.close()
        self._closing = True
        self._hand_over()
        self._handed_over.put(None)
        await self._closed.wait()

    def _submit(self, work: Callable[[sqlite3.Connection], T], *, kind: _Kind) -> asyncio.Future[T]:
        if self._closing:
            raise StoreError("the store is closed")
        if not self._submitted:
            self._loop.call_soon(self._hand_over)
        future: asyncio.Future[T] = self._loop.create_future()
        self._submitted.append(_Job(work=work, kind=kind, future=future))
        return future

    def _hand_over(self) -> None:
        """Hand over a loop iteration's work at once: waking the thread for each job would slow the loop."""
        if self._submitted:
            self._handed_over.put(self._submitted)
            self._submitted = []

    def _serve(self) -> None:
        last = False
        while not last:
            group, last = self._next_group()
            self._run(group)
        is_clean = not self._is_replaced
        try:
            self._connection.close()
        except sqlite3.Error:
            is_clean = False
        if self._past:
            self._past.close(is_clean=is_clean)
        self._tell_loop(self._closed.set)

    def _next_group(self) -> tuple[list[_Job], bool]:
        """Wait for jobs and take all that are queued; the flag says whether the database is to close."""
        group: list[_Job] = []
        while (jobs := self._handed_over.get()) is not None:
            group += jobs
            if len(group) >= GROUP_MAX or self._handed_over.empty():
                return group, False
        return group, True

    def _run(self, group: Sequence[_Job]) -> None:
        # Reads first: they need not wait for the commit, and never see changes that it may roll back.
        for kind in _Kind:
            jobs = [job for job in group if job.kind is kind]
            if not jobs:
                continue
            if self._is_replaced and kind is not _Kind.LOOK:
                _refuse(jobs)
            elif kind is _Kind.WRITE:
                self._write(jobs)
            else:
                for job in jobs:
                    _attempt(job, self._connection)
            self._tell_loop(self._settle, jobs)

    def _write(self, jobs: Sequence[_Job]) -> None:
        if not self._commit(jobs) and len(jobs) > 1:
            for job in jobs:  # one by one, so that a failing job rolls back only itself
                self._commit([job])

    def _copy(self, connection: sqlite3.Connection, path: Path) -> None:
        with _new_file(path), contextlib.closing(sqlite3.connect(path)) as copy:
            self._is_copying = True
            try:
                connection.backup(copy, pages=COPY_PAGES, progress=lambda *_: self._serve_waiting())
            finally:
                self._is_copying = False
            if self._is_replaced:
                raise StoreReplaced
            mark_as_backup(copy)

    def _serve_waiting(self) -> None:
        """Run waiting jobs between two steps of a copy: SQLite includes their changes in it."""
        if self._handed_over.empty():
            return
        group, last = self._next_group()
        self._run(group)
        if last:
            self._handed_over.put(None)
            raise StoreError("the store was closed before the copy was complete")

    def _tell_loop(self, callback: Callable[..., object], *values: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(callback, *values)

    def _commit(self, jobs: Sequence[_Job]) -> bool:
        """Run jobs in one transaction. Return False if one failed and all were rolled back."""
        connection, past = self._connection, self._past
        changes = connection.total_changes
        try:
            connection.execute("BEGIN IMMEDIATE")
            if past:
                past.begin()
            # No savepoint per job: each statement costs time and switches threads.
            if all(_attempt(job, connection) for job in jobs):
                has_changed = connection.total_changes != changes
                if past and has_changed:
                    past.count(connection)
                connection.execute("COMMIT")
                if past and has_changed:
                    self._note_commit(past, jobs)
                return True
            _roll_back(connection)
        except sqlite3.Error as error:
            _roll_back(connection)
            for job in jobs:
                job.error = _translate(error)
        return False

    def _note_commit(self, past: Past, jobs: Sequence[_Job]) -> None:
        """Write the head. Where the commit may be lost with its file, nobody must be told of it."""
        past.note_commit()
        try:
            self._require_in_place(past)
        except StoreError as error:
            for job in jobs:
                job.error = error

    def _look_after(self, _: sqlite3.Connection) -> None:
        if self._is_replaced:
            raise StoreReplaced
        if self._past:
            self._require_in_place(self._past)
            self._past.repair_head()

    def _require_in_place(self, past: Past) -> None:
        if not past.is_in_place():
            self._is_replaced = True
            self._tell_loop(self.replaced.set)
            raise StoreReplaced
        if not past.is_log_in_place():
            try:
                self._renew_log(past)
            except (sqlite3.Error, TriageBotError) as error:
                raise StoreError(f"the store's log is gone and cannot be renewed: {error}") from error

    def _renew_log(self, past: Past) -> None:
        """Checkpoint the removed log into the file, and reopen that, with a new log."""
        if self._reopen is None:
            return
        if not self._is_between:
            self._connection.execute("PRAGMA wal_checkpoint(FULL)").fetchone()
            if self._is_copying:  # a copy needs the connection: the next look reopens it
                return
            self._connection.close()
            self._is_between = True
        row_factory = self._connection.row_factory
        self._connection = self._reopen()
        self._connection.row_factory = row_factory
        self._is_between = False
        past.remember_log()

    def _settle(self, group: Sequence[_Job]) -> None:
        for job in group:
            if job.future.done():  # its waiter was cancelled
                continue
            if job.error is not None:
                job.future.set_exception(job.error)
            else:
                job.future.set_result(job.result)
        if self._past and any(job.kind is _Kind.WRITE for job in group):
            self._is_unsynced = True
            if self._sync_task is None and not self._closing:
                self._sync_task = self._loop.create_task(self._sync_later(self._past), name="store's head")

    async def _sync_later(self, past: Past) -> None:
        while self._is_unsynced:
            await asyncio.sleep(SYNC_INTERVAL)
            self._is_unsynced = False
            await self._syncer.run(past.sync)
        self._sync_task = None


def _refuse(jobs: Sequence[_Job]) -> None:
    for job in jobs:
        job.error = StoreReplaced()


def _rescue(connection: sqlite3.Connection, path: Path) -> None:
    part = path.with_name(f".{path.name}.part")  # so that nobody takes half of it
    try:
        part.unlink(missing_ok=True)
        with _new_file(part):
            with contextlib.closing(sqlite3.connect(part)) as copy:
                connection.backup(copy)
                mark_as_backup(copy)
                [verdict] = copy.execute("PRAGMA quick_check(1)").fetchone()
                if verdict != "ok":
                    raise StoreError(f"what is left of the store is corrupt ({verdict})")
            with part.open("rb") as file:
                os.fsync(file.fileno())
            part.rename(path)
        sync_folder(path)
        # SQLite would replay a log that is left here into whatever file is put next to it.
        with contextlib.suppress(sqlite3.Error):
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"cannot write {path}: {error}") from error


@contextlib.contextmanager
def _new_file(path: Path) -> Iterator[None]:
    """Create a file that only its owner can read; remove it if the body of the `with` fails."""
    try:
        path.touch(mode=0o600, exist_ok=False)
    except OSError as error:
        raise StoreError(f"cannot create {path}: {error.strerror}") from error
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _attempt(job: _Job, connection: sqlite3.Connection) -> bool:
    job.error = None
    try:
        job.result = job.work(connection)
    except sqlite3.Error as error:
        job.error = _translate(error)
    except Exception as error:  # noqa: BLE001 - the submitter gets it
        job.error = error
    return job.error is None


def _translate(error: sqlite3.Error) -> StoreError:
    translated = StoreError(f"the store operation failed: {error}")
    translated.__cause__ = error
    return translated


def _roll_back(connection: sqlite3.Connection) -> None:
    with contextlib.suppress(sqlite3.Error):  # on some errors SQLite has rolled back already
        connection.execute("ROLLBACK")
