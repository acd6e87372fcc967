"""What `check` looks at in the store. It makes and changes nothing."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from bot.cli.checks.findings import Finding, Verdict
from bot.errors import StoreUnusable
from bot.store.address import is_shared, store_path
from bot.store.sqlite.opening import SCHEMA_VERSION, version_of

if TYPE_CHECKING:
    from collections.abc import Sequence

SUBJECT = "store"

DISK = "store's disk"

MEBIBYTE = 1024 * 1024

#: Ten thousand alerts take some 20 MiB, and a backup takes as much as the store.
ROOMY_BYTES = 512 * MEBIBYTE
#: With less than this a checkpoint may find no room.
FULL_BYTES = 32 * MEBIBYTE

#: Where systemd makes a service's folder (StateDirectory=), and nobody else should.
STATE_ROOT = Path("/var/lib")

#: How long to wait for whoever holds the store at this moment, in seconds.
_LOCK_WAIT_SECONDS = 2.0


async def check_store(url: str, *, region: str | None = None) -> Sequence[Finding]:
    """Judge a store that no worker holds: can it be used, or made. Raises nothing but for a wrong URL.

    `region` counts for a table whose URL names none.
    """
    if is_shared(url):
        from bot.cli.checks.dynamodb import check_table
        from bot.store.address import parse_address

        return await check_table(parse_address(url, region=region))
    path = store_path(url)
    return [await asyncio.to_thread(_judge, path), *check_disk(url)]


def held_by_worker(url: str, trouble: str) -> Finding:
    """Return the finding that the running worker has the store open; `trouble`: why it takes no writes."""
    path = store_path(url)
    if trouble:
        remedy = f"free space or mend the disk (df -h {path.parent}); the worker goes on by itself"
        return _failed(f"{path}, held by the worker that runs: {trouble}", remedy)
    return _fine(f"{path}, held by the worker that runs, takes writes")


def check_disk(url: str) -> Sequence[Finding]:
    """Judge the room that is left where the store is; nothing if there is no such place."""
    folder = store_path(url).parent
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return []
    return [disk_finding(folder, free)]


def disk_finding(folder: Path, free: int) -> Finding:
    """Judge the bytes that are free in a folder."""
    detail = f"{free // MEBIBYTE} MiB free in {folder}"
    if free >= ROOMY_BYTES:
        return Finding(subject=DISK, verdict=Verdict.OK, detail=detail)
    verdict = Verdict.WARNING if free >= FULL_BYTES else Verdict.FAILED
    remedy = f"free some: du -xh {folder} | sort -h"
    return Finding(subject=DISK, verdict=verdict, detail=detail, remedy=remedy)


def perhaps_held(url: str, reason: str) -> Finding:
    """Return the finding that a worker may have the store, but cannot be asked for `reason`."""
    detail = f"whether a worker holds {store_path(url)} cannot be told: {reason}"
    return _failed(
        detail, "run `check` as the user that the worker runs as; if you are, read the worker's log"
    )


def _judge(path: Path) -> Finding:
    folder = path.parent
    if not folder.is_dir():
        return _no_folder(folder)
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return _not_permitted(f"the folder {folder}")
    if not path.exists():
        return _fine(f"{path} will be made at the first run")
    if path.is_dir():
        return _failed(f"{path} is a folder", "set STORE_URL to a file in it")
    if not os.access(path, os.R_OK | os.W_OK):
        return _not_permitted(f"the file {path}")
    return _judge_file(path)


def _no_folder(folder: Path) -> Finding:
    if folder.parent != STATE_ROOT:
        remedy = "create it for the worker's user, or set STORE_URL"
        return _failed(f"the folder {folder} does not exist", remedy)
    return Finding(
        subject=SUBJECT,
        verdict=Verdict.WARNING,
        detail=f"the folder {folder} does not exist yet: the service makes it at its first start",
        remedy="start the service; without systemd, create the folder for the worker's user",
    )


def _judge_file(path: Path) -> Finding:
    try:
        version, verdict = _looked_into(path)
    except StoreUnusable as error:
        detail, _, remedy = str(error).rpartition("; ")
        return _failed(detail, remedy)
    except sqlite3.Error as error:
        return _unreadable(path, error)
    if not version:
        return _fine(f"{path} is empty; its tables will be made at the first run")
    if verdict != "ok":
        return _failed(f"{path} is corrupt ({verdict})", "restore a backup: see docs/operate.md")
    later = "" if version == SCHEMA_VERSION else f" (the worker brings it to {SCHEMA_VERSION} when it starts)"
    return _fine(f"{path}, schema {version}{later}, held by nobody, whole")


def _looked_into(path: Path) -> tuple[int, str]:
    """Tell which schema the file has (errors of `version_of`, and SQLite's own), and if it is whole."""
    # Read-only, so that nothing is converted or checkpointed. After a clean stop all is in the one file,
    # which `immutable` reads without making another beside it; after a crash the log counts too.
    after_crash = path.with_name(f"{path.name}-wal").exists()
    how = "mode=ro" if after_crash else "immutable=1"
    uri = f"file:{quote(str(path))}?{how}"
    with closing(sqlite3.connect(uri, uri=True, timeout=_LOCK_WAIT_SECONDS)) as connection:
        return version_of(connection, path), str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])


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
