"""Opening a SQLite file: made if it may be, locked, looked at, given tables. A refusal says what to do."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from importlib import resources
from typing import TYPE_CHECKING

from bot.errors import StartRefused, StoreUnusable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: The schema that this release reads and writes (PRAGMA user_version).
SCHEMA_VERSION = 2

#: What makes of each earlier schema the next. Columns are added and none is changed, so that a row still
#: means what it meant to the release that wrote it.
_MIGRATIONS = {1: "ALTER TABLE report ADD COLUMN facts TEXT NOT NULL DEFAULT ''"}

#: How long to wait for another process to let go of the store, in milliseconds.
LOCK_WAIT_MS = 5000


def connect(path: Path, *, create: bool) -> sqlite3.Connection:
    """Open and lock a database. Errors as `bot.store.open_store` says."""
    return _connected(path, _take, create=create)


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Open and lock a database in which nothing is to change: SQLite refuses every write to it.

    Errors as `bot.store.open_store` says, and `StoreUnusable` for one without tables. A log that a crash has
    left is carried over into the file when it is closed, as by whoever opens it; no row changes by that.
    """
    return _connected(path, _take_to_read, create=False)


def version_of(connection: sqlite3.Connection, path: Path) -> int:
    """Return which schema the file has; 0: it has no tables yet. Writes nothing.

    `StoreUnusable` for the tables of a later release, and for those of another program.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if not 0 <= version <= SCHEMA_VERSION:
        raise StoreUnusable(
            f"the store {path} has schema {version}, this release reads up to {SCHEMA_VERSION};"
            " install the release that wrote it, or restore a backup of this one's"
        )
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables and not version:
        raise StoreUnusable(f"{path} is another program's database; set STORE_URL to a file of its own")
    return version


def _connected(
    path: Path, take: Callable[[sqlite3.Connection, Path], None], *, create: bool
) -> sqlite3.Connection:
    unclean = _prepare_file(path, create=create)
    with contextlib.ExitStack() as given_up:
        try:
            if unclean:
                _check(path)
            connection = sqlite3.connect(
                path, isolation_level=None, check_same_thread=False, timeout=LOCK_WAIT_MS / 1000
            )
            given_up.callback(connection.close)
            take(connection, path)
        except sqlite3.Error as error:
            raise _refusal(error, path) from error
        given_up.pop_all()
    return connection


def _take(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    version = version_of(connection, path)  # before anything is written: it may not be ours
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
    _lock(connection)
    if version:
        _migrate(connection, version)
    else:
        _create_tables(connection)


def _create_tables(connection: sqlite3.Connection) -> None:
    """Make the tables of `schema.sql`, all or none: a crash leaves an empty file, never half a schema."""
    schema = resources.files("bot.store.sqlite").joinpath("schema.sql").read_text(encoding="utf-8")
    connection.executescript(f"BEGIN; {schema} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")


def _migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring the tables of an earlier release up to this one's, each step whole or not at all."""
    for earlier in range(version, SCHEMA_VERSION):
        step = f"{_MIGRATIONS[earlier]}; PRAGMA user_version = {earlier + 1};"
        connection.executescript(f"BEGIN; {step} COMMIT;")


def _take_to_read(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    if not version_of(connection, path):
        raise StoreUnusable(f"the store {path} is empty; name the file that the worker has used")
    _lock(connection)
    connection.execute("PRAGMA query_only=ON")


def _prepare_file(path: Path, *, create: bool) -> bool:
    """Make the file, for its owner only, where it may be made; tell whether it was left by a crash."""
    try:
        if not path.parent.is_dir():
            raise StoreUnusable(
                f"the store's folder {path.parent} does not exist; create it, or set STORE_URL"
            )
        if not path.exists() and not create:
            raise StoreUnusable(f"there is no store at {path}; `triage-bot run` makes it (see STORE_URL)")
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except PermissionError as error:
        raise StoreUnusable(f"the store {path} may not be written by this user: {error.strerror}") from error
    except IsADirectoryError as error:
        raise StoreUnusable(f"the store {path} is a folder; set STORE_URL to a file in it") from error
    except OSError as error:
        raise StartRefused(f"the store {path} cannot be opened: {error.strerror}") from error
    return path.with_name(path.name + "-wal").exists()


def _lock(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN EXCLUSIVE")
    connection.execute("COMMIT")


def _check(path: Path) -> None:
    """Look for damage, and change nothing: who may write carries the log over by closing."""
    address = f"{path.absolute().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(address, uri=True, timeout=LOCK_WAIT_MS / 1000)) as connection:
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise StoreUnusable(f"the store {path} is corrupt ({verdict}); restore a backup")


def _refusal(error: sqlite3.Error, path: Path) -> StartRefused | StoreUnusable:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StartRefused(f"the store {path} is held by another process; stop it first")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StoreUnusable(f"the store {path} is corrupt or no SQLite database ({error}); restore a backup")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN):
        return StoreUnusable(f"the store {path} or its folder may not be written by this user ({error})")
    return StartRefused(f"the store {path} cannot be used: {error}")
