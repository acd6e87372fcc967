"""Opens a SQLite file: creates it if allowed, locks it, checks it, creates or upgrades its tables."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from importlib import resources
from pathlib import Path
from urllib.parse import quote

from bot.clock import utc_now
from bot.errors import StartRefused, StoreUnusable
from bot.store.sqlite.head import Head, Note, Notes, head_path, log_path, read_notes
from bot.store.sqlite.past import BACKUP, Past, PastRow, find_mismatch, new_identity, read_past

#: The schema that this release reads and writes (PRAGMA user_version).
SCHEMA_VERSION = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class _Step:
    """What upgrades a schema to the next version. Existing columns keep their meaning."""

    tables: Sequence[str] = ()  #: created as `schema.sql` has them, with their indexes
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)  #: added, by table
    indexes: Sequence[str] = ()  #: created on existing tables


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
        tables=["past", "restore", "conversation", "found_question", "event"],
        columns={
            "question": [
                "read_at INTEGER",
                "is_unsure INTEGER NOT NULL DEFAULT 0",
                "refusals INTEGER NOT NULL DEFAULT 0",
                "trail_hash TEXT NOT NULL DEFAULT ''",
                "report_hash TEXT NOT NULL DEFAULT ''",
            ]
        },
    ),
    4: _Step(
        indexes=[
            "question_invalid ON question (accepted_at) WHERE reason = 'invalid_request'",
            "report_parked ON report (parked_at) WHERE parked_at IS NOT NULL",
        ]
    ),
    5: _Step(
        tables=["attempt", "inquiry", "places"],
        columns={
            "question": [
                "needs_factor INTEGER NOT NULL DEFAULT 0",
                "proofs INTEGER NOT NULL DEFAULT 0",
                "proof_code TEXT NOT NULL DEFAULT ''",
                "retry_at INTEGER",
                "proved_at INTEGER",
                "unreported INTEGER NOT NULL DEFAULT 0",
                "card_secret TEXT NOT NULL DEFAULT ''",
                "assignments TEXT NOT NULL DEFAULT ''",
                "waits_for TEXT NOT NULL DEFAULT ''",
                "waited_since INTEGER",
            ]
        },
        indexes=[
            "question_taken ON question (taken_by, accepted_at) WHERE taken_by <> ''",
            "question_waiting ON question (waits_for, alert, accepted_at) WHERE waits_for <> ''",
        ],
    ),
}

#: How long to wait for another process to release the store, in milliseconds.
LOCK_WAIT_MS = 5000


#: The tables that are checked before a store is used; `check --deep` checks all of it.
CHECKED_TABLES = ("question", "report")

_HARMLESS = "Harmless if only NAME.head was not copied with the file, or was copied at another time"
_WAY_ON = "start once with `triage-bot run --restored`: the worker then looks in Slack before it asks"


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenFile:
    """An open store: its connection, its past, and how to reopen the file."""

    connection: sqlite3.Connection
    past: Past
    reopen: Callable[[], sqlite3.Connection]


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspection:
    """What an inspection of a store found; it changes nothing."""

    version: int = 0  #: of the schema; 0: there are no tables
    past: PastRow | None = None
    notes: Notes = None
    corruption: str = ""  #: what is corrupt; "" if nothing is, or if nothing was checked
    has_foreign_log: bool = False  #: the log next to a backup is that of the store it was made from

    @property
    def mismatch(self) -> str:
        """Why the store is not what it was; "" if it is."""
        return find_mismatch(self.past, self.notes, has_tables=bool(self.version))


def open_file(
    path: Path, *, create: bool, restored: bool = False, clock: Callable[[], datetime] = utc_now
) -> OpenFile:
    """Open and lock a store and its head; `restored`: it need not be what it was, and `Past.restore` follows.

    `StoreUnusable`, `StartRefused`: see `bot.store.open_store`.
    """
    _require_file(path, create=create)
    with contextlib.ExitStack() as given_up, _explaining(path):
        if head := Head.open(head_path(path)):
            given_up.callback(head.close)
        found = inspect_file(path)
        _require_sound(path, found, accept_mismatch=restored)
        is_bound = not found.mismatch
        identity = new_identity()
        if found.notes and found.past is None and is_bound:
            identity = found.notes[0].identity  # of a creation that was interrupted
        if is_bound and (head is None or (found.past and found.past.replaces)):
            known = found.past or Note(identity=identity, commits=0)
            made = Head.make(head_path(path), Note(identity=known.identity, commits=known.commits))
            given_up.callback(made.close)
            if head:
                head.close()
            head = made
        _create_file(path)
        connection = _connect(path)
        given_up.callback(connection.close)
        _bring_up_to_date(connection, path, identity)
        row = read_past(connection)
        if row is None:
            raise StoreUnusable(f"the store {path} has lost the row of its identity; restore a backup")
        past = Past(path, row, head=head, found=found.notes, is_bound=is_bound, clock=clock)
        past.mark_open()
        given_up.pop_all()
    return OpenFile(connection=connection, past=past, reopen=partial(_connect, path))


def open_to_read(
    path: Path, *, restored: bool = True, on_mismatch: Callable[[str], None] = lambda _: None
) -> sqlite3.Connection:
    """Open and lock a database for reading: SQLite refuses every write to it, and no schema is upgraded.

    A store that is not what it was is refused unless `restored`; then `on_mismatch` is told why.
    `StoreUnusable`, `StartRefused`: see `bot.store.open_store`; also `StoreUnusable` if it has no tables.
    Closing it merges a write-ahead log left by a crash into the file, as usual; no row changes by that. The
    files of a store that is not what it was stay as they are.
    """
    _require_file(path, create=False)
    with _explaining(path):
        found = inspect_file(path)
        _require_sound(path, found, accept_mismatch=restored and found.version > 0)
        if not found.version:
            raise StoreUnusable(f"the store {path} is empty; name the file that the worker used")
        if found.mismatch:
            on_mismatch(found.mismatch)
            return _connect_read_only(path)
        connection = _plain_connection(path)
        with _closed_on_error(connection):
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            _lock(connection)
            connection.execute("PRAGMA query_only=ON")
            return connection


def needs_upgrade(path: Path) -> bool:
    """Whether a store has an earlier schema, and may be upgraded: it is what it was. As `inspect_file`."""
    _require_file(path, create=False)
    with _explaining(path):
        found = inspect_file(path)
        return 0 < found.version < SCHEMA_VERSION and not found.mismatch


def inspect_file(path: Path, *, tables: Sequence[str] = CHECKED_TABLES, always: bool = False) -> Inspection:
    """Inspect a store and its head, without changing them.

    `tables` (none: all) are checked if the last stop was not clean or the file has changed since, or
    `always`. Raises `StoreUnusable` as `version_of` does, and `sqlite3.Error` or `OSError` if a file cannot
    be read.
    """
    notes = read_notes(head_path(path))
    if not path.exists() or not path.stat().st_size:
        return Inspection(notes=notes)
    has_log = log_path(path).exists()
    with contextlib.closing(_connect_read_only(path)) as connection:
        version = version_of(connection, path)
        has_changed = notes and notes[0].file != _size_and_time(path)
        is_suspect = always or has_log or bool(has_changed)
        past = read_past(connection)
        if has_log and past and _is_replayed_into_backup(path, past):
            return Inspection(version=version, past=past, notes=notes, has_foreign_log=True)
        corruption = _check(connection, tables) if version and is_suspect else ""
        return Inspection(version=version, past=past, notes=notes, corruption=corruption)


def _is_replayed_into_backup(path: Path, past: PastRow) -> bool:
    """Whether the file alone is a marked backup of a store whose log, next to it, hides the mark."""
    with contextlib.suppress(sqlite3.Error), contextlib.closing(_connect_to_file_alone(path)) as connection:
        alone = read_past(connection)
        return bool(alone and alone.is_backup and not past.is_backup and alone.identity == past.identity)
    return False


def refusal_of(path: Path, mismatch: str) -> str:
    """Return the error for a store that is not what it was, with the remedy."""
    if mismatch == BACKUP:
        return f"the store {path} is not what it was: {mismatch}; {_WAY_ON}"
    why = f"{mismatch}. {_HARMLESS}".replace("NAME.head", head_path(path).name)
    return f"the store {path} is not what it was: {why}; put back what belongs together, or {_WAY_ON}"


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


def _require_sound(path: Path, found: Inspection, *, accept_mismatch: bool) -> None:
    if found.has_foreign_log:
        raise StoreUnusable(foreign_log_refusal(path))
    if found.corruption:
        raise StoreUnusable(f"the store {path} is corrupt ({found.corruption}); restore a backup")
    if found.mismatch and not accept_mismatch:
        raise StoreUnusable(refusal_of(path, found.mismatch))


def _plain_connection(address: Path | str) -> sqlite3.Connection:
    wait = LOCK_WAIT_MS / 1000
    return sqlite3.connect(
        address, isolation_level=None, check_same_thread=False, timeout=wait, uri=isinstance(address, str)
    )


def _connect_read_only(path: Path) -> sqlite3.Connection:
    """Connect in a way that changes no file: closing a writable connection would merge the log into the file.

    After a clean stop the one file has everything.
    """
    if not log_path(path).exists():
        return _connect_to_file_alone(path)
    return _plain_connection(f"file:{quote(str(path.absolute()))}?mode=ro")


def _connect_to_file_alone(path: Path) -> sqlite3.Connection:
    """Connect to what is in the one file; no other is read or created."""
    return _plain_connection(f"file:{quote(str(path.absolute()))}?immutable=1")


def _connect(path: Path) -> sqlite3.Connection:
    """Connect, and lock the file for as long as the connection is open."""
    connection = _plain_connection(path)
    with _closed_on_error(connection):
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        version_of(connection, path)  # before any write: the file may not be ours
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")
        _lock(connection)
    return connection


def _bring_up_to_date(connection: sqlite3.Connection, path: Path, identity: str) -> None:
    version = version_of(connection, path)
    if version:
        _migrate(connection, version, identity)
    else:
        _create_tables(connection, identity)


@contextlib.contextmanager
def _closed_on_error(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    try:
        yield connection
    except BaseException:
        connection.close()
        raise


@contextlib.contextmanager
def _explaining(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise _explain_refusal(error, path) from error
    except PermissionError as error:
        raise StoreUnusable(f"this user cannot write to {error.filename}: {error.strerror}") from error
    except OSError as error:
        raise StartRefused(f"the store {path} cannot be opened: {error.strerror}") from error


def _create_tables(connection: sqlite3.Connection, identity: str) -> None:
    """Create the tables of `schema.sql` in one transaction: a crash never leaves half a schema."""
    _change_schema(connection, f"{_schema()} {_identify(identity)}", SCHEMA_VERSION)


def _migrate(connection: sqlite3.Connection, version: int, identity: str) -> None:
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
        identify = _identify(identity) if "past" in step.tables else ""
        _change_schema(connection, f"{'; '.join(changes)}; {identify}", earlier + 1)


def _change_schema(connection: sqlite3.Connection, script: str, version: int) -> None:
    connection.executescript(f"BEGIN; {script} PRAGMA user_version = {version}; COMMIT;")


def _identify(identity: str) -> str:
    """Return the statement that gives a store its identity.

    When it was last written is not known: if its file was lost, a restore must look back as far as it can.
    """
    return f"INSERT INTO past (id, identity, commits, written_at) VALUES (1, '{identity}', 0, NULL);"


def _schema() -> str:
    return resources.files("bot.store.sqlite").joinpath("schema.sql").read_text(encoding="utf-8")


def _statements_of(tables: Sequence[str]) -> list[str]:
    """Return the statements of `schema.sql` that create these tables and their indexes."""
    with contextlib.closing(sqlite3.connect(":memory:")) as blank:
        blank.executescript(_schema())
        created = blank.execute("SELECT tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return [sql for table, sql in created if table in tables]


def foreign_log_refusal(path: Path) -> str:
    """Return the sentence for a backup next to a log that is not its own, and the remedy."""
    log = log_path(path).name
    return f"the store {path} is a backup, and {log} next to it belongs to another store; remove {log}"


def _require_file(path: Path, *, create: bool) -> None:
    """Refuse what cannot be a store, before anything is created."""
    try:
        if not path.parent.is_dir():
            raise StoreUnusable(
                f"the store's folder {path.parent} does not exist; create it, or set STORE_URL"
            )
        if path.is_dir():
            raise StoreUnusable(f"the store {path} is a folder; set STORE_URL to a file in it")
        if path.exists():
            if not path.is_file():
                raise StoreUnusable(f"the store {path} is not a file; set STORE_URL to a file")
            os.close(os.open(path, os.O_RDWR))
            return
    except PermissionError as error:
        raise StoreUnusable(f"this user cannot write to the store {path}: {error.strerror}") from error
    except OSError as error:
        raise StartRefused(f"the store {path} cannot be opened: {error.strerror}") from error
    if not create:
        raise StoreUnusable(f"there is no store at {path}; `triage-bot run` creates it (see STORE_URL)")


def _create_file(path: Path) -> None:
    """Create the file, for its owner only, unless it exists."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _lock(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN EXCLUSIVE")
    connection.execute("COMMIT")


def _check(connection: sqlite3.Connection, tables: Sequence[str]) -> str:
    """Return what is corrupt in these tables; "" if nothing is."""
    for pragma in [f"quick_check({table})" for table in tables] or ["integrity_check(1)"]:
        verdict = str(connection.execute(f"PRAGMA {pragma}").fetchone()[0])
        if verdict != "ok":
            return " ".join(verdict.replace("*", "").split())
    return ""


def _size_and_time(path: Path) -> tuple[int, int]:
    there = path.stat()
    return there.st_size, there.st_mtime_ns


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
