"""A copy of the store that is taken while it is at work."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from any_store import a_question, a_report, add, sqlite_store
from fakes import a_request

from bot.errors import StoreError
from bot.store import OpenStore, open_store
from bot.store.sqlite.connection import Database
from bot.triage.model import Change, Question

#: Some 6 MB: a copy takes dozens of steps.
COUNT = 600
SUMMARY = "x" * 10_000


class PausingConnection(sqlite3.Connection):
    """Stops a copy after its first step, until it is told to go on."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.begun, self.go_on = threading.Event(), threading.Event()

    def backup(self, target: sqlite3.Connection, *, pages: int = -1, progress: Any = None, **_: Any) -> None:
        def pause(*counts: int) -> None:
            self.begun.set()
            assert self.go_on.wait(30)
            progress(*counts)

        super().backup(target, pages=pages, progress=pause)


Paused = tuple[Database, PausingConnection, asyncio.Task[None]]


@pytest.fixture
async def paused(tmp_path: Path) -> AsyncIterator[Paused]:
    """A database, its connection, and a copy of it that has stopped in the middle."""
    connection = sqlite3.connect(
        tmp_path / "facts.db", factory=PausingConnection, isolation_level=None, check_same_thread=False
    )
    connection.execute("CREATE TABLE fact (name TEXT)")
    connection.execute("BEGIN")  # so that the disk is waited for once, and not for each row
    connection.executemany("INSERT INTO fact VALUES (?)", [("x" * 10_000,)] * 200)
    connection.execute("COMMIT")
    database = Database(connection)
    copying = asyncio.create_task(database.copy_to(tmp_path / "copy.db"))
    assert await asyncio.to_thread(connection.begun.wait, 30)
    yield database, connection, copying
    await database.close()


async def filled(folder: Path) -> tuple[OpenStore, list[Question]]:
    store = await open_store(f"sqlite:///{folder / 'store.db'}", create=True)
    questions = [
        replace(a_question(f"alert-{number}"), request=a_request(f"alert-{number}", summary=SUMMARY))
        for number in range(COUNT)
    ]
    await add(store, *questions)
    return store, questions


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def rows(copy: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(copy)) as connection:
        return connection.execute(query).fetchall()


async def test_a_copy_that_is_taken_while_saves_go_on_is_whole_and_consistent(tmp_path: Path) -> None:
    store, questions = await filled(tmp_path)
    copy, saved_meanwhile = tmp_path / "copy.db", 0
    copying = asyncio.create_task(store.copy_to(copy))

    for number, question in enumerate(questions, start=1):
        report = a_report(identifier=question.request.identifier)
        assert await store.save(Change(question=replace(question, version=1, reports=1), report=report))
        saved_meanwhile = saved_meanwhile if copying.done() else number
    await copying
    await store.close()

    assert rows(copy, "PRAGMA integrity_check") == [("ok",)]
    assert rows(copy, "SELECT count(*) FROM question") == [(COUNT,)]
    assert rows(copy, "SELECT count(*) FROM question WHERE reports <> 0 AND version <> 1") == [(0,)]
    torn = "SELECT 1 FROM question WHERE reports <> (SELECT count(*) FROM report WHERE key = question.key)"
    assert rows(copy, torn) == []
    assert saved_meanwhile > 0  # no save waited for the whole copy


async def test_a_copy_opens_as_a_store_and_is_its_owners_alone(tmp_path: Path) -> None:
    store, questions = await filled(tmp_path)
    await store.copy_to(tmp_path / "copy.db")
    await store.close()
    assert names_in(tmp_path) == {"store.db", "store.db.head", "copy.db"}
    assert stat.S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o600

    copy = await open_store(f"sqlite:///{tmp_path / 'copy.db'}", restored=True)

    assert await copy.load(questions[7].ref) == questions[7]
    assert list(await copy.add([Change(question=a_question("new"))])) == [True]
    await copy.close()


async def test_what_is_written_between_two_steps_is_in_the_copy(tmp_path: Path, paused: Paused) -> None:
    database, connection, copying = paused
    writing = database.write(lambda each: each.execute("INSERT INTO fact VALUES ('in the middle')"))
    await asyncio.sleep(0)

    connection.go_on.set()
    await writing
    await copying

    assert rows(tmp_path / "copy.db", "SELECT name FROM fact WHERE name = 'in the middle'") != []
    assert rows(tmp_path / "copy.db", "PRAGMA integrity_check") == [("ok",)]


async def test_closing_in_the_middle_leaves_nothing_of_the_copy(tmp_path: Path, paused: Paused) -> None:
    database, connection, copying = paused
    assert (tmp_path / "copy.db").exists()
    writing = database.write(lambda each: each.execute("DELETE FROM fact"))
    closing_it = asyncio.create_task(database.close())
    await asyncio.sleep(0)

    connection.go_on.set()

    with pytest.raises(StoreError, match="before the copy was complete"):
        await copying
    await writing
    await closing_it
    assert names_in(tmp_path) == {"facts.db"}


async def test_a_copy_never_replaces_a_file(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("somebody's notes")

    async with sqlite_store() as store:
        with pytest.raises(StoreError, match=r"notes\.txt"):
            await store.copy_to(tmp_path / "notes.txt")
        with pytest.raises(StoreError, match="cannot create"):
            await store.copy_to(tmp_path / "missing" / "copy.db")

    assert (tmp_path / "notes.txt").read_text() == "somebody's notes"
