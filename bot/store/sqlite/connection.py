"""One SQLite connection on one thread, with group commits.

SQLite up to 3.51.2 can corrupt a database when a write-ahead log is reset with two connections or more, so
there is exactly one, locked to this process. WAL with synchronous=FULL survives a loss of power.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, TypeVar

from bot.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

T = TypeVar("T")

#: Pages copied at a time: some 250 kB, a few milliseconds.
COPY_PAGES = 64

#: When so many wait they are done, and share a commit; those that the loop hands over with them, too.
GROUP_MAX = 200


class _Kind(Enum):
    """What is done with those that wait together, in this order."""

    READ = auto()
    WRITE = auto()
    LONG = auto()  #: other work is done in the middle of it


@dataclass(kw_only=True, slots=True)
class _Job:
    work: Callable[[sqlite3.Connection], Any]
    kind: _Kind
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = field(default=None)


class Database:
    """Runs work on the connection for the event loop that made it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._submitted: list[_Job] = []
        self._handed_over: queue.SimpleQueue[list[_Job] | None] = queue.SimpleQueue()
        self._closing = False
        self._closed = asyncio.Event()
        threading.Thread(target=self._serve, name="store", daemon=True).start()

    def read(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Run work that changes nothing. `StoreError` if SQLite cannot."""
        return self._submit(work, kind=_Kind.READ)

    def write(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Run work in a transaction, shared with others that wait; durable when it is done.

        `StoreError` if SQLite cannot: then nothing of this work is kept.
        """
        return self._submit(work, kind=_Kind.WRITE)

    async def copy_to(self, path: Path) -> None:
        """Copy the database into a new file, a few pages at a time: other work goes on in between.

        `StoreError` if it cannot be written, or if the database is closed meanwhile: then no file is left.
        """
        await self._submit(lambda connection: self._copy(connection, path), kind=_Kind.LONG)

    async def close(self) -> None:
        """Finish what was submitted, then close: what comes later is refused with `StoreError`."""
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
        """Hand over what the loop's turn has submitted: the thread, woken for each, would be in its way."""
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
        """Wait for jobs and take those that wait behind them; tell whether the end was among them."""
        group: list[_Job] = []
        while (jobs := self._handed_over.get()) is not None:
            group += jobs
            if len(group) >= GROUP_MAX or self._handed_over.empty():
                return group, False
        return group, True

    def _run(self, group: Sequence[_Job]) -> None:
        # Reads first: they wait for no commit, and tell of nothing that a failing one takes back.
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
            for job in jobs:  # so that one that fails takes back itself alone
                self._commit([job])

    def _copy(self, connection: sqlite3.Connection, path: Path) -> None:
        with _new_file(path), contextlib.closing(sqlite3.connect(path)) as copy:
            connection.backup(copy, pages=COPY_PAGES, progress=lambda *_: self._serve_waiting())

    def _serve_waiting(self) -> None:
        """Do what waits, between two steps of a copy: SQLite carries its changes over into the copy."""
        if self._handed_over.empty():
            return
        group, last = self._next_group()
        self._run(group)
        if last:
            self._handed_over.put(None)
            raise StoreError("the store was closed before the copy was whole")

    def _tell_loop(self, callback: Callable[..., object], *values: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is gone: nobody waits any more
            self._loop.call_soon_threadsafe(callback, *values)

    def _commit(self, jobs: Sequence[_Job]) -> bool:
        """Run jobs in one transaction. False: all were taken back, as one of them failed."""
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            # No savepoint a job: each statement costs, and gives the event loop's thread away.
            if all(_attempt(job, connection) for job in jobs):
                connection.execute("COMMIT")
                return True
            _roll_back(connection)
        except sqlite3.Error as error:
            _roll_back(connection)
            for job in jobs:
                job.error = _translated(error)
        return False


@contextlib.contextmanager
def _new_file(path: Path) -> Iterator[None]:
    """Make a file for its owner only; it is gone again if what is done with it fails."""
    try:
        path.touch(mode=0o600, exist_ok=False)
    except OSError as error:
        raise StoreError(f"{path} cannot be made: {error.strerror}") from error
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
