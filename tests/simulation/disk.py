"""A machine's disk: SQLite's files in memory, and what a kill or a power failure leaves of them.

The files are on a tmpfs: SQLite's own in-memory databases have no log file, and are never opened again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from weakref import ReferenceType, ref

from .machines import LIFE, Died

connect_really: Final = sqlite3.connect
_open: Final = os.open
_close: Final = os.close

#: PRAGMA synchronous: from this on each COMMIT is synced.
_FULL: Final = 2

#: How many cursors a connection notes before those that are gone are left out.
_CURSORS_MAX: Final = 500


class Disk:
    """The folder of one machine's store. `on_commit` is told before and after each COMMIT of a life."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.on_commit: Callable[[str], None] = lambda _: None
        self._open: list[Connection] = []
        self._synced: dict[str, bytes] | None = None  #: what is durable, if that is not what is there
        self._descriptors: dict[int, Path] = {}
        self._synced_files: dict[str, bytes] = {}  #: of those that are not SQLite's, when they were synced

    def connect(self, path: Any, **options: Any) -> sqlite3.Connection:
        """Open a database, as `sqlite3.connect` does."""
        made: list[Connection] = []

        def factory(*given: Any, **named: Any) -> Connection:
            made.append(Connection(*given, **named))
            made[0].disk, made[0].cursors = self, []
            return made[0]

        connect_really(path, **{**options, "factory": factory})
        self._open += made
        return made[0]

    def replacements(self) -> dict[tuple[Any, str], Any]:
        """Return what takes the place of the calls by which the program reaches its files."""
        return {
            (sqlite3, "connect"): self.connect,
            (os, "open"): self._open_file,
            (os, "close"): self._close_file,
            (os, "fsync"): self._sync,
            (os, "fdatasync"): self._sync,
        }

    def _open_file(self, path: Any, *given: Any, **options: Any) -> int:
        descriptor = _open(path, *given, **options)
        if Path(path).parent == self.folder:
            self._descriptors[descriptor] = Path(path)
        return descriptor

    def _close_file(self, descriptor: int) -> None:
        self._descriptors.pop(descriptor, None)
        _close(descriptor)

    def _sync(self, descriptor: int) -> None:
        path = self._descriptors.get(descriptor)
        if path is not None:
            self._synced_files[path.name] = os.pread(descriptor, 1 << 20, 0)

    def note_commit(self, connection: Connection) -> None:
        """Note that a COMMIT is done: it is durable if the database is set so."""
        if connection.is_synced:
            self._synced = None
        elif self._synced is None:
            self._synced = connection.before

    def fill(self, *, full: bool) -> None:
        """Limit the store to its present number of pages, or lift the limit."""
        for connection in self._open:
            with contextlib.suppress(sqlite3.Error):
                [pages] = sqlite3.Connection.execute(connection, "PRAGMA page_count").fetchone()
                most = pages if full else 1_073_741_823
                sqlite3.Connection.execute(connection, f"PRAGMA max_page_count={most}")

    def end(self, *, power: bool) -> None:
        """Leave what the end of the process leaves, or with `power` what a power failure leaves."""
        kept = self.read()
        if power:
            kept = self._synced if self._synced is not None else kept
            kept |= {name: self._synced_files[name] for name in kept.keys() & self._synced_files.keys()}
        for descriptor in [*self._descriptors]:  # which the death of a process closes, and so unlocks
            self._close_file(descriptor)
        for connection in self._open:
            connection.end()
        self._open.clear()
        self._synced = None
        for path in self.folder.iterdir():
            if path.name not in kept:
                path.unlink()
        for name, content in kept.items():
            if not (path := self.folder / name).exists() or path.read_bytes() != content:
                path.write_bytes(content)

    def read(self) -> dict[str, bytes]:
        """Return all files; SQLite rebuilds the index of the log (-shm)."""
        return {path.name: path.read_bytes() for path in self.folder.iterdir() if path.suffix != ".db-shm"}

    def remove(self) -> None:
        """Remove all there is."""
        for connection in self._open:
            connection.end()
        shutil.rmtree(self.folder, ignore_errors=True)


class Connection(sqlite3.Connection):
    """A connection that reports each COMMIT."""

    disk: Disk
    cursors: list[ReferenceType[sqlite3.Cursor]]  #: all that are left, and some that are gone
    before: dict[str, bytes]
    _synchronous: int = -1

    @property
    def is_synced(self) -> bool:
        """Whether a COMMIT is on the disk when it is done. Asked once: the program sets it when it opens."""
        if self._synchronous < 0:
            [self._synchronous] = super().execute("PRAGMA synchronous").fetchone()
        return self._synchronous >= _FULL

    def end(self) -> None:
        """Close it, which unlocks the file, even if something still refers to one of its statements."""
        for reference in self.cursors:
            if (cursor := reference()) is not None:
                cursor.close()
        super().close()

    def executemany(self, sql: str, *values: Any) -> sqlite3.Cursor:
        return self._note(super().executemany(sql, *values))

    def _note(self, cursor: sqlite3.Cursor) -> sqlite3.Cursor:
        if len(self.cursors) > _CURSORS_MAX:
            self.cursors = [each for each in self.cursors if each() is not None]
        self.cursors.append(ref(cursor))
        return cursor

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if sql != "COMMIT":
            return self._note(super().execute(sql, *values))
        life = LIFE.get()
        if life is not None and life.is_over:
            raise Died
        if not self.is_synced and not hasattr(self, "before"):
            self.before = self.disk.read()
        self.disk.on_commit("before")
        done = super().execute(sql)
        self.disk.note_commit(self)
        self.disk.on_commit("after")
        return done
