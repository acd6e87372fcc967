from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from bot.findings import Finding, Verdict
from bot.sandbox.child_process import bare_environment
from bot.store import open_store
from bot.store.checks import FULL_BYTES, ROOMY_BYTES, check_disk, check_store, disk_finding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Opens a store, says so, and waits for its end.
HOLD = """
import asyncio
from bot.sandbox.child_process import bare_environment
from bot.store import open_store

async def hold():
    store = await open_store('sqlite:///bot.db', create=True)
    print("open", flush=True)
    await asyncio.Event().wait()

asyncio.run(hold())
"""


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


def look(path: Path) -> Finding:
    finding, *_ = asyncio.run(check_store(url_of(path)))
    return finding


def make(path: Path) -> None:
    """Make a store as the worker does, and let go of it."""

    async def open_and_close() -> None:
        store = await open_store(url_of(path), create=True)
        await store.close()

    asyncio.run(open_and_close())


@contextmanager
def held(folder: Path) -> Iterator[Path]:
    """Let another process make the store `bot.db` and hold it; it is killed at the end."""
    (folder / "hold.py").write_text(HOLD, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "hold.py"], cwd=folder, env=bare_environment(folder), stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        yield folder / "bot.db"
        holder.kill()


def database(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)


def test_a_store_that_is_not_there_yet_is_fine_and_is_not_made(tmp_path: Path) -> None:
    finding = look(tmp_path / "bot.db")

    assert finding.verdict is Verdict.OK
    assert finding.detail.endswith("bot.db will be made at the first run")
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_nobody_holds_is_fine_and_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a bot?%20.db"
    make(path)
    before = path.read_bytes()

    finding = look(path)

    assert finding.verdict is Verdict.OK
    assert finding.detail.endswith(".db, schema 1, held by nobody, whole")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_store_that_a_crash_left_is_read_with_its_log_which_stays_for_the_worker(
    tmp_path: Path,
) -> None:
    log = tmp_path / "bot.db-wal"
    with held(tmp_path) as path:
        pass
    before = log.read_bytes()

    finding = look(path)

    assert finding.detail.endswith("schema 1, held by nobody, whole")
    assert log.read_bytes() == before


def test_a_store_that_another_process_holds_names_the_way_to_find_it(tmp_path: Path) -> None:
    with held(tmp_path) as path:
        finding = look(path)

    assert finding.verdict is Verdict.FAILED
    assert "held by another process" in finding.detail
    assert f"fuser -v {path}" in finding.remedy


def test_an_empty_file_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    path.touch()

    finding = look(path)

    assert finding.verdict is Verdict.OK
    assert path.read_bytes() == b""


def test_a_missing_folder_is_to_be_made(tmp_path: Path) -> None:
    finding = look(tmp_path / "none" / "bot.db")

    assert finding.verdict is Verdict.FAILED
    assert finding.detail == f"the folder {tmp_path / 'none'} does not exist"
    assert finding.remedy.startswith("create it")


def test_a_folder_in_the_place_of_the_file_is_named(tmp_path: Path) -> None:
    finding = look(tmp_path)

    assert finding.detail == f"{tmp_path} is a folder"
    assert "STORE_URL" in finding.remedy


def test_a_file_that_is_no_database_needs_a_backup(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    path.write_text("these are notes of somebody's " * 100)

    finding = look(path)

    assert finding.verdict is Verdict.FAILED
    assert "corrupt or no SQLite database" in finding.detail
    assert finding.remedy.startswith("restore a backup")


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    database(path, "CREATE TABLE notes (text TEXT)")
    before = path.read_bytes()

    finding = look(path)

    assert finding.detail == f"{path} is another program's database"
    assert finding.remedy == "set STORE_URL to a file of its own"
    assert path.read_bytes() == before


def test_a_store_of_a_later_release_names_both_versions(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    make(path)
    database(path, "PRAGMA user_version = 99")

    finding = look(path)

    assert finding.detail.endswith("has schema 99, this release reads 1")
    assert "install the release that wrote it" in finding.remedy


def test_a_store_with_a_damaged_page_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    make(path)
    with path.open("r+b") as file:
        # The second page: the first table's, whose rows now claim to be elsewhere.
        file.seek(4096)
        file.write(b"\x0d\x00\x00\x00\x09\x0f\xff" + b"\xff" * 64)

    finding = look(path)

    assert finding.verdict is Verdict.FAILED
    assert "is corrupt" in finding.detail
    assert finding.remedy.startswith("restore a backup")


@pytest.mark.parametrize(
    ("free", "verdict"),
    [(FULL_BYTES - 1, Verdict.FAILED), (FULL_BYTES, Verdict.WARNING), (ROOMY_BYTES, Verdict.OK)],
)
def test_a_disk_without_room_is_told_before_it_is_full(tmp_path: Path, free: int, verdict: Verdict) -> None:
    finding = disk_finding(tmp_path, free)

    assert finding.verdict is verdict
    assert f"MiB free in {tmp_path}" in finding.detail
    assert finding.remedy.startswith("free some") or verdict is Verdict.OK


def test_the_disk_of_the_store_is_looked_at(tmp_path: Path) -> None:
    (finding,) = check_disk(url_of(tmp_path / "bot.db"))

    assert finding.subject == "store's disk"
    assert check_disk(url_of(tmp_path / "nowhere" / "bot.db")) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_that_this_user_may_not_write_is_for_the_workers_user(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    make(path)
    path.chmod(0o400)

    finding = look(path)

    assert finding.detail == f"the file {path} may not be written by this user"
    assert "chown" in finding.remedy
