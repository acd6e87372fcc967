"""Stores in files of their own."""

from __future__ import annotations

import re
import sqlite3
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from fakes import NOON, a_request

from bot.store import OpenStore, open_store
from bot.store.sqlite.connection import Database
from bot.store.sqlite.opening import _MIGRATIONS, open_file
from bot.triage.asking_rules import new_ref
from bot.triage.model import Change, Question

REPOSITORY = Path(__file__).resolve().parents[2]
WRITER = Path(__file__).with_name("store_writer.py")

#: The last version of the schema without identity.
_FORMER = 3


@asynccontextmanager
async def opened(path: Path, *, create: bool = True) -> AsyncIterator[OpenStore]:
    store = await open_store(f"sqlite:///{path}", create=create)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def a_database(path: Path) -> AsyncIterator[Database]:
    store = open_file(path, create=True)
    store.connection.execute("CREATE TABLE fact (name TEXT PRIMARY KEY)")
    database = Database(store.connection, store.past, reopen=store.reopen)
    try:
        yield database
    finally:
        await database.close()


def a_question(identifier: str) -> Question:
    ref = new_ref(identifier, "0" * 32)
    return Question(request=a_request(identifier), ref=ref, accepted_at=NOON, due_at=NOON)


async def fill(path: Path, count: int = 1) -> None:
    async with opened(path) as store:
        await store.add([Change(question=a_question(f"alert-{number}")) for number in range(count)])


def contents(folder: Path) -> dict[str, bytes | None]:
    """Return what is in each file of a folder; None for a folder within it."""
    return {each.name: each.read_bytes() if each.is_file() else None for each in folder.iterdir()}


def modes_in(folder: Path) -> dict[str, int]:
    return {each.name: stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()}


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def undo_upgrade(path: Path) -> None:
    """Leave the file as a former release had it, without identity."""
    steps = [step for version, step in _MIGRATIONS.items() if version >= _FORMER]
    added = [item for step in steps for item in step.columns.items()]
    columns = [(table, each.split()[0]) for table, names in added for each in names]
    with closing(sqlite3.connect(path)) as connection:
        # SQLite cannot drop the last column of a table where a comment stands before it.
        connection.execute("PRAGMA writable_schema = ON")
        tables = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall()
        bare = [(re.sub("--.*", "", sql), name) for name, sql in tables if sql]
        connection.executemany("UPDATE sqlite_master SET sql = ? WHERE name = ?", bare)
        connection.commit()
    execute(
        path,
        *(f"DROP INDEX {each.split()[0]}" for step in steps for each in step.indexes),
        *(f"DROP TABLE {table}" for step in steps for table in step.tables),
        *(f"ALTER TABLE {table} DROP COLUMN {name}" for table, name in columns),
        f"PRAGMA user_version = {_FORMER}",
    )


def overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)
