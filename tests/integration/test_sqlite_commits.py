"""What survives a kill, and how writes share a commit."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import NOON
from store_files import REPOSITORY, WRITER, a_database, a_question, opened

from bot.errors import StoreError
from bot.store import open_store
from bot.store.sqlite.connection import Database
from bot.triage.model import Change, OutboxRow

# Closing


async def test_a_closed_store_refuses_and_finishes_what_was_submitted(tmp_path: Path) -> None:
    store = await open_store(f"sqlite:///{tmp_path / 'store.db'}", create=True)
    adding = asyncio.gather(
        *(store.add([Change(question=a_question(f"alert-{number}"))]) for number in range(50))
    )
    await asyncio.sleep(0)

    await store.close()
    await store.close()

    assert [list(each) for each in await adding] == [[True]] * 50
    with pytest.raises(StoreError, match="closed"):
        await store.find("alert-0")


# Killed


async def killed_writer(path: Path, *, after: int) -> list[int]:
    """Kill a process in the middle of a stream of writes; return what it reported as stored."""
    writer = await asyncio.create_subprocess_exec(
        sys.executable,
        str(WRITER),
        f"sqlite:///{path}",
        stdout=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": os.environ["PATH"]},
    )
    assert writer.stdout
    async with asyncio.timeout(60):
        stored = [int(await writer.stdout.readline()) for _ in range(after)]
        writer.kill()
        # Lines that stood in the pipe when it was killed; the last one may be torn.
        stored += [
            int(line) for line in (await writer.stdout.read()).splitlines(keepends=True) if b"\n" in line
        ]
        assert await writer.wait() == -signal.SIGKILL
    return stored


@pytest.mark.parametrize("after", [1, 50, 300])
async def test_what_was_reported_stored_survives_sigkill(tmp_path: Path, after: int) -> None:
    stored = await killed_writer(tmp_path / "store.db", after=after)

    async with opened(tmp_path / "store.db", create=False) as store:
        for number in stored:
            assert await store.find(f"alert-{number}") is not None
            assert len(await store.reports_of(f"alert-{number}")) == 1


# Sharing a commit


async def hold(database: Database) -> threading.Event:
    """Keep the store's thread busy until the event is set, so that what is submitted meanwhile waits."""
    go_on, held = threading.Event(), threading.Event()

    def wait(_: sqlite3.Connection) -> None:
        held.set()
        assert go_on.wait(30)

    task = database.read(wait)
    task.add_done_callback(lambda done: done.result())
    await asyncio.to_thread(held.wait, 30)
    return go_on


async def trace(database: Database) -> list[str]:
    statements: list[str] = []
    await database.read(lambda connection: connection.set_trace_callback(statements.append))
    return statements


def insert(name: str, *, then: str = "") -> Any:
    def work(connection: sqlite3.Connection) -> str:
        connection.execute("INSERT INTO fact VALUES (?)", (name,))
        if then:
            connection.execute(then)
        return name

    return work


def break_after(name: str, error: Exception) -> Any:
    def work(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO fact VALUES (?)", (name,))
        raise error

    return work


async def facts(database: Database) -> list[str]:
    query = "SELECT name FROM fact ORDER BY name"
    return await database.read(lambda connection: [row[0] for row in connection.execute(query)])


async def write_together(database: Database, *works: Any) -> list[Any]:
    go_on = await hold(database)
    writing = asyncio.gather(*(database.write(work) for work in works), return_exceptions=True)
    await asyncio.sleep(0)
    go_on.set()
    return await writing


async def test_writes_that_wait_share_one_commit(tmp_path: Path) -> None:
    async with a_database(tmp_path / "store.db") as database:
        statements = await trace(database)

        results = await write_together(database, *(insert(f"{number:02}") for number in range(20)))

        assert results == await facts(database) == [f"{number:02}" for number in range(20)]
        assert statements.count("COMMIT") == 1


async def test_a_job_that_fails_takes_back_itself_alone(tmp_path: Path) -> None:
    """The others are written all the same, each in a commit of its own."""
    async with a_database(tmp_path / "store.db") as database:
        statements = await trace(database)

        first, broken, refused, last = await write_together(
            database,
            insert("first"),
            break_after("broken", ValueError("a bug")),
            insert("refused", then="INSERT INTO nowhere VALUES (1)"),
            insert("last"),
        )

        assert (first, last) == ("first", "last")
        assert isinstance(broken, ValueError)
        assert isinstance(refused, StoreError)
        assert await facts(database) == ["first", "last"]
        assert statements.count("COMMIT") == 2


async def test_a_commit_that_fails_takes_back_its_culprit_alone(tmp_path: Path) -> None:
    async with a_database(tmp_path / "store.db") as database:
        culprit = (
            "INSERT INTO report (key, sequence, event_id, body, due_at) VALUES ('nobody', 0, 'e', '{}', 0)"
        )

        def until_the_commit(connection: sqlite3.Connection) -> None:
            connection.execute("PRAGMA defer_foreign_keys = ON")
            connection.execute(culprit)

        first, failed, last = await write_together(
            database, insert("first"), until_the_commit, insert("last")
        )

        assert (first, last) == ("first", "last")
        assert isinstance(failed, StoreError)
        assert await facts(database) == ["first", "last"]


async def test_a_store_that_cannot_write_says_so_and_keeps_nothing(tmp_path: Path) -> None:
    async with a_database(tmp_path / "store.db") as database:
        await database.read(lambda connection: connection.execute("PRAGMA query_only = ON"))
        with pytest.raises(StoreError):
            await database.write(insert("one"))

        await database.read(lambda connection: connection.execute("PRAGMA query_only = OFF"))
        await database.write(insert("two"))

        assert await facts(database) == ["two"]


async def test_a_waiter_that_gave_up_stops_nobody(tmp_path: Path) -> None:
    async with a_database(tmp_path / "store.db") as database:
        go_on = await hold(database)
        given_up = database.write(insert("one"))
        await asyncio.sleep(0)
        given_up.cancel()
        go_on.set()

        await database.write(insert("two"))

        assert "two" in await facts(database)


async def test_a_report_is_never_stored_without_its_question(tmp_path: Path) -> None:
    async with opened(tmp_path / "store.db") as store:
        report = OutboxRow(identifier="one", sequence=0, event_id="e", body="{}", due_at=NOON)
        question = a_question("one")
        await store.add([Change(question=question, report=report)])
        clash = Change(question=replace(question, version=1), report=report)

        with pytest.raises(StoreError):  # this sequence is taken
            await store.save(clash)

        assert await store.find("one") == question
