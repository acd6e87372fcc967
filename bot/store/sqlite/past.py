"""The past of a store: its row `past`, the head next to the file, and whether the two agree."""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bot.errors import StoreUnusable
from bot.store.records.rows import microseconds, moment
from bot.store.sqlite.head import Head, Note, Notes, describe, head_path, is_same, log_path

#: Why a copy made by `backup`, or a rescue, is not used as it is.
BACKUP = "it is a backup, which does not know what happened after it was made"

_COLUMNS = "identity, commits, written_at, is_backup, restored_at, restored_from, replaces"
_COUNT = "UPDATE past SET commits = ?, written_at = ?"
_RESTORE = """UPDATE past SET identity = :identity, is_backup = 0, restored_at = :now, restored_from = :since,
    replaces = :replaces"""


@dataclass(frozen=True, kw_only=True, slots=True)
class PastRow:
    """The row of `past`; see `schema.sql`."""

    identity: str
    commits: int
    written_at: datetime | None
    is_backup: bool
    restored_at: datetime | None
    restored_from: datetime | None
    replaces: str


def read_past(connection: sqlite3.Connection) -> PastRow | None:
    """Return the row of a store; None if its schema has none yet. `StoreUnusable` if it is damaged."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'past'").fetchone():
        return None
    row = connection.execute(f"SELECT {_COLUMNS} FROM past").fetchone()
    if row is None:
        return None
    identity, commits, written_at, is_backup, restored_at, restored_from, replaces = row
    try:
        return PastRow(
            identity=identity,
            commits=commits,
            written_at=moment(written_at),
            is_backup=bool(is_backup),
            restored_at=moment(restored_at),
            restored_from=moment(restored_from),
            replaces=replaces,
        )
    except OverflowError as error:
        raise StoreUnusable(f"the store's row `past` is damaged ({error}); restore a backup") from error


def new_identity() -> str:
    """Return a random identity for a store: 128 bits in hex."""
    return secrets.token_hex(16)


def mark_as_backup(connection: sqlite3.Connection) -> None:
    """Mark a copy, so that it is not mistaken for the store itself. An older schema has no such mark."""
    if read_past(connection):
        connection.execute("UPDATE past SET is_backup = 1")
        connection.commit()


def find_mismatch(row: PastRow | None, notes: Notes, *, has_tables: bool) -> str:
    """Say why a store is not what it was; "" if it is, or if its creation or restore was interrupted.

    `row` is None where the store has no identity, or no tables at all.
    """
    if row and row.is_backup:
        return BACKUP
    if row and row.replaces and row.replaces == describe(notes):
        return ""
    if notes is None:
        return "NAME.head, which belongs next to it, is missing" if row else ""
    if not notes:
        return "NAME.head next to it is damaged"
    if row:
        return _compare(row, notes)
    kind = "it has no identity" if has_tables else "it is gone or empty"
    known = notes[0].commits
    return f"{kind}, and the {known:,} commits that NAME.head knows of are missing" if known else ""


def _compare(row: PastRow, notes: Sequence[Note]) -> str:
    known = max((note.commits for note in notes if note.identity == row.identity), default=None)
    if known is None:
        return "it is another store than the one that NAME.head belongs to"
    lost = known - row.commits
    return f"{lost:,} of the {known:,} commits that NAME.head knows of are missing" if lost > 0 else ""


class Past:
    """Keeps the row and the head of an open store. Only the store's thread uses it, except for `sync`.

    `is_bound` is false if `restore` must come first: until then the head is left unchanged.
    """

    def __init__(  # noqa: PLR0913 - what was found when it was opened
        self,
        path: Path,
        row: PastRow,
        *,
        head: Head | None,
        found: Notes,
        is_bound: bool,
        clock: Callable[[], datetime],
    ) -> None:
        self.identity = row.identity
        self.trouble = ""  #: why the head could not be written; "" if it could
        self.row = row  #: as it was when the file was opened
        self._path = path
        self._head = head
        self._found = found
        self._is_bound = is_bound
        self._clock = clock
        self._commits = row.commits
        self._is_done_replacing = is_bound and bool(row.replaces)
        self._drawn = ""  #: the identity that the transaction in progress draws
        self._place, self._log_place = str(path), str(log_path(path))  # looked at after each commit
        self._file = path.stat()
        self._size = self._file.st_size
        self._log = _stat(self._log_place)

    def mark_open(self) -> None:
        """Record in the head that the store is open, so that a crash is noticed."""
        if self._is_bound:
            self._write_head(fresh=False)

    def begin(self) -> None:
        """Note that a transaction begins."""
        self._drawn = ""

    def count(self, connection: sqlite3.Connection) -> None:
        """Count the transaction in progress."""
        done = ", replaces = ''" if self._is_done_replacing else ""
        connection.execute(_COUNT + done, (self._commits + 1, microseconds(self._clock())))

    def restore(self, connection: sqlite3.Connection, now: datetime) -> None:
        """Draw a new identity in the transaction in progress, and say which head it replaces."""
        row = self.row
        # A repeated restore must not forget how far back the first one had to look.
        earliest = [row.restored_from, row.written_at] if row.restored_at else [row.written_at]
        since = None if None in earliest else min(each for each in earliest if each)
        self._drawn = new_identity()
        values = {
            "identity": self._drawn,
            "now": microseconds(now),
            "since": microseconds(since) if since else None,
            "replaces": describe(self._found),
        }
        connection.execute(_RESTORE, values)

    def note_commit(self) -> None:
        """Record the transaction that was just committed in the head. Never raises: see `trouble`."""
        self._commits += 1
        self._is_done_replacing = False
        if self._drawn:
            self.identity, self._is_bound = self._drawn, True
        if self._is_bound:
            self._write_head(fresh=bool(self._drawn))

    def repair_head(self) -> None:
        """Put the head back if somebody removed or replaced it, or if it could not be written."""
        if self._is_bound and (self.trouble or not (self._head and self._head.is_in_place())):
            self._write_head(fresh=True)

    def is_in_place(self) -> bool:
        """Whether the store's file is still at its path and has not shrunk: SQLite never shrinks it."""
        there = _stat(self._place)
        if there is None or not is_same(there, self._file) or there.st_size < self._size:
            return False
        self._size = there.st_size
        return True

    def is_log_in_place(self) -> bool:
        """Whether SQLite's log is still the one next to the file."""
        there = _stat(self._log_place)
        return self._log is None or (there is not None and is_same(there, self._log))

    def remember_log(self) -> None:
        """Record that the file was reopened, and has another log."""
        self._log = _stat(self._log_place)

    def sync(self) -> None:
        """Sync the head. Never raises: see `trouble`."""
        head = self._head
        try:
            if head:
                head.sync()
        except OSError as error:
            if head is self._head:
                self.trouble = _explain(error)

    def close(self, *, is_clean: bool) -> None:
        """Sync and close the head; after a clean stop it also records the file's size and time."""
        if not self._head:
            return
        with contextlib.suppress(OSError):
            if is_clean and self._is_bound:
                now = self._path.stat()
                self._head.write(self._note(file=(now.st_size, now.st_mtime_ns)))
            self._head.sync()
        self._head.close()
        self._head = None

    def _write_head(self, *, fresh: bool) -> None:
        try:
            if fresh or not self._head:
                new = Head.make(head_path(self._path), self._note())
                if self._head:
                    self._head.close()
                self._head, self._is_done_replacing = new, True
            else:
                self._head.write(self._note())
        except OSError as error:
            self.trouble = _explain(error)
        else:
            self.trouble = ""

    def _note(self, *, file: tuple[int, int] | None = None) -> Note:
        return Note(identity=self.identity, commits=self._commits, file=file)


def _explain(error: OSError) -> str:
    return f"NAME.head cannot be written: {error.strerror or error}"


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 - twice as fast as Path.stat
    except OSError:
        return None
