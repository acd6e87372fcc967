"""Opens a SQLite file: creates it if allowed, locks it, checks it, creates or upgrades its tables."""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from bot.errors import StartRefused, StoreUnusable

#: The schema that this release reads and writes (PRAGMA user_version).
SCHEMA_VERSION = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class _Step:
    """What upgrades a schema to the next. Nothing that is there changes: a row keeps its meaning."""

    tables: Sequence[str] = ()  #: created as `schema.sql` has them, with their indexes
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)  #: added, by table
    indexes: Sequence[str] = ()  #: created on tables that were there


#: The step that upgrades each earlier schema to the next.
_MIGRATIONS = {
    1: _Step(columns={"report": ["facts TEXT NOT NULL DEFAULT ''"]}),
    2: _Step(
        columns={
            "question": [
                "occurred_at INTEGER",
                "facts TEXT NOT NULL DEFAULT ''",
                "left_out TEXT NOT NULL DEFAULT ''",
                "is_cut INTEGER NOT NULL DEFAULT 0",
                "note_keys TEXT NOT NULL DEFAULT ''",
                "found_by TEXT NOT NULL DEFAULT ''",
                "other_slack_id TEXT NOT NULL DEFAULT ''",
            ]
        },
        indexes=["question_other_person ON question (other_slack_id) WHERE other_slack_id <> ''"],
    ),
    3: _Step(
        tables=["past", "event"],
        columns={
            "question": [
                "refusals INTEGER NOT NULL DEFAULT 0",
                "trail_hash TEXT NOT NULL DEFAULT ''",
                "report_hash TEXT NOT NULL DEFAULT ''",
            ]
        },
    ),
}

#: How long to wait for another process to release the store, in milliseconds.
LOCK_WAIT_MS = 5000


def connect(path: Path, *, create: bool) -> sqlite3.Connection:
    """Open and lock a database. `StoreUnusable`, `StartRefused`: see `bot.store.open_store`."""
    return _open_locked(path, _take, create=create)


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Open and lock a database for reading: SQLite refuses every write to it.

    `StoreUnusable`, `StartRefused`: see `bot.store.open_store`; also `StoreUnusable` if it has no tables.
    Closing it merges a write-ahead log left by a crash into the file, as usual; no row changes by that.
    """
    return _open_locked(path, _take_to_read, create=False)


def version_of(connection: sqlite3.Connection, path: Path) -> int:
    """Return the file's schema version; 0 if it has no tables yet. Writes nothing.

    `StoreUnusable` if the tables are those of a later release or of another program.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if not 0 <= version <= SCHEMA_VERSION:
        raise StoreUnusable(
            f"the store {path} has schema {version}, but this release reads only up to {SCHEMA_VERSION};"
            " install the release that wrote it, or restore a backup made with this one"
        )
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables and not version:
        raise StoreUnusable(f"{path} is another program's database; set STORE_URL to a file of its own")
    return version


def _open_locked(
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
            raise _explain_refusal(error, path) from error
        given_up.pop_all()
    return connection


def _take(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    version = version_of(connection, path)  # before any write: the file may not be ours
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
    _lock(connection)
    if version:
        _migrate(connection, version)
    else:
        _create_tables(connection)


def _create_tables(connection: sqlite3.Connection) -> None:
    """Create the tables of `schema.sql` in one transaction: a crash never leaves half a schema."""
    _change_schema(connection, f"{_schema()} {_identify('unixepoch() * 1000000')}", SCHEMA_VERSION)


def _migrate(connection: sqlite3.Connection, version: int) -> None:
    """Upgrade the tables of an earlier release, each step in one transaction."""
    for earlier in range(version, SCHEMA_VERSION):
        step = _MIGRATIONS[earlier]
        changes = [
            *_statements_of(step.tables),
            *(
                f"ALTER TABLE {table} ADD COLUMN {each}"
                for table in step.columns
                for each in step.columns[table]
            ),
            *(f"CREATE INDEX {each}" for each in step.indexes),
        ]
        identify = _identify("NULL") if "past" in step.tables else ""
        _change_schema(connection, f"{'; '.join(changes)}; {identify}", earlier + 1)


def _change_schema(connection: sqlite3.Connection, script: str, version: int) -> None:
    connection.executescript(f"BEGIN; {script} PRAGMA user_version = {version}; COMMIT;")


def _identify(written_at: str) -> str:
    """Return the statement that gives a store its identity."""
    values = f"1, '{new_identity()}', 0, {written_at}"
    return f"INSERT INTO past (id, identity, commits, written_at) VALUES ({values});"


def _schema() -> str:
    return resources.files("bot.store.sqlite").joinpath("schema.sql").read_text(encoding="utf-8")


def _statements_of(tables: Sequence[str]) -> list[str]:
    """Return the statements of `schema.sql` that create these tables and their indexes."""
    with contextlib.closing(sqlite3.connect(":memory:")) as blank:
        blank.executescript(_schema())
        created = blank.execute("SELECT tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return [sql for table, sql in created if table in tables]


def new_identity() -> str:
    """Return a random identity for a store: 128 bits in hex."""
    return secrets.token_hex(16)


def _take_to_read(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    if not version_of(connection, path):
        raise StoreUnusable(f"the store {path} is empty; name the file that the worker used")
    _lock(connection)
    connection.execute("PRAGMA query_only=ON")


def _prepare_file(path: Path, *, create: bool) -> bool:
    """Create the file, for its owner only, if allowed; return whether a crash has left it unclean."""
    try:
        if not path.parent.is_dir():
            raise StoreUnusable(
                f"the store's folder {path.parent} does not exist; create it, or set STORE_URL"
            )
        if not path.exists() and not create:
            raise StoreUnusable(f"there is no store at {path}; `triage-bot run` creates it (see STORE_URL)")
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except PermissionError as error:
        raise StoreUnusable(f"this user cannot write to the store {path}: {error.strerror}") from error
    except IsADirectoryError as error:
        raise StoreUnusable(f"the store {path} is a folder; set STORE_URL to a file in it") from error
    except OSError as error:
        raise StartRefused(f"the store {path} cannot be opened: {error.strerror}") from error
    return path.with_name(path.name + "-wal").exists()


def _lock(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN EXCLUSIVE")
    connection.execute("COMMIT")


def _check(path: Path) -> None:
    """Check for corruption, read-only: closing a writable connection would merge the log into the file."""
    address = f"{path.absolute().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(address, uri=True, timeout=LOCK_WAIT_MS / 1000)) as connection:
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise StoreUnusable(f"the store {path} is corrupt ({verdict}); restore a backup")


def _explain_refusal(error: sqlite3.Error, path: Path) -> StartRefused | StoreUnusable:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StartRefused(f"the store {path} is held by another process; stop it first")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StoreUnusable(
            f"the store {path} is corrupt or not a SQLite database ({error}); restore a backup"
        )
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN):
        return StoreUnusable(f"this user cannot write to the store {path} or its folder ({error})")
    return StartRefused(f"the store {path} cannot be used: {error}")
