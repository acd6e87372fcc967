"""The head (`NAME.head`), a file next to the store's: which store that is, and how many commits it has had.

A store cannot tell by itself that its file was lost, emptied, truncated or replaced by an older copy. The
head has two slots, written in turn, so that a torn write leaves the other intact. Each is one sector, which a
disk writes whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bot.errors import StartRefused

SLOT_BYTES = 512
_SLOTS = 2
_CLOSED = -1
_LINE = re.compile(
    rb"(?P<noted>triage-bot head 1 (?P<identity>[0-9a-f]{32}) (?P<commits>\d{1,19})"
    rb" (?:open|(?P<size>\d{1,19}) (?P<modified>\d{1,19}))) (?P<checksum>[0-9a-f]{64})\n *"
)

#: How long to wait for another process to release the head, and how often to try, in seconds.
LOCK_WAIT, LOCK_TRY = 5.0, 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """The contents of a slot of the head."""

    identity: str  #: of the store, 32 hex digits
    commits: int  #: how many it has had
    #: The file's size in bytes and mtime in ns at a clean stop; None: it was not stopped cleanly.
    file: tuple[int, int] | None = None

    def write(self) -> bytes:
        """Return the bytes of a slot, without padding."""
        state = "open" if self.file is None else "{} {}".format(*self.file)
        noted = f"triage-bot head 1 {self.identity} {self.commits} {state}".encode()
        return b"%s %s\n" % (noted, hashlib.sha256(noted).hexdigest().encode())

    @classmethod
    def read(cls, slot: bytes) -> Self | None:
        """Return the note of a slot; None if the slot is damaged."""
        found = _LINE.fullmatch(slot)
        if not found or hashlib.sha256(found["noted"]).hexdigest().encode() != found["checksum"]:
            return None
        file = (int(found["size"]), int(found["modified"])) if found["size"] else None
        return cls(identity=found["identity"].decode(), commits=int(found["commits"]), file=file)


#: The notes of the undamaged slots, the latest first. Empty: both are damaged. None: there is no head.
Notes = Sequence[Note] | None


def beside(store: Path, suffix: str) -> Path:
    """Return a path next to the store's file, after following links."""
    actual = Path(os.path.realpath(store))
    return actual.with_name(f"{actual.name}{suffix}")


def head_path(store: Path) -> Path:
    """Return the path of a store's head."""
    return beside(store, ".head")


def log_path(store: Path) -> Path:
    """Return the path of a store's write-ahead log."""
    return beside(store, "-wal")


def read_notes(path: Path) -> Notes:
    """Return the notes of the head at `path`. Raises `OSError` if it cannot be read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return ()  # reading a pipe would wait forever
        with path.open("rb") as file:
            content = file.read(_SLOTS * SLOT_BYTES)
    except FileNotFoundError:
        return None
    slots = [content[start : start + SLOT_BYTES] for start in (0, SLOT_BYTES)]
    notes = [note for note in map(Note.read, slots) if note]
    return sorted(notes, key=lambda note: (note.commits, note.file is not None), reverse=True)


def describe(notes: Notes) -> str:
    """Return one line that identifies a head."""
    if not notes:
        return "missing" if notes is None else "damaged"
    return f"{notes[0].identity} {notes[0].commits}"


class Head:
    """An open head, locked for this process. Methods raise `OSError`."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    @classmethod
    def open(cls, path: Path) -> Self | None:
        """Open and lock the head; None if there is none. `StartRefused` if another process has it for 5 s."""
        tries = int(LOCK_WAIT / LOCK_TRY)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        for _ in range(tries):
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return cls(path, descriptor)
            time.sleep(LOCK_TRY)
        os.close(descriptor)
        raise StartRefused(f"the store's {path.name} is held by another process; stop it first")

    @classmethod
    def make(cls, path: Path, note: Note) -> Self:
        """Put a new head in place, in one step, locked; it and its folder are synced.

        If root creates it, the store's owner gets it: the worker must be able to write it.
        """
        part = path.with_name(f".{path.name}.part")
        part.unlink(missing_ok=True)
        head = cls(path, os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        try:
            fcntl.flock(head._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _give_to_owner(head._descriptor, path)
            for slot in range(_SLOTS):
                head._write(note, slot)
            os.fsync(head._descriptor)
            part.replace(path)
            sync_folder(path)
        except BaseException:
            head.close()
            part.unlink(missing_ok=True)
            raise
        return head

    def write(self, note: Note) -> None:
        """Write into one slot; the other one keeps the previous state."""
        self._write(note, note.commits % _SLOTS)

    def sync(self) -> None:
        """Wait until all that was written is on disk."""
        os.fdatasync(self._descriptor)

    def is_in_place(self) -> bool:
        """Whether the file at the path is still this one."""
        return is_at(self._path, os.fstat(self._descriptor))

    def close(self) -> None:
        """Close the file, which releases the lock. Closing it again does nothing."""
        if self._descriptor != _CLOSED:
            os.close(self._descriptor)
            self._descriptor = _CLOSED

    def _write(self, note: Note, slot: int) -> None:
        os.pwrite(self._descriptor, note.write().ljust(SLOT_BYTES), slot * SLOT_BYTES)


def _give_to_owner(descriptor: int, head: Path) -> None:
    if os.geteuid() == 0:
        store = head.with_name(head.name.removesuffix(".head"))
        owner = next(each for each in (head, store, head.parent) if each.exists()).stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def is_at(path: Path, known: os.stat_result) -> bool:
    """Whether `path` leads to this very file."""
    try:
        there = path.stat()
    except OSError:
        return False
    return is_same(there, known)


def is_same(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether both describe the same file."""
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)


def sync_folder(path: Path) -> None:
    """Wait until the folder of `path` is on disk."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
