"""What `check` looks at in the store. It makes and changes nothing."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import quote

from bot.errors import StoreUnusable
from bot.findings import Finding, Verdict
from bot.store import schema, store_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SUBJECT = "store"

#: How long to wait for whoever holds the store at this moment, in seconds.
_LOCK_WAIT_SECONDS = 2.0


async def check_store(url: str) -> Sequence[Finding]:
    """Judge a store that no worker holds: can it be used, or made. Raises nothing but for a wrong URL."""
    return [await asyncio.to_thread(_judge, store_path(url))]


def held_by_worker(url: str) -> Finding:
    """Return the finding that the running worker has the store open, and answers."""
    return _fine(f"{store_path(url)}, held by the worker that runs")


def perhaps_held(url: str, reason: str) -> Finding:
    """Return the finding that a worker may have the store, but cannot be asked for `reason`."""
    detail = f"whether a worker holds {store_path(url)} cannot be told: {reason}"
    return _failed(
        detail, "run `check` as the user that the worker runs as; if you are, read the worker's log"
    )


def _judge(path: Path) -> Finding:
    folder = path.parent
    if not folder.is_dir():
        return _failed(
            f"the folder {folder} does not exist", "create it for the worker's user, or set STORE_URL"
        )
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return _not_permitted(f"the folder {folder}")
    if not path.exists():
        return _fine(f"{path} will be made at the first run")
    if path.is_dir():
        return _failed(f"{path} is a folder", "set STORE_URL to a file in it")
    if not os.access(path, os.R_OK | os.W_OK):
        return _not_permitted(f"the file {path}")
    return _judge_file(path)


def _judge_file(path: Path) -> Finding:
    try:
        is_empty = _is_empty(path)
    except StoreUnusable as error:
        detail, _, remedy = str(error).rpartition("; ")
        return _failed(detail, remedy)
    except sqlite3.Error as error:
        return _unreadable(path, error)
    if is_empty:
        return _fine(f"{path} is empty; its tables will be made at the first run")
    return _fine(f"{path}, schema {schema.SCHEMA_VERSION}, held by nobody")


def _is_empty(path: Path) -> bool:
    """Look into the file as `schema.is_empty` does, with its errors and SQLite's own."""
    # Read-only, so that nothing is converted or checkpointed. After a clean stop all is in the one file,
    # which `immutable` reads without making another beside it; after a crash the log counts too.
    after_crash = path.with_name(f"{path.name}-wal").exists()
    how = "mode=ro" if after_crash else "immutable=1"
    uri = f"file:{quote(str(path))}?{how}"
    with closing(sqlite3.connect(uri, uri=True, timeout=_LOCK_WAIT_SECONDS)) as connection:
        return schema.is_empty(connection, path)


def _unreadable(path: Path, error: sqlite3.Error) -> Finding:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return _failed(
            f"{path} is held by another process, and that is no worker", f"see who: fuser -v {path}"
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return _failed(
            f"{path} is corrupt or no SQLite database ({error})", "restore a backup, or set STORE_URL"
        )
    return _failed(
        f"{path} cannot be read ({error})", "check the disk and the permissions of file and folder"
    )


def _not_permitted(what: str) -> Finding:
    return _failed(
        f"{what} may not be written by this user",
        "run `check` as the user that the worker runs as; if you are, give it to that user (chown), or set"
        " STORE_URL",
    )


def _fine(detail: str) -> Finding:
    return Finding(subject=SUBJECT, verdict=Verdict.OK, detail=detail)


def _failed(detail: str, remedy: str) -> Finding:
    return Finding(subject=SUBJECT, verdict=Verdict.FAILED, detail=detail, remedy=remedy)
