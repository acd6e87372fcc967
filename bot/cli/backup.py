"""`triage-bot backup`: receives a copy of the store in pieces, and puts it in place once it is whole."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bot.cli.whole_file import write_whole
from bot.errors import TriageBotError


class BackupFailed(TriageBotError):
    """The copy could not be written. A file that was there before is unchanged."""


def require_elsewhere(path: Path, store: Path) -> None:
    """Raise `BackupFailed` if `path` is the store or one of the files beside it (WAL, socket …).

    A running worker would lose its writes if one of them were replaced.
    """
    suffixes = ("", "-wal", "-shm", ".sock")
    taken = [store.with_name(f"{store.name}{suffix}") for suffix in suffixes]
    taken.append(store.with_name(f".{store.name}.backup-in-progress"))
    if path.resolve() in [each.resolve() for each in taken]:
        raise BackupFailed(f"{path} belongs to the store itself; name another file")


def write_backup(path: Path, pieces: Iterable[Mapping[str, Any]]) -> int:
    """Write the pieces into a file that only its owner can read; return its size in bytes.

    `pieces` have base64 in `data`, if anything. The file appears, or is replaced, only when all of it is on
    disk. Raises `BackupFailed` if it cannot be written.
    """
    if not path.name or path.is_dir():
        raise BackupFailed(f"{path} is a folder; name a file in it")
    try:
        with write_whole(path) as file:
            file.writelines(base64.b64decode(piece.get("data", "")) for piece in pieces)
            return file.tell()
    except OSError as error:
        raise BackupFailed(f"{path} cannot be written: {error.strerror or error}") from error
