"""Files that a command writes in a folder that others may write to as well."""

from __future__ import annotations

import base64
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bot.cli.files import BackupFailed, require_elsewhere, write_backup
from bot.cli.output.plot import PlotNotWritten, write_plot
from bot.errors import TriageBotError
from bot.worker.views import View

#: Writes a file at a path, and calls the second argument in the middle of it.
Write = Callable[["Path", Callable[[], None]], None]

VIEW: View = {
    "alert": "a",
    "asked": 1,
    "open": 0,
    "shares": dict.fromkeys(("yes", "no", "wrongUser", "notSure", "unanswered")),
    "medianSeconds": None,
    "p90Seconds": None,
}


def backup(path: Path, meanwhile: Callable[[], None]) -> None:
    def pieces() -> Iterator[Mapping[str, Any]]:
        yield {"data": base64.b64encode(b"first").decode()}
        meanwhile()
        yield {"data": base64.b64encode(b"second").decode()}

    write_backup(path, pieces())


def plot(path: Path, meanwhile: Callable[[], None]) -> None:
    class Views(list["View"]):
        def __iter__(self) -> Iterator[View]:
            meanwhile()
            return super().__iter__()

    write_plot(path, Views([VIEW]), title="a title")


every_writer = pytest.mark.parametrize("write", [backup, plot])


def nothing() -> None:
    """Do nothing meanwhile."""


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """The path of the file: in a folder in which everybody may create files."""
    tmp_path.chmod(0o777)
    return tmp_path / "file.svg"


@every_writer
def test_no_link_is_followed_at_the_name_of_the_file_or_at_one_that_can_be_guessed(
    write: Write, target: Path
) -> None:
    victim = target.with_name("victim")
    victim.write_text("precious", encoding="utf-8")
    trap = target.with_name(f"{target.name}.part")
    for link in (target, trap):
        link.symlink_to(victim)

    write(target, nothing)

    assert victim.read_text(encoding="utf-8") == "precious"
    assert (target.is_symlink(), trap.is_symlink()) == (False, True)
    assert target.stat().st_size


@every_writer
def test_the_file_is_its_owners_alone_from_the_first_byte_on(write: Write, target: Path) -> None:
    modes: list[int] = []

    def look() -> None:
        modes.extend(each.stat().st_mode for each in target.parent.iterdir() if each != target)

    target.touch()
    target.chmod(0o644)
    write(target, look)

    assert [stat.S_IMODE(mode) for mode in modes] == [0o600] * len(modes)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_no_two_part_files_have_the_same_name(target: Path) -> None:
    names: list[str] = []

    for _ in range(2):
        backup(target, lambda: names.extend(each.name for each in target.parent.glob(".*.part")))

    assert len(set(names)) == len(names) == 2
    assert [each.name for each in target.parent.iterdir()] == [target.name]


@every_writer
def test_a_write_that_fails_leaves_what_was_there_and_nothing_else(write: Write, target: Path) -> None:
    target.write_text("an earlier one", encoding="utf-8")

    def fail() -> None:
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        write(target, fail)

    assert target.read_text(encoding="utf-8") == "an earlier one"
    assert [each.name for each in target.parent.iterdir()] == [target.name]


@pytest.mark.parametrize(
    "name", ["triage.db", "link.db", "triage.db-wal", "triage.db-journal", "a/../triage.db-shm"]
)
@pytest.mark.parametrize("store", ["triage.db", "link.db"])
def test_no_backup_takes_the_place_of_the_store(tmp_path: Path, store: str, name: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "triage.db").touch()
    (tmp_path / "link.db").symlink_to("triage.db")

    with pytest.raises(BackupFailed, match="belongs to the store"):
        require_elsewhere(tmp_path / name, tmp_path / store)


def test_a_backup_to_a_name_that_no_system_takes_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match="cannot be written: File name too long"):
        backup(tmp_path / ("a" * 300), nothing)


def test_a_link_that_leads_in_a_circle_is_replaced_like_any_other(target: Path) -> None:
    target.symlink_to(target.name)

    require_elsewhere(target, target.with_name("triage.db"))
    backup(target, nothing)

    assert target.is_file()


@pytest.mark.parametrize(("write", "refusal"), [(backup, BackupFailed), (plot, PlotNotWritten)])
def test_what_is_no_file_is_never_replaced(write: Write, refusal: type[TriageBotError], target: Path) -> None:
    target.symlink_to("/dev/null")

    with pytest.raises(refusal, match="not a file"):
        write(target, nothing)

    assert target.is_symlink()
