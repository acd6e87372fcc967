"""The files that commands write: completely or not at all, for their owner only, following no link."""

from __future__ import annotations

import base64
import errno
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from bot.errors import TriageBotError

#: In a folder that others can write to, a file with a guessable name may already be theirs, or a link.
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


_HASH = re.compile("[0-9a-f]{64}")


class BackupFailed(TriageBotError):
    """The copy could not be written. A file that was there before is unchanged."""


class UnreadableFile(TriageBotError):
    """A file that a command was to read cannot be read, or is another kind of file."""


def read_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file, each with its line end. Raises `UnreadableFile`."""
    try:
        with path.open("rb") as file:
            yield from file
    except OSError as error:
        raise UnreadableFile(f"{path} cannot be read: {error.strerror or error}") from error


def read_hashes(path: Path) -> frozenset[str]:
    """Return the hashes in a file, one per line, in hex. Raises `UnreadableFile`."""
    words = [line.strip().decode(errors="replace") for line in read_lines(path)]
    if wrong := next((word for word in words if word and not _HASH.fullmatch(word)), None):
        raise UnreadableFile(f"{path} is not a list of hashes: {wrong[:70]!r} is not 64 hex digits")
    return frozenset(filter(None, words))


@contextmanager
def write_whole(path: Path) -> Iterator[BinaryIO]:
    """Yield a new file that replaces `path` once the block has ended and everything is on disk.

    Until then, and if the block fails, an existing file is unchanged. A link at `path` is replaced, never
    followed. Raises `OSError` if the file cannot be written, or if something else than a file is there.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EEXIST, "something is there that is not a file")
    part = path.with_name(f".{secrets.token_hex(16)}.part")
    with os.fdopen(os.open(part, _NEW_FILE, 0o600), "wb") as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def require_elsewhere(path: Path, store: Path) -> None:
    """Raise `BackupFailed` if `path` is the store or one of the files next to it (WAL, socket …).

    A running worker would lose its writes if one of them were replaced.
    """
    suffixes = ("", "-wal", "-shm", "-journal", ".sock", ".head", ".rescue")
    stores = {store, Path(os.path.realpath(store))}  # SQLite puts its files next to a link's target
    taken = {str(each.with_name(f"{each.name}{suffix}")) for each in stores for suffix in suffixes}
    taken |= {str(each.with_name(f".{each.name}.backup-in-progress")) for each in stores}
    # Not `Path.resolve`, which fails where links lead in a circle.
    if os.path.realpath(path) in {os.path.realpath(each) for each in taken}:
        raise BackupFailed(f"{path} belongs to the store itself; name another file")


def write_backup(path: Path, pieces: Iterable[Mapping[str, Any]]) -> int:
    """Write the pieces into a file that only its owner can read; return its size in bytes.

    `pieces` have base64 in `data`, if anything. The file appears, or is replaced, only when all of it is on
    disk. Raises `BackupFailed` if it cannot be written.
    """
    try:
        if not path.name or path.is_dir():
            raise BackupFailed(f"{path} is a folder; name a file in it")
        with write_whole(path) as file:
            file.writelines(base64.b64decode(piece.get("data", "")) for piece in pieces)
            return file.tell()
    except OSError as error:
        raise BackupFailed(f"{path} cannot be written: {error.strerror or error}") from error
