"""Which release's tables a SQLite file holds, and how new ones are made."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from bot.errors import StoreUnusable

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

#: The schema that this release reads and writes (PRAGMA user_version).
SCHEMA_VERSION = 1


def is_empty(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the file has no tables yet. Writes nothing; `StoreUnusable` for tables that are not ours."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version not in (0, SCHEMA_VERSION):
        raise StoreUnusable(
            f"the store {path} has schema {version}, this release reads {SCHEMA_VERSION};"
            " install the release that wrote it, or restore a backup of this one's"
        )
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables and not version:
        raise StoreUnusable(f"{path} is another program's database; set STORE_URL to a file of its own")
    return not tables


def create_tables(connection: sqlite3.Connection) -> None:
    """Make the tables of `schema.sql`, all or none: a crash leaves an empty file, never half a schema."""
    schema = resources.files("bot.store.sqlite").joinpath("schema.sql").read_text(encoding="utf-8")
    connection.executescript(f"BEGIN; {schema} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
