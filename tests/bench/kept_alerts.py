"""Stores as they are after months: made of alerts that the worker itself went through, many times over."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bot.store import open_store
from bot.store.sqlite.head import head_path

from .arena import Arena
from .contestants import OURS

STORE: Final = "triage-bot.db"

#: Alerts of the pattern: answered ones, and such as wait for their answer.
_ANSWERED, _OPEN = 98, 2

#: The oldest is two days younger than the oldest that the worker keeps, so that nothing is removed meanwhile.
_SPREAD_SECONDS: Final = 28 * 24 * 3600

#: How many people there are for each person of the pattern.
_PEOPLE: Final = 50

_MOMENTS: Final = re.compile("at|.*_at|.*_since")

_NUMBERS: Final = """WITH RECURSIVE number(n) AS
    (SELECT 1 WHERE :copies > 0 UNION ALL SELECT n + 1 FROM number WHERE n < :copies)"""

_SOURCES: Final = {
    "question": "pattern.question AS question",
    "report": "pattern.question AS question JOIN pattern.report AS report ON report.key = question.key",
    "event": "pattern.question AS question JOIN pattern.event AS event ON event.key = question.key",
}


def make_pattern(folder: Path) -> Path:
    """Run the worker through some alerts, and stop it; return its store."""
    folder.mkdir()
    with Arena(OURS, None, folder=folder) as arena:
        arena.start()
        arena.order("cycles", count=_ANSWERED, concurrency=_ANSWERED)
        arena.order("flood", count=_OPEN)
        arena.process.stop()
    return folder / STORE


def multiply(pattern: Path, target: Path, *, alerts: int) -> None:
    """Write a store with this many alerts, each like one of the pattern."""
    for source, copy in ((pattern, target), (head_path(pattern), head_path(target))):
        shutil.copyfile(source, copy)
    with contextlib.closing(sqlite3.connect(target, isolation_level=None)) as store:
        store.create_function("key_of", 1, _key, deterministic=True)
        # Nobody is hurt if this one is lost.
        for pragma in ("journal_mode=MEMORY", "synchronous=OFF", "cache_size=-400000"):
            store.execute(f"PRAGMA {pragma}")
        store.execute("ATTACH ? AS pattern", (str(pattern),))
        store.execute("BEGIN")
        for statement in _statements(store):
            store.execute(statement, {"copies": alerts // (_ANSWERED + _OPEN)})
        store.execute("COMMIT")
    asyncio.run(_open_once(target))
    os.sync()  # or the worker's first commits wait until all of this is on the disk


async def _open_once(store: Path) -> None:
    """Record in the head what the file looks like now: a file that has changed is checked at the start."""
    opened = await open_store(f"sqlite:///{store}")
    await opened.close()


def _statements(store: sqlite3.Connection) -> Iterator[str]:
    """Yield what empties the tables and fills them again: the pattern's own identifiers come once more."""
    yield from (f"DELETE FROM main.{table}" for table in reversed(_SOURCES))
    for table, source in _SOURCES.items():
        columns = [row[1] for row in store.execute(f"PRAGMA main.table_info({table})")]
        values = ", ".join(_copied(table, column) for column in columns)
        into = f"INSERT INTO main.{table} ({', '.join(columns)})"
        yield f"{into} {_NUMBERS} SELECT {values} FROM number JOIN {source}"


def _copied(table: str, column: str) -> str:
    """Return the SQL of a column of the n-th copy: another alert, another person, another time."""
    identifier = "'kept-' || question.identifier || '-' || n"
    if column == "key":
        return f"key_of({identifier})"
    if column == "identifier":
        return identifier
    if column == "event_id":
        return "report.event_id || '-' || n"
    if column in ("user", "slack_id"):
        return f"question.{column} || (n % {_PEOPLE})"
    if _MOMENTS.fullmatch(column):
        # What is open is of today: it must not fall due while it is measured.
        age = f"n * {_SPREAD_SECONDS * 1_000_000} / :copies"
        return f"{table}.{column} - iif(question.standing = '', 0, {age})"
    return f"{table}.{column}"


def _key(identifier: str) -> str:
    return hashlib.sha256(identifier.encode()).hexdigest()[:32]
