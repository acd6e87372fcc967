from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from store_files import contents, execute, overwrite

from bot.cli.checks.findings import CheckStatus, Finding
from bot.cli.checks.sqlite import FULL_BYTES, ROOMY_BYTES, STATE_ROOT, check_disk, check_store, judge_disk
from bot.sandbox.child_process import bare_environment
from bot.store import open_store
from bot.store.sqlite.head import Note, head_path

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

#: Gives up being root, and looks at a store.
LOOK_AS_NOBODY = """
import asyncio, concurrent.futures.thread, json, os, sys
from bot.cli.checks.sqlite import check_store

os.setgroups([])
os.setgid(65534)
os.setuid(65534)
finding, *_ = asyncio.run(check_store(sys.argv[1]))
print(json.dumps({"verdict": finding.status, "detail": finding.detail, "remedy": finding.remedy}))
"""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


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
    """Have another process create the store `bot.db` and hold it; it is killed at the end."""
    (folder / "hold.py").write_text(HOLD, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "hold.py"], cwd=folder, env=bare_environment(folder), stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        yield folder / "bot.db"
        holder.kill()


def make_version(version: int) -> Callable[[Path], None]:
    def make_it(path: Path) -> None:
        make(path)
        execute(path, f"PRAGMA user_version = {version}")

    return make_it


def make_with_a_folder_for_its_log(path: Path) -> None:
    make(path)
    path.with_name(f"{path.name}-wal").mkdir()


def make_damaged(path: Path) -> None:
    """Damage the second page: the first table's, whose rows now claim to be elsewhere."""
    make(path)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\x0d\x00\x00\x00\x09\x0f\xff" + b"\xff" * 64)


def make_past_beyond_the_calendar(path: Path) -> None:
    make(path)
    execute(path, f"UPDATE past SET written_at = {2**63 - 1}")


#: How a path is prepared, and what is said of it; with a remedy, it is a failure.
AT_THE_PATH: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "nothing yet": (lambda _: None, "{path} will be created at the first run", ""),
    "a sound store": (make, "{path}, schema 6, not in use, intact", ""),
    "one of an earlier release": (make_version(1), "{path}, schema 1 (upgraded to 6 when the worker", ""),
    "an empty file": (Path.touch, "{path}", ""),
    "a folder": (Path.mkdir, "{path} is a folder", "set STORE_URL to a file in it"),
    "a named pipe": (os.mkfifo, "{path} is not a file", "set STORE_URL to a file"),
    "a device": (lambda path: path.symlink_to(os.devnull), "{path} is not a file", "set STORE_URL to a file"),
    "no database": (
        lambda path: path.write_text("these are notes of somebody's " * 100),
        "{path} is corrupt or not a SQLite database (",
        "restore a backup, or set STORE_URL",
    ),
    "one whose log cannot be opened": (
        make_with_a_folder_for_its_log,
        "{path} cannot be read (",
        "check the disk and the permissions of file and folder",
    ),
    "another program's database": (
        lambda path: execute(path, "CREATE TABLE notes (text TEXT)"),
        "{path} is another program's database",
        "set STORE_URL to a file of its own",
    ),
    "one of a later release": (
        make_version(99),
        "the store {path} has schema 99, but this release reads only up to 6",
        "install the release that wrote it",
    ),
    "a damaged past": (make_past_beyond_the_calendar, "the store's row `past` is damaged (", "restore a"),
    "a damaged page": (make_damaged, "{path} is corrupt (", "restore a backup: see docs/operate.md"),
}


@pytest.mark.parametrize("what", AT_THE_PATH)
def test_what_is_at_the_path_is_judged_and_left_as_it_is(tmp_path: Path, what: str) -> None:
    path = tmp_path / "a bot?%20.db"
    prepare, detail, remedy = AT_THE_PATH[what]
    prepare(path)
    before = contents(tmp_path)

    finding = look(path)

    assert finding.status is (CheckStatus.FAILED if remedy else CheckStatus.OK)
    assert finding.detail.startswith(detail.format(path=path))
    assert finding.remedy.startswith(remedy)
    assert contents(tmp_path) == before


def test_a_deep_look_finds_what_is_corrupt_outside_of_questions_and_reports(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    make(path)
    with closing(sqlite3.connect(path)) as connection:
        [page] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'probe'").fetchone()
    overwrite(path, 4096 * (page - 1), b"\xa5" * 4096)

    usual, (deep, *_) = look(path), asyncio.run(check_store(url_of(path), deep=True))

    assert usual.status is CheckStatus.OK
    assert deep.status is CheckStatus.FAILED
    assert "corrupt" in deep.detail


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Path.unlink, "gone or empty"),
        (lambda path: head_path(path).unlink(), "bot.db.head, which belongs next to it, is missing"),
    ],
)
def test_a_store_that_is_not_what_it_was_names_what_is_missing_and_the_way_on(
    tmp_path: Path, fault: Callable[[Path], None], words: str
) -> None:
    path = tmp_path / "bot.db"
    make(path)
    head_path(path).write_bytes(Note(identity="0" * 32, commits=7).write())
    fault(path)

    finding = look(path)

    assert finding.status is CheckStatus.FAILED
    assert words in finding.detail
    assert "run --restored" in finding.remedy


def test_a_store_that_a_crash_left_is_read_with_its_log_which_stays_for_the_worker(tmp_path: Path) -> None:
    log = tmp_path / "bot.db-wal"
    with held(tmp_path) as path:
        while_held = look(path)
    before = log.read_bytes()

    finding = look(path)

    assert while_held.status is CheckStatus.FAILED
    assert while_held.detail == f"{path} is locked by another process, which is not a worker"
    assert while_held.remedy == f"find it: fuser -v {path}"
    assert finding.detail.endswith("schema 6, not in use, intact")
    assert log.read_bytes() == before


def test_a_missing_folder_is_to_be_made_unless_the_service_makes_it_at_its_first_start(
    tmp_path: Path,
) -> None:
    of_systemd = STATE_ROOT / "triage-bot-that-was-never-started"

    missing, not_yet = look(tmp_path / "none" / "bot.db"), look(of_systemd / "bot.db")

    assert missing.status is CheckStatus.FAILED
    assert missing.detail == f"the folder {tmp_path / 'none'} does not exist"
    assert missing.remedy == "create it for the worker's user, or set STORE_URL"
    assert not_yet.status is CheckStatus.WARNING
    assert not_yet.detail == (
        f"the folder {of_systemd} does not exist yet: the service creates it at its first start"
    )
    assert not_yet.remedy.startswith("start the service; without systemd, create the folder")


@pytest.mark.parametrize(
    ("free", "status"),
    [(FULL_BYTES - 1, CheckStatus.FAILED), (FULL_BYTES, CheckStatus.WARNING), (ROOMY_BYTES, CheckStatus.OK)],
)
def test_a_disk_without_room_is_told_before_it_is_full(
    tmp_path: Path, free: int, status: CheckStatus
) -> None:
    finding = judge_disk(tmp_path, free)

    assert finding.status is status
    assert f"MiB free in {tmp_path}" in finding.detail
    assert finding.remedy == (
        "" if status is CheckStatus.OK else f"free some space: du -xh {tmp_path} | sort -h"
    )


def test_the_disk_of_the_store_is_looked_at(tmp_path: Path) -> None:
    (finding,) = check_disk(url_of(tmp_path / "bot.db"))

    assert finding.subject == "store's disk"
    assert check_disk(url_of(tmp_path / "nowhere" / "bot.db")) == []


@needs_root
def test_a_store_that_this_user_may_not_write_is_for_the_workers_user(open_folder: Path) -> None:
    path = open_folder / "bot.db"
    make(path)

    in_closed_folder = look_as_nobody(path)
    open_folder.chmod(0o777)
    closed_file = look_as_nobody(path)

    assert in_closed_folder["detail"] == f"this user cannot write to the folder {open_folder}"
    assert closed_file["detail"] == f"this user cannot write to the file {path}"
    for finding in (in_closed_folder, closed_file):
        assert finding["verdict"] == "failed"
        assert "if you already do, chown it to that user, or set STORE_URL" in finding["remedy"]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder of root's that everybody may enter: a test's own is open to its user alone."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def look_as_nobody(path: Path) -> dict[str, str]:
    """Look as somebody without a right of their own. What is imported is so before: it may be root's, too."""
    looked = subprocess.run(  # noqa: S603 - this very Python
        [sys.executable, "-c", LOOK_AS_NOBODY, url_of(path)],
        env=bare_environment(path.parent),
        stdout=subprocess.PIPE,
        check=True,
    )
    seen: dict[str, str] = json.loads(looked.stdout)
    return seen
