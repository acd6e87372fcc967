"""The store's file: who may open it, and what is refused."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes import NOON
from store_files import a_database, a_question, execute, fill, modes_in, opened

from bot.errors import ConfigError, StartRefused, StoreUnusable
from bot.store import open_store
from bot.store.address import store_path
from bot.store.sqlite.opening import SCHEMA_VERSION
from bot.triage.model import Change, State, Work

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


async def test_only_who_may_create_a_store_does(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="no store"):
        await open_store(f"sqlite:///{tmp_path / 'store.db'}")

    assert modes_in(tmp_path) == {}


async def test_a_missing_folder_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="folder"):
        await open_store(f"sqlite:///{tmp_path / 'missing' / 'store.db'}", create=True)

    assert modes_in(tmp_path) == {}


async def test_a_folder_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="is a folder"):
        await open_store(f"sqlite:///{tmp_path}", create=True)


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


async def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"These are somebody's notes.\n" * 100)
    before = path.read_bytes()

    with pytest.raises(StoreUnusable, match="not a SQLite database"):
        await open_store(f"sqlite:///{path}", create=True)

    assert path.read_bytes() == before
    assert list(modes_in(tmp_path)) == [path.name]


async def test_another_programs_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    execute(path, "CREATE TABLE question (id INTEGER)", "INSERT INTO question VALUES (1)")
    before = path.read_bytes()

    with pytest.raises(StoreUnusable, match="another program"):
        await open_store(f"sqlite:///{path}", create=True)

    assert path.read_bytes() == before


async def test_a_store_of_a_later_release_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    await fill(path)
    execute(path, "PRAGMA user_version = 99")
    before = path.read_bytes()

    with pytest.raises(StoreUnusable, match=r"schema 99.*reads only up to 4"):
        await open_store(f"sqlite:///{path}", create=True)

    assert path.read_bytes() == before


async def test_a_store_torn_by_a_crash_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    await fill(path, count=200)
    pages = bytearray(path.read_bytes())
    pages[4096 * 2 :] = b"\xff" * (len(pages) - 4096 * 2)
    path.write_bytes(pages)
    path.with_name("store.db-wal").touch()  # as an unclean stop leaves it

    with pytest.raises(StoreUnusable, match="corrupt"):
        await open_store(f"sqlite:///{path}", create=True)

    assert path.read_bytes() == pages


async def test_a_refused_file_is_let_go_of(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    await fill(path)
    execute(path, "PRAGMA user_version = 99")
    with pytest.raises(StoreUnusable):
        await open_store(f"sqlite:///{path}", create=True)

    execute(path, f"PRAGMA user_version = {SCHEMA_VERSION}")

    async with opened(path, create=False) as store:
        assert await store.find("alert-0") is not None


async def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    (tmp_path / "store.db").touch()

    await fill(tmp_path / "store.db")
