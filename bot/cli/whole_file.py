"""Writes the files of commands: completely or not at all, for their owner only, following no link."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

#: In a folder that others can write to, a file with a guessable name may already be theirs, or a link.
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


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
