"""What happens to a store's files between two lives: an older copy, a removed log, a flipped bit.

What is really lost is counted here, in the row of the store's past, and by that the worker is judged.
"""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from bot.store.sqlite.head import read_notes

from .disk import connect_really

_STORE: Final = "store.db"
_LOG: Final = "store.db-wal"
_HEAD: Final = "store.db.head"

Files = dict[str, bytes]


#: What it is called when a worker may still have to be restored: the one before died before it was done.
BROKEN_OFF: Final = "a restore may have broken off"


@dataclass(frozen=True, kw_only=True)
class Loss:
    """What was done, and how many commits are missing since."""

    kind: str
    missing: int
    has_head: bool  #: whether there is a head, which knows all of them

    @property
    def must_be_refused(self) -> bool:
        """Whether a worker may not start. The head may be one commit behind: it is written after it."""
        return self.kind == "head removed" or (self.has_head and self.missing > 1)

    @property
    def may_be_refused(self) -> bool:
        """Whether a worker need not start."""
        return self.missing != 0 or self.kind.startswith("head") or self.kind == BROKEN_OFF


class Losses:
    """Does it to the files of a dead worker's store."""

    def __init__(self, folder: Path, random: Random) -> None:
        self._folder = folder
        self._random = random
        self._copy: Files = {}

    def copy(self) -> None:
        """Keep the store as it is now, as somebody does who copies its files."""
        files = self._read()
        self._copy = {name: content for name, content in files.items() if name in (_STORE, _LOG)}

    def strike(self, *, power: bool) -> Loss | None:
        """Do one thing that is possible; None if there is no store yet.

        None, too, where a power failure left the head behind: what it had not synced it cannot miss.
        """
        before = self._read()
        known = _commits(before, self._folder.parent)
        notes = read_notes(self._folder / _HEAD)
        if known is None or not notes or (power and notes[0].commits < known):
            return None
        kinds = [kind for kind, is_possible in _POSSIBLE.items() if is_possible(before, self._copy)]
        kind = self._random.choice(kinds)
        after = _KINDS[kind](before, self._copy, self._random)
        for name in before.keys() | after.keys():
            path = self._folder / name
            if name not in after:
                path.unlink()
            elif after[name] != before.get(name):
                path.write_bytes(after[name])
        left = _commits(after, self._folder.parent)
        missing = known - (left or 0)
        return Loss(kind=kind, missing=missing, has_head=bool(read_notes(self._folder / _HEAD)))

    def _read(self) -> Files:
        return {path.name: path.read_bytes() for path in self._folder.iterdir() if path.suffix != ".db-shm"}


def _commits(files: Mapping[str, bytes], beside: Path) -> int | None:
    """Return how many commits are in these files; None if that cannot be read."""
    if not files.get(_STORE):
        return None
    with tempfile.TemporaryDirectory(dir=beside) as folder:
        for name in (_STORE, _LOG):
            if name in files:
                (Path(folder) / name).write_bytes(files[name])
        connection = connect_really(Path(folder) / _STORE)
        with contextlib.closing(connection), contextlib.suppress(sqlite3.Error):
            return int(connection.execute("SELECT commits FROM past").fetchone()[0])
    return None


def _flip(content: bytes, random: Random) -> bytes:
    place = random.randrange(len(content))
    return content[:place] + bytes([content[place] ^ (1 << random.randrange(8))]) + content[place + 1 :]


def _without(files: Files, *names: str) -> Files:
    return {name: content for name, content in files.items() if name not in names}


#: What can happen to the files, given a copy of before.
_KINDS: Final[Mapping[str, Callable[[Files, Files, Random], Files]]] = {
    "older copy": lambda files, copy, _: _without(files, _STORE, _LOG) | copy,
    "log removed": lambda files, _, __: _without(files, _LOG),
    "log cut": lambda files, _, random: {**files, _LOG: files[_LOG][: random.randrange(len(files[_LOG]))]},
    "bit of the log flipped": lambda files, _, random: {**files, _LOG: _flip(files[_LOG], random)},
    "file removed": lambda files, _, __: _without(files, _STORE),
    "file and log removed": lambda files, _, __: _without(files, _STORE, _LOG),
    "file emptied": lambda files, _, __: {**_without(files, _LOG), _STORE: b""},
    "head removed": lambda files, _, __: _without(files, _HEAD),
    "head's bit flipped": lambda files, _, random: {**files, _HEAD: _flip(files[_HEAD], random)},
}
_POSSIBLE: Final[Mapping[str, Callable[[Files, Files], bool]]] = {
    **dict.fromkeys(_KINDS, lambda _, __: True),
    "older copy": lambda _, copy: bool(copy.get(_STORE)),
    **dict.fromkeys(
        ("log removed", "log cut", "bit of the log flipped"), lambda files, _: bool(files.get(_LOG))
    ),
}
