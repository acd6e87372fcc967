"""Finding a Python that really starts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from interpreters import find_python, make_environment

OURS = f"{sys.version_info.major}.{sys.version_info.minor}"
OURS_STARTS = f'exec {sys.executable} "$@"'


def write_python(folder: Path, program: str, *, name: str = f"python{OURS}") -> Path:
    folder.mkdir(parents=True)
    python = folder / name
    python.write_text(f"#!/bin/sh\n{program}\n", encoding="utf-8")
    python.chmod(0o755)
    return python


def test_one_that_does_not_start_is_passed_over(tmp_path: Path) -> None:
    shim = write_python(tmp_path / "shims", "echo 'command not found' >&2; exit 127")
    python = write_python(tmp_path / "bin", OURS_STARTS)

    found = find_python(OURS, path=f"{shim.parent}:{python.parent}", pyenv_root=tmp_path)

    assert found == python


def test_one_that_lies_about_its_version_is_passed_over_even_if_there_is_no_other(tmp_path: Path) -> None:
    python = write_python(tmp_path / "bin", OURS_STARTS, name="python3.6")

    assert find_python("3.6", path=str(python.parent), pyenv_root=tmp_path) is None


def test_the_newest_of_pyenv_s_is_taken(tmp_path: Path) -> None:
    folders = [tmp_path / "versions" / f"{OURS}.{patch}" / "bin" for patch in (2, 10, 9)]
    pythons = [write_python(folder, OURS_STARTS, name="python") for folder in folders]

    assert find_python(OURS, path="", pyenv_root=tmp_path) == pythons[1]


def test_an_environment_that_cannot_be_filled_says_what_pip_said(tmp_path: Path) -> None:
    python = write_python(tmp_path / "bin", "echo 'no such package'; exit 1")

    with pytest.raises(AssertionError, match="no such package"):
        make_environment(python, tmp_path / "environment", ("boto3",))
