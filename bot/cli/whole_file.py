"""How a command writes a file: whole or not at all, for its owner only, and through nobody's link."""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: In a folder that others may write to, a name that they could guess may be theirs already, or a link.
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """Yield a new file that takes the place of `path` once the block has ended and all is on the disk.

    Until then, and if the block fails, what was there is untouched. A link at `path` is replaced, never
    followed. `OSError` if the file cannot be written, or if what is there is no file.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EEXIST, "what is there is no file")
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
