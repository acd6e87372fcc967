"""One SQLite connection on one thread, with group commits.

SQLite up to 3.51.2 can corrupt a database when its write-ahead log is reset while two or more connections are
open, so there is exactly one, locked to this process. WAL with synchronous=FULL survives a power failure.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Any, TypeVar

from bot.errors import StoreError

T = TypeVar("T")

#: Pages copied at a time: about 250 kB, a few milliseconds.
COPY_PAGES = 64

#: When this many jobs wait, they are run and share a commit, with any others handed over in the same batch.
GROUP_MAX = 200


class _Kind(Enum):
    """Kinds of jobs. Those that wait together run in this order."""

    READ = auto()
    WRITE = auto()
    LONG = auto()  #: lets other jobs run in between


@dataclass(kw_only=True, slots=True)
class _Job:
    work: Callable[[sqlite3.Connection], Any]
    kind: _Kind
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = field(default=None)


class Database:
    """Runs work on the connection, in a thread of its own, for the event loop that created it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._submitted: list[_Job] = []
        self._handed_over: queue.SimpleQueue[list[_Job] | None] = queue.SimpleQueue()
        self._closing = False
        self._closed = asyncio.Event()
        threading.Thread(target=self._serve, name="store", daemon=True).start()

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

    async def close(self) -> None:
        """Finish the submitted work, then close. Work submitted later raises `StoreError`."""
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
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()
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
            if kind is _Kind.WRITE:
                self._write(jobs)
            else:
                for job in jobs:
                    _attempt(job, self._connection)
            self._tell_loop(_settle, jobs)

    def _write(self, jobs: Sequence[_Job]) -> None:
        if not self._commit(jobs) and len(jobs) > 1:
            for job in jobs:  # one by one, so that a failing job rolls back only itself
                self._commit([job])

    def _copy(self, connection: sqlite3.Connection, path: Path) -> None:
        with _new_file(path), contextlib.closing(sqlite3.connect(path)) as copy:
            connection.backup(copy, pages=COPY_PAGES, progress=lambda *_: self._serve_waiting())

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
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            # No savepoint per job: each statement costs time and switches threads.
            if all(_attempt(job, connection) for job in jobs):
                connection.execute("COMMIT")
                return True
            _roll_back(connection)
        except sqlite3.Error as error:
            _roll_back(connection)
            for job in jobs:
                job.error = _translate(error)
        return False


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


def _settle(group: Sequence[_Job]) -> None:
    for job in group:
        if job.future.done():  # its waiter was cancelled
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)
