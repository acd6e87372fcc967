"""Checks a SQLite store and the disk it is on. Creates and changes nothing."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from bot.cli.checks.findings import Finding
from bot.errors import StoreUnusable
from bot.store.address import is_shared, store_path
from bot.store.sqlite.head import head_path
from bot.store.sqlite.opening import (
    CHECKED_TABLES,
    SCHEMA_VERSION,
    foreign_log_refusal,
    inspect_file,
    refusal_of,
)

SUBJECT = "store"
DISK = "store's disk"

MEBIBYTE = 1024 * 1024

#: Ten thousand alerts take about 20 MiB, and a backup takes as much as the store.
ROOMY_BYTES = 512 * MEBIBYTE
#: Below this, a checkpoint may run out of space.
FULL_BYTES = 32 * MEBIBYTE

#: Where systemd creates the folder of a service (StateDirectory=), and nobody else should.
STATE_ROOT = Path("/var/lib")


async def check_store(url: str, *, region: str | None = None, deep: bool = False) -> Sequence[Finding]:
    """Judge whether a store that no worker has open can be used, or created.

    `region` applies to a table whose URL names none; `deep` also checks every part of a file. Raises
    `ConfigError` if the URL is wrong, else nothing.
    """
    if is_shared(url):
        from bot.cli.checks.dynamodb import check_table
        from bot.store.address import parse_address

        return await check_table(parse_address(url, region=region))
    path = store_path(url)
    return [await asyncio.to_thread(_judge, path, deep=deep), *check_disk(url)]


def held_by_worker_finding(url: str, trouble: str, *, is_replaced: bool = False) -> Finding:
    """Return the finding that the running worker has the store open; `trouble`: why it cannot write.

    `is_replaced`: because the file is gone, or another is in its place.
    """
    path = store_path(url)
    if is_replaced:
        remedy = (
            f"the worker ends once it has written {path.name}.rescue next to it: put that in its place, and"
            " start once with `triage-bot run --restored`"
        )
        return Finding.failed(SUBJECT, f"{path}: {trouble}", remedy)
    if trouble:
        remedy = f"free space or repair the disk (df -h {path.parent}); the worker then recovers by itself"
        return Finding.failed(SUBJECT, f"{path}, open in the running worker: {trouble}", remedy)
    return Finding.ok(SUBJECT, f"{path}, open in the running worker, accepts writes")


def check_disk(url: str) -> Sequence[Finding]:
    """Judge the free space where the store is; return nothing if its folder does not exist."""
    folder = store_path(url).parent
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return []
    return [judge_disk(folder, free)]


def judge_disk(folder: Path, free: int) -> Finding:
    """Judge the free space in a folder, in bytes: below 512 MiB is a warning, below 32 MiB a failure."""
    detail = f"{free // MEBIBYTE} MiB free in {folder}"
    if free >= ROOMY_BYTES:
        return Finding.ok(DISK, detail)
    judge = Finding.warning if free >= FULL_BYTES else Finding.failed
    return judge(DISK, detail, f"free some space: du -xh {folder} | sort -h")


def perhaps_held_finding(url: str, reason: str) -> Finding:
    """Return the finding that a worker may have the store open but cannot be asked; `reason` says why."""
    detail = f"cannot tell whether a worker has {store_path(url)} open: {reason}"
    remedy = "run `check` as the worker's user; if you already do, read the worker's log"
    return Finding.failed(SUBJECT, detail, remedy)


def _judge(path: Path, *, deep: bool) -> Finding:
    folder = path.parent
    if not folder.is_dir():
        return _no_folder_finding(folder)
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return _not_permitted_finding(f"the folder {folder}")
    if path.is_dir():
        return Finding.failed(SUBJECT, f"{path} is a folder", "set STORE_URL to a file in it")
    if path.exists() and not path.is_file():
        return Finding.failed(SUBJECT, f"{path} is not a file", "set STORE_URL to a file")
    files = [each for each in (path, head_path(path)) if each.exists()]
    if locked := [each for each in files if not os.access(each, os.R_OK | os.W_OK)]:
        return _not_permitted_finding(f"the file {locked[0]}")
    return _judge_file(path, deep=deep)


def _no_folder_finding(folder: Path) -> Finding:
    if folder.parent != STATE_ROOT:
        remedy = "create it for the worker's user, or set STORE_URL"
        return Finding.failed(SUBJECT, f"the folder {folder} does not exist", remedy)
    detail = f"the folder {folder} does not exist yet: the service creates it at its first start"
    remedy = "start the service; without systemd, create the folder for the worker's user"
    return Finding.warning(SUBJECT, detail, remedy)


def _judge_file(path: Path, *, deep: bool) -> Finding:
    try:
        found = inspect_file(path, tables=() if deep else CHECKED_TABLES, always=True)
    except StoreUnusable as error:
        return _finding_of(str(error))
    except (sqlite3.Error, OSError) as error:
        return _explain_unreadable(path, error)
    if found.has_foreign_log:
        return _finding_of(foreign_log_refusal(path))
    if found.corruption:
        return _corrupt_finding(path, found.corruption)
    if found.mismatch:
        return _finding_of(refusal_of(path, found.mismatch))
    return Finding.ok(SUBJECT, f"{path}{_describe(path, found.version, deep=deep)}")


def check_copy(subject: str, copy: Path, *, of: Path) -> Finding:
    """Judge every part of a store by a copy of it, page by page."""
    try:
        corruption = inspect_file(copy, tables=(), always=True).corruption
    except (StoreUnusable, sqlite3.Error) as error:
        corruption = str(error)
    return _corrupt_finding(of, corruption, subject) if corruption else Finding.ok(subject, f"{of} is intact")


def _corrupt_finding(path: Path, corruption: str, subject: str = SUBJECT) -> Finding:
    return Finding.failed(
        subject, f"{path} is corrupt ({corruption})", "restore a backup: see docs/operate.md"
    )


def _finding_of(refusal: str) -> Finding:
    detail, _, remedy = refusal.rpartition("; ")
    return Finding.failed(SUBJECT, detail, remedy)


def _describe(path: Path, version: int, *, deep: bool) -> str:
    if not path.exists():
        return " will be created at the first run"
    if not version:
        return " is empty; its tables will be created at the first run"
    later = "" if version == SCHEMA_VERSION else f" (upgraded to {SCHEMA_VERSION} when the worker starts)"
    return f", schema {version}{later}, not in use, intact{' in every part' if deep else ''}"


def _explain_unreadable(path: Path, error: sqlite3.Error | OSError) -> Finding:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        detail = f"{path} is locked by another process, which is not a worker"
        return Finding.failed(SUBJECT, detail, f"find it: fuser -v {path}")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        detail = f"{path} is corrupt or not a SQLite database ({error})"
        return Finding.failed(SUBJECT, detail, "restore a backup, or set STORE_URL")
    remedy = "check the disk and the permissions of file and folder"
    return Finding.failed(SUBJECT, f"{path} cannot be read ({error})", remedy)


def _not_permitted_finding(what: str) -> Finding:
    remedy = "run `check` as the worker's user; if you already do, chown it to that user, or set STORE_URL"
    return Finding.failed(SUBJECT, f"this user cannot write to {what}", remedy)
