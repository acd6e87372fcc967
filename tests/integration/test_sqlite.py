"""The store's file: who may open it, what is refused, what survives a kill, how writes share a commit."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sqlite3
import sys
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes import NOON
from store_files import REPOSITORY, WRITER, a_database, a_question, contents, execute, fill, modes_in, opened

from bot.errors import ConfigError, DamagedRow, StartRefused, StoreError, StoreUnusable
from bot.store import open_store
from bot.store.address import store_path
from bot.store.sqlite.connection import Database
from bot.store.sqlite.opening import SCHEMA_VERSION
from bot.triage.model import Change, OutboxRow, State, Work

not_as_root = pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")

# The URL


def test_a_url_names_a_relative_or_an_absolute_file() -> None:
    assert store_path("sqlite:///triage-bot.db") == Path("triage-bot.db")
    assert store_path("sqlite:////var/lib/triage-bot.db") == Path("/var/lib/triage-bot.db")


@pytest.mark.parametrize("url", ["", "sqlite:///", "sqlite://x.db", "postgres:///x", "/var/x.db"])
def test_any_other_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="STORE_URL"):
        store_path(url)


# Opening


@pytest.mark.parametrize(
    "damage",
    ["state = 'acceptfd'", "accepted_at = 1 << 61", "assignments = '['", "assignments = '[1]'"],
)
async def test_a_damaged_row_is_named_and_keeps_nothing_else_waiting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    path = tmp_path / "store.db"
    await fill(path, 2)
    execute(path, f"UPDATE question SET {damage} WHERE identifier = 'alert-0'")

    async with opened(path, create=False) as store:
        due = await store.due(work=Work.ASK, now=NOON, limit=9)
        listed = await store.list_questions(limit=9)
        with pytest.raises(DamagedRow, match="the question of 'alert-0' cannot be read"):
            await store.find("alert-0")

    assert [each.identifier for each in due] == [each.identifier for each in listed] == ["alert-1"]
    assert {vars(record)["event"] for record in caplog.records} == {"store.damaged"}


async def test_an_impossible_time_in_a_row_keeps_nobody_from_knowing_what_comes_next(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    await fill(path)
    execute(path, "UPDATE question SET due_at = 1 << 61")

    async with opened(path, create=False) as store:
        assert await store.next_due(NOON) is None


async def test_a_restored_file_with_damaged_rows_says_which_and_counts_the_others(
    tmp_path: Path,
) -> None:
    path = tmp_path / "store.db"
    await fill(path, 2)
    execute(
        path,
        "UPDATE question SET asked_at = accepted_at",
        "UPDATE question SET standing = 'nq' WHERE identifier = 'alert-0'",
        "INSERT INTO restore VALUES (1, 1 << 61, 0)",
        "INSERT INTO conversation VALUES ('U0ADA', 1 << 61)",
        "INSERT INTO found_question VALUES ('a', '{}', 0)",
        "INSERT INTO places VALUES ('U0ADA', 1, 0, 0, '{')",
    )

    async with opened(path, create=False) as store:
        [counted] = await store.statistics(since=NOON - timedelta(days=1))
        for read in (store.restored(), store.conversation_read_at("U0ADA"), store.found_question("a")):
            with pytest.raises(DamagedRow, match="cannot be read"):
                await read
        assert await store.due_places(NOON, limit=9) == []

    assert counted.asked == 1


async def test_what_was_stored_is_there_after_closing_and_opening(tmp_path: Path) -> None:
    await fill(tmp_path / "store.db")

    async with opened(tmp_path / "store.db", create=False) as store:
        assert await store.find("alert-0") == a_question("alert-0")


async def test_what_waited_in_line_for_a_look_up_is_due_when_the_file_is_opened(tmp_path: Path) -> None:
    later = NOON + timedelta(hours=1)
    known = {"due_at": later, "time_zone": "Europe/London"}
    waits: dict[str, dict[str, Any]] = {
        "in line": {"due_at": later},
        "in line after a claim": {**known, "state": State.POSTING, "claimed_at": NOON},
        "until working hours": known,
        "after a failure": {"due_at": later, "attempts": 1},
        "for its turn in the conversation": {"due_at": later, "paced": True},
    }
    rows = [replace(a_question(name), **changes) for name, changes in waits.items()]
    async with opened(tmp_path / "store.db") as store:
        await store.add([Change(question=each) for each in rows])

    async with opened(tmp_path / "store.db", create=False) as store:
        due = await store.due(work=Work.ASK, now=NOON, limit=9)

    assert {each.identifier for each in due} == {"in line", "in line after a claim"}


async def test_a_new_store_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"

    async with opened(path) as store:
        await store.add([Change(question=a_question("one"))])

        modes = modes_in(tmp_path)
        assert "store.db" in modes
        assert set(modes.values()) == {0o600}


async def test_the_connection_survives_a_loss_of_power_and_is_the_only_one(tmp_path: Path) -> None:
    def pragmas(connection: sqlite3.Connection) -> dict[str, Any]:
        names = ("journal_mode", "synchronous", "locking_mode", "foreign_keys")
        return {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names}

    async with a_database(tmp_path / "store.db") as database:
        assert await database.read(pragmas) == {
            "journal_mode": "wal",
            "synchronous": 2,  # FULL
            "locking_mode": "exclusive",
            "foreign_keys": 1,
        }


@pytest.mark.slow
async def test_a_second_opener_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with opened(path) as store:
        with pytest.raises(StartRefused, match="held by another process"):
            await open_store(f"sqlite:///{path}", create=True)

        assert list(await store.add([Change(question=a_question("one"))])) == [True]

    async with opened(path) as store:
        assert await store.find("one") is not None


async def test_only_who_may_create_a_store_does_and_nobody_creates_its_folder(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="no store"):
        await open_store(f"sqlite:///{tmp_path / 'store.db'}")
    with pytest.raises(StoreUnusable, match="folder"):
        await open_store(f"sqlite:///{tmp_path / 'missing' / 'store.db'}", create=True)

    assert modes_in(tmp_path) == {}


@not_as_root
@pytest.mark.parametrize("mode", [0o500, 0o000])
async def test_a_folder_that_may_not_be_written_is_a_wrong_setting(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "folder"
    folder.mkdir(mode=mode)

    with pytest.raises(StoreUnusable, match="cannot write to"):
        await open_store(f"sqlite:///{folder / 'store.db'}", create=True)


@not_as_root
async def test_a_file_that_may_not_be_written_is_a_wrong_setting(tmp_path: Path) -> None:
    await fill(tmp_path / "store.db")
    (tmp_path / "store.db").chmod(0o400)

    with pytest.raises(StoreUnusable, match="cannot write to"):
        await open_store(f"sqlite:///{tmp_path / 'store.db'}", create=True)


async def make_no_database(path: Path) -> None:
    path.write_bytes(b"These are somebody's notes.\n" * 100)


async def make_another_programs(path: Path) -> None:
    execute(path, "CREATE TABLE question (id INTEGER)", "INSERT INTO question VALUES (1)")


async def make_later_release(path: Path) -> None:
    await fill(path)
    execute(path, "PRAGMA user_version = 99")


async def make_torn_by_a_crash(path: Path) -> None:
    """Take the files of a store that is open, and damage what is behind the first pages."""
    whole = path.with_name("whole.db")
    await fill(whole, count=200)
    async with opened(whole) as store:
        await store.add([Change(question=a_question("one more"))])
        for suffix in ("", "-wal"):
            shutil.copy(f"{whole}{suffix}", f"{path}{suffix}")
    whole.unlink()
    pages = bytearray(path.read_bytes())
    pages[4096 * 2 :] = b"\xff" * (len(pages) - 4096 * 2)
    path.write_bytes(pages)
    assert path.with_name(f"{path.name}-wal").stat().st_size


async def make_folder(path: Path) -> None:
    path.mkdir()


async def make_past_beyond_the_calendar(path: Path) -> None:
    await fill(path)
    execute(path, f"UPDATE past SET written_at = {2**63 - 1}")


async def make_pipe(path: Path) -> None:
    os.mkfifo(path)


async def make_link_to_device(path: Path) -> None:
    path.symlink_to(os.devnull)


async def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (make_no_database, "not a SQLite database"),
        (make_another_programs, "another program"),
        (make_later_release, r"schema 99.*reads only up to 6"),
        (make_torn_by_a_crash, "corrupt"),
        (make_folder, "is a folder"),
        (make_past_beyond_the_calendar, "row `past` is damaged"),
        (make_pipe, "is not a file"),
        (make_link_to_device, "is not a file"),
        (make_socket, "is not a file"),
    ],
)
async def test_what_is_no_store_of_ours_is_refused_and_left_as_it_is(
    tmp_path: Path, prepare: Callable[[Path], Awaitable[None]], words: str
) -> None:
    path = tmp_path / "store.db"
    await prepare(path)
    before = contents(tmp_path)

    with pytest.raises(StoreUnusable, match=words):
        await open_store(f"sqlite:///{path}", create=True)

    after = contents(tmp_path)
    if prepare is make_torn_by_a_crash:
        after.pop("store.db-shm", None)  # what SQLite itself adds to a log that stands there
    assert after == before


async def test_a_refused_file_is_let_go_of(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    await make_later_release(path)
    with pytest.raises(StoreUnusable):
        await open_store(f"sqlite:///{path}", create=True)

    execute(path, f"PRAGMA user_version = {SCHEMA_VERSION}")

    async with opened(path, create=False) as store:
        assert await store.find("alert-0") is not None


async def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    (tmp_path / "store.db").touch()

    await fill(tmp_path / "store.db")


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
