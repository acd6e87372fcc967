"""A store's file is trusted only if it is what it was: lost, truncated, replaced and copied ones are seen."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from fakes import NOON, ToldClock
from store_files import a_question, fill, opened, overwrite, undo_upgrade
from world import eventually

from bot.errors import StartRefused, StoreError, StoreReplaced, StoreUnusable
from bot.store import OpenStore, open_store
from bot.store.migration.source import SqliteSource
from bot.store.sqlite.head import SLOT_BYTES, head_path, log_path, read_notes
from bot.store.sqlite.past import PastRow, read_past
from bot.store.sqlite.store import SqliteStore
from bot.triage.model import Change

MINUTE = timedelta(minutes=1)
SOON = timedelta(milliseconds=10)

Fault = Callable[[Path], object]


@pytest.fixture
async def stopped(tmp_path: Path) -> Path:
    """A store of 40 alerts that was closed, with an older copy and an unrelated store."""
    path = tmp_path / "store.db"
    await fill(path, 10)
    shutil.copy(path, tmp_path / "old.db")
    async with opened(path) as store:
        for number in range(10, 40):
            await add(store, f"alert-{number}")
    await fill(tmp_path / "other.db", 3)
    return path


@pytest.fixture
async def killed(stopped: Path, tmp_path: Path) -> Path:
    """The files that such a store leaves when its process is killed."""
    async with opened(stopped) as store:
        for number in range(40, 80):
            await add(store, f"alert-{number}")
        left = tmp_path / "left"
        left.mkdir()
        for each in (stopped, log_path(stopped), head_path(stopped)):
            shutil.copy2(each, left)
    return left / stopped.name


async def add(store: OpenStore, *identifiers: str) -> None:
    added = await store.add([Change(question=a_question(each)) for each in identifiers])
    assert list(added) == [True] * len(identifiers)


async def restore(path: Path) -> None:
    store = await open_store(f"sqlite:///{path}", create=True, restored=True, clock=ToldClock(lambda: NOON))
    await store.reset_after_restore(NOON)
    await store.close()


def past_of(path: Path) -> PastRow:
    with closing(sqlite3.connect(path)) as connection:
        row = read_past(connection)
        assert row
        return row


def files_in(folder: Path) -> dict[str, bytes]:
    files = (each for each in folder.iterdir() if each.is_file() and not each.name.endswith("-shm"))
    return {each.name: each.read_bytes() for each in files}


def cut(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)


def flip_bit_in_log(path: Path) -> None:
    """Flip one in the middle: what comes after it is ignored by SQLite, without a word."""
    log = log_path(path)
    middle = log.stat().st_size // 2
    overwrite(log, middle, bytes([log.read_bytes()[middle] ^ 1]))


def replace_with(name: str) -> Fault:
    return lambda path: shutil.copy(path.with_name(name), path)


def damage_pages(path: Path) -> None:
    overwrite(path, 4096 * 4, b"\xa5" * 4096 * 4)


def damage_slot(*numbers: int) -> Fault:
    def damage(path: Path) -> None:
        for number in numbers:
            overwrite(head_path(path), number * SLOT_BYTES + 30, b"\0")

    return damage


def replace_head_with_pipe(path: Path) -> None:
    head_path(path).unlink()
    os.mkfifo(head_path(path))


AFTER_A_STOP: dict[str, tuple[Fault, str]] = {
    "deleted": (Path.unlink, "gone or empty, and the 31 commits"),
    "renamed": (
        lambda path: path.rename(path.with_name("store.db.old")),
        "gone or empty, and the 31 commits",
    ),
    "emptied": (lambda path: cut(path, 0), "gone or empty, and the 31 commits"),
    "an old copy": (replace_with("old.db"), "30 of the 31 commits that store.db.head knows of are missing"),
    "another store": (replace_with("other.db"), "another store than the one that store.db.head belongs to"),
    "the head is missing": (lambda path: head_path(path).unlink(), "store.db.head, .* is missing"),
    "both slots damaged": (damage_slot(0, 1), "store.db.head next to it is damaged"),
    "the head is a named pipe": (replace_head_with_pipe, "store.db.head next to it is damaged"),
    "the head emptied": (lambda path: cut(head_path(path), 0), "store.db.head next to it is damaged"),
}
AFTER_A_KILL: dict[str, tuple[Fault, str]] = {
    "the log removed": (lambda path: log_path(path).unlink(), "of the 71 commits .* are missing"),
    "the log emptied": (lambda path: cut(log_path(path), 0), "of the 71 commits .* are missing"),
    "the log cut": (lambda path: cut(log_path(path), 60_000), "of the 71 commits .* are missing"),
    "a bit of the log flipped": (flip_bit_in_log, "of the 71 commits .* are missing"),
    "deleted": (Path.unlink, "gone or empty, and the 71 commits"),
}


async def refuse_and_restore(path: Path, fault: Fault, words: str) -> None:
    [latest, *_] = read_notes(head_path(path)) or ()
    fault(path)
    before = files_in(path.parent)

    with pytest.raises(StoreUnusable, match=words) as refused:
        await open_store(f"sqlite:///{path}", create=True)
    assert "run --restored" in str(refused.value)
    assert "Harmless if only store.db.head" in str(refused.value)
    assert files_in(path.parent) == before

    await restore(path)
    await fill(path, 0)  # an ordinary start
    assert past_of(path).identity != latest.identity


@pytest.mark.parametrize("case", AFTER_A_STOP)
async def test_a_store_that_is_not_what_it_was_is_refused_until_it_is_restored(
    stopped: Path, case: str
) -> None:
    await refuse_and_restore(stopped, *AFTER_A_STOP[case])


@pytest.mark.parametrize("case", AFTER_A_KILL)
async def test_what_a_kill_left_is_refused_if_part_of_it_is_lost(killed: Path, case: str) -> None:
    await refuse_and_restore(killed, *AFTER_A_KILL[case])


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(damage_pages, id="pages damaged"),
        pytest.param(lambda path: cut(path, path.stat().st_size // 2), id="cut"),
    ],
)
async def test_pages_that_were_damaged_after_a_clean_stop_are_found_at_the_start(
    stopped: Path, fault: Fault
) -> None:
    fault(stopped)

    with pytest.raises(StoreUnusable, match="corrupt") as refused:
        await open_store(f"sqlite:///{stopped}", create=True)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(Path.stat, id="nothing"),
        pytest.param(damage_slot(0), id="first slot damaged"),
        pytest.param(damage_slot(1), id="second slot damaged"),
        pytest.param(Path.touch, id="touched"),
    ],
)
async def test_what_a_stop_or_a_kill_left_whole_is_opened(stopped: Path, killed: Path, change: Fault) -> None:
    for path, count in ((stopped, 80), (killed, 80)):
        change(path)
        async with opened(path) as store:
            assert len(await store.list_questions(limit=100)) == count


async def test_a_store_that_moves_with_its_head_is_what_it_was(stopped: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    for path in (stopped, head_path(stopped)):
        shutil.move(path, tmp_path / "new")

    await fill(tmp_path / "new" / stopped.name, 0)


async def test_the_head_of_a_store_is_beside_the_file_that_a_link_leads_to(
    stopped: Path, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link.db").symlink_to(stopped)

    await fill(tmp_path / "folder" / "link.db", 0)

    assert [each.name for each in (tmp_path / "folder").iterdir()] == ["link.db"]


# Counting


async def test_every_write_is_counted_inside_and_beside_and_nothing_else_is(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with opened(path) as store:
        question = a_question("one")
        await store.add([Change(question=question)])
        await store.add([Change(question=question)])  # known: nothing is written
        await store.list_questions(limit=1)
        [first, *_] = read_notes(head_path(path)) or ()
        await store.probe()
        [second, *_] = read_notes(head_path(path)) or ()

    [last, *_] = read_notes(head_path(path)) or ()
    assert (first.commits, second.commits, past_of(path).commits) == (1, 2, 2)
    assert (second.file, last.file) == (None, (path.stat().st_size, path.stat().st_mtime_ns))


async def test_a_head_that_cannot_be_written_undoes_nothing_and_is_told(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = await SqliteStore.open(path, create=True)
    head_path(path).unlink()
    head_path(path).mkdir()
    stop = asyncio.Event()
    watching = asyncio.create_task(store.watch(stop, interval=SOON))

    await add(store, "one")
    await eventually(lambda: store.head_trouble)
    assert await store.find("one")

    head_path(path).rmdir()
    await eventually(lambda: not store.head_trouble)
    stop.set()
    await watching
    await store.close()
    await fill(path, 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
async def test_a_head_that_root_makes_belongs_to_whom_the_store_belongs(stopped: Path) -> None:
    os.chown(stopped, 65534, 65534)
    head_path(stopped).unlink()

    await restore(stopped)

    assert (head_path(stopped).stat().st_uid, head_path(stopped).stat().st_gid) == (65534, 65534)
    assert stat.S_IMODE(head_path(stopped).stat().st_mode) == 0o600


# Creations and restores that broke off


@pytest.mark.parametrize("is_empty", [False, True])
async def test_a_creation_that_broke_off_goes_on_with_its_identity(tmp_path: Path, *, is_empty: bool) -> None:
    path = tmp_path / "store.db"
    await fill(path, 0)
    identity = past_of(path).identity
    path.unlink()
    if is_empty:
        path.touch()

    await fill(path)

    assert past_of(path).identity == identity


async def test_an_upgrade_that_broke_off_goes_on_with_its_identity(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    await fill(path, 0)
    identity = past_of(path).identity
    undo_upgrade(path)

    await fill(path)

    assert past_of(path).identity == identity


async def test_a_store_without_identity_beside_a_head_that_has_seen_more_is_refused(
    stopped: Path,
) -> None:
    undo_upgrade(stopped)

    await refuse_and_restore(stopped, Path.stat, "no identity, and the 31 commits")

    assert past_of(stopped).restored_from is None  # that release did not keep it


@pytest.mark.parametrize("has_head", [True, False])
async def test_a_restore_that_broke_off_before_the_head_was_written_goes_on(
    stopped: Path, *, has_head: bool
) -> None:
    if not has_head:
        head_path(stopped).unlink()
    head = head_path(stopped).read_bytes() if has_head else b""
    await restore(stopped)
    restored = past_of(stopped)
    if has_head:
        head_path(stopped).write_bytes(head)
    else:
        head_path(stopped).unlink()

    async with opened(stopped) as store:
        await add(store, "later")

    assert past_of(stopped).identity == restored.identity
    assert (restored.replaces, past_of(stopped).replaces) != ("", "")
    head_path(stopped).unlink()  # now it belongs to a head of its own
    with pytest.raises(StoreUnusable, match="missing"):
        await open_store(f"sqlite:///{stopped}", create=True)


async def test_a_restore_keeps_when_the_backup_was_written_however_often_it_is_repeated(
    tmp_path: Path,
) -> None:
    path, now = tmp_path / "store.db", NOON
    store = await open_store(f"sqlite:///{path}", create=True, clock=ToldClock(lambda: now))
    await add(store, "one")
    await store.copy_to(tmp_path / "copy.db")
    now += MINUTE
    await add(store, "two")
    await store.close()
    shutil.copy(tmp_path / "copy.db", path)

    for _ in range(2):
        await restore(path)

    past = past_of(path)
    assert (past.restored_from, past.restored_at, past.is_backup) == (NOON, NOON, False)


@pytest.mark.parametrize("fault", [Path.unlink, lambda path: cut(path, 0)], ids=["deleted", "emptied"])
async def test_a_file_that_was_lost_does_not_say_how_far_back_to_look(stopped: Path, fault: Fault) -> None:
    fault(stopped)

    store = await open_store(f"sqlite:///{stopped}", create=True, restored=True)

    assert store.written_at is None
    await store.close()


# Backups


async def test_a_backup_is_read_by_whoever_only_reads_and_written_by_nobody(
    stopped: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copy = tmp_path / "copy.db"
    async with opened(stopped) as store:
        await store.copy_to(copy)

    with pytest.raises(StoreUnusable, match="it is a backup"):
        await open_store(f"sqlite:///{copy}")  # `replay`
    with pytest.raises(StoreUnusable, match="it is a backup"):
        await open_store(f"sqlite:///{copy}", create=True)  # `run`
    with pytest.raises(StoreUnusable, match="it is a backup"):
        await SqliteSource.open(copy)  # `migrate`
    (await SqliteSource.open(copy, restored=True)).close()

    reader = await open_store(f"sqlite:///{copy}", read_only=True)
    assert len(await reader.list_questions(limit=100)) == 40
    with pytest.raises(StoreError):
        await reader.probe()
    await reader.close()
    assert "it is a backup" in caplog.text


async def test_whoever_only_reads_leaves_what_a_kill_left_as_it_is(
    killed: Path, caplog: pytest.LogCaptureFixture
) -> None:
    flip_bit_in_log(killed)
    before = files_in(killed.parent)

    reader = await open_store(f"sqlite:///{killed}", read_only=True)
    await reader.list_questions(limit=1)
    await reader.close()

    assert files_in(killed.parent) == before
    assert "commits that store.db.head knows of are missing" in caplog.text


async def test_a_backup_beside_the_log_of_the_lost_store_is_refused_until_that_is_removed(
    killed: Path, tmp_path: Path
) -> None:
    async with opened(tmp_path / "store.db") as store:
        await store.copy_to(tmp_path / "copy.db")
    shutil.copy(tmp_path / "copy.db", killed)

    for restored in (False, True):
        with pytest.raises(StoreUnusable, match=r"remove store\.db-wal"):
            await open_store(f"sqlite:///{killed}", create=True, restored=restored)
    log_path(killed).unlink()

    await restore(killed)


# While the worker runs


def exchange(path: Path) -> None:
    shutil.copy(path.with_name("other.db"), path.with_name("new.db"))
    path.with_name("new.db").replace(path)


WHILE_IT_RUNS: dict[str, Fault] = {
    "deleted": Path.unlink,
    "renamed": lambda path: path.rename(path.with_name("store.db.old")),
    "exchanged": exchange,
    "emptied": lambda path: cut(path, 0),
    "the folder renamed": lambda path: path.parent.rename(path.parent.with_name("moved")),
}


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[tuple[SqliteStore, Path]]:
    """A store in use, in its own folder, and another one."""
    folder = tmp_path / "folder"
    folder.mkdir()
    await fill(folder / "other.db", 3)
    store = await SqliteStore.open(folder / "store.db", create=True)
    await add(store, "one")
    yield store, folder / "store.db"
    await store.close()


async def rescued(store: SqliteStore, path: Path) -> set[str]:
    """Return what is in the rescue, once that is put in place and restored."""
    await store.close()
    shutil.move(path.with_name(f"{path.name}.rescue"), path)
    with pytest.raises(StoreUnusable, match="it is a backup"):
        await open_store(f"sqlite:///{path}", create=True)
    await restore(path)
    async with opened(path) as after:
        return {each.identifier for each in await after.list_questions(limit=9)}


@pytest.mark.parametrize("case", [each for each in WHILE_IT_RUNS if "folder" not in each])
async def test_nobody_is_told_of_a_commit_to_a_file_that_is_gone_and_all_of_it_is_rescued(
    running: tuple[SqliteStore, Path], case: str
) -> None:
    store, path = running
    watching = asyncio.create_task(store.watch(asyncio.Event(), interval=MINUTE))
    await asyncio.sleep(0)
    WHILE_IT_RUNS[case](path)

    [told] = await store.add([Change(question=a_question("two"))])

    assert isinstance(told, StoreReplaced)
    with pytest.raises(StoreUnusable, match=r"store\.db\.rescue: put that in its place"):
        await watching
    with pytest.raises(StoreReplaced):
        await store.find("one")
    assert await rescued(store, path) == {"one", "two"}


@pytest.mark.parametrize("case", WHILE_IT_RUNS)
async def test_a_file_that_is_gone_is_noticed_without_a_commit(
    running: tuple[SqliteStore, Path], case: str, caplog: pytest.LogCaptureFixture
) -> None:
    store, path = running
    WHILE_IT_RUNS[case](path)
    watching = asyncio.create_task(store.watch(asyncio.Event(), interval=SOON))

    if "folder" in case:  # nowhere to write to, until the folder is back
        await eventually(
            lambda: any(getattr(each, "event", "") == "store.rescue_failed" for each in caplog.records)
        )
        with pytest.raises(StoreReplaced):
            await store.probe()
        path.parent.with_name("moved").rename(path.parent)

    with pytest.raises(StoreUnusable, match="removed or replaced"):
        await watching
    assert await rescued(store, path) == {"one"}


async def test_a_file_that_is_gone_is_noticed_when_the_worker_stops(
    running: tuple[SqliteStore, Path],
) -> None:
    store, path = running
    path.unlink()

    with pytest.raises(StoreUnusable, match="removed or replaced"):
        await store.close()

    assert await rescued(store, path) == {"one"}


async def test_an_earlier_rescue_is_kept(running: tuple[SqliteStore, Path]) -> None:
    store, path = running
    path.with_name("store.db.rescue").write_text("an earlier one")
    path.with_name(".store.db.rescue.2.part").write_text("half of one, of a worker that was killed")
    path.unlink()

    with pytest.raises(StoreUnusable, match=r"store\.db\.rescue\.2"):
        await store.close()

    assert path.with_name("store.db.rescue").read_text() == "an earlier one"
    assert not path.with_name(".store.db.rescue.2.part").exists()


@pytest.mark.parametrize("has_commit", [True, False])
async def test_a_log_that_was_removed_loses_nothing(
    running: tuple[SqliteStore, Path], tmp_path: Path, *, has_commit: bool
) -> None:
    store, path = running
    log_path(path).unlink()

    if has_commit:
        await add(store, "two")
    else:
        stop = asyncio.Event()
        watching = asyncio.create_task(store.watch(stop, interval=SOON))
        await eventually(log_path(path).exists)
        stop.set()
        await watching
        await add(store, "two")
    await add(store, "three")

    left = tmp_path / "left"  # as a kill leaves it
    left.mkdir()
    for each in (path, log_path(path), head_path(path)):
        shutil.copy2(each, left)
    async with opened(left / path.name) as after:
        assert len(await after.list_questions(limit=9)) == 3


async def test_a_copy_that_is_made_when_the_log_is_removed_is_whole(
    running: tuple[SqliteStore, Path], tmp_path: Path
) -> None:
    store, path = running
    await add(store, *(f"alert-{number}" for number in range(500)))
    copying = asyncio.create_task(store.copy_to(tmp_path / "copy.db"))
    await asyncio.sleep(0)
    log_path(path).unlink()

    await add(store, "last")
    await copying
    await add(store, "after")

    reader = await open_store(f"sqlite:///{tmp_path / 'copy.db'}", read_only=True)
    assert len(await reader.list_questions(limit=1000)) in (501, 502)
    await reader.close()
    assert log_path(path).exists()


async def test_a_worker_without_its_file_keeps_others_from_a_new_one(
    running: tuple[SqliteStore, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, path = running
    path.unlink()
    monkeypatch.setattr("bot.store.sqlite.head.LOCK_WAIT", 0.1)

    with pytest.raises(StartRefused, match="held by another process"):
        await open_store(f"sqlite:///{path}", create=True)
    assert not path.exists()

    with pytest.raises(StoreUnusable):
        await store.close()
