"""What happens to the store's files between two lives of a worker, and what its operator does about it.

Nothing is lost for good: the operator has what is needed to put everything back. So every promise must be
kept, provided that the worker refuses to begin on less than it had. What a store really lost is for the
simulation, in which it is known what that was.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from enum import StrEnum
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Final

from bot.store.sqlite.head import beside, head_path, log_path, read_notes
from bot.store.sqlite.past import mark_as_backup, read_past

#: The files that SQLite reads together.
_SUFFIXES: Final = ("", "-wal", "-shm")


class Damage(StrEnum):
    """What happened to the files."""

    REMOVED = "store file removed, backup put back"
    RENAMED = "store file renamed"
    CUT = "store log cut"
    LOG_REMOVED = "store log removed"
    FLIPPED = "store log with a flipped bit"


class StoreDamage:
    """Damages the files of a store that no process has open, one way after another, and mends them."""

    def __init__(self, store: Path, random: Random) -> None:
        self._store = store
        self._random = random
        self._aside = Path(tempfile.mkdtemp(prefix="store-", dir=store.parent))
        self._ways = cycle(random.sample(list(Damage), k=len(Damage)))
        self._done: Damage | None = None

    @property
    def is_backup(self) -> bool:
        """Whether the next worker has to begin with `--restored`."""
        return "backup" in self._look()

    def harm(self) -> Damage | None:
        """Do one kind of damage; None if there is nothing to be damaged, or if SQLite loses nothing by it."""
        if not self._store.exists() or not log_path(self._store).exists() or self._look():
            return None
        self._done = next(self._ways)
        for path in self._aside.iterdir():
            path.unlink()
        for path in self._files():
            shutil.copyfile(path, self._aside / path.name)
        match self._done:
            case Damage.REMOVED:
                for path in self._files():
                    path.unlink()
            case Damage.RENAMED:
                self._store.rename(beside(self._store, ".renamed"))
            case Damage.CUT:
                self._damage_log(lambda log: log[: self._random.randrange(len(log))])
            case Damage.LOG_REMOVED:
                log_path(self._store).unlink()
            case Damage.FLIPPED:
                self._damage_log(self._flip)
        return self._done if self._look() else None

    def mend(self) -> None:
        """Put back what there was; where the file was removed, a backup of it."""
        if self._done is Damage.REMOVED:
            with contextlib.closing(sqlite3.connect(self._aside / self._store.name)) as kept:
                mark_as_backup(kept)
            shutil.copyfile(self._aside / self._store.name, self._store)
            return
        beside(self._store, ".renamed").unlink(missing_ok=True)
        for name in _SUFFIXES:
            path = beside(self._store, name)
            if (self._aside / path.name).exists():
                shutil.copyfile(self._aside / path.name, path)

    def _files(self) -> list[Path]:
        return [path for suffix in _SUFFIXES if (path := beside(self._store, suffix)).exists()]

    def _damage_log(self, damage: Callable[[bytes], bytes]) -> None:
        path = log_path(self._store)
        path.write_bytes(damage(path.read_bytes()))

    def _flip(self, log: bytes) -> bytes:
        place, bit = self._random.randrange(len(log)), self._random.randrange(8)
        return log[:place] + bytes([log[place] ^ 1 << bit]) + log[place + 1 :]

    def _look(self) -> str:
        """Return what a worker must object to; "" if nothing. A copy is read: reading changes the files."""
        with tempfile.TemporaryDirectory(dir=self._aside) as folder:
            for path in self._files():
                shutil.copyfile(path, Path(folder, path.name))
            if not (copy := Path(folder, self._store.name)).exists():
                return "the file is missing"
            with contextlib.closing(sqlite3.connect(copy)) as connection:
                try:
                    past = read_past(connection)
                except sqlite3.DatabaseError as error:
                    return str(error)
        known = max((note.commits for note in read_notes(head_path(self._store)) or ()), default=0)
        if past is None:
            return "the store has no identity" if known else ""
        if past.is_backup:
            return "it is a backup"
        return "commits are missing" if past.commits < known else ""
