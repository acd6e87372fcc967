"""The Pythons of this machine other than the one that runs the tests, and environments made of them."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

#: Starting one is a matter of moments, but the machine may be busy.
_START_SECONDS = 60
_INSTALL_SECONDS = 900


def find_python(version: str, *, path: str | None = None, pyenv_root: Path | None = None) -> Path | None:
    """Return a Python of this version (`3.6`) that starts and can make environments, or None.

    It is looked for on the PATH and among pyenv's versions. pyenv leaves shims on the PATH that do not start.
    """
    path = os.environ.get("PATH", os.defpath) if path is None else path
    pyenv_root = pyenv_root or Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    candidates = [*_on_path(version, path), *_of_pyenv(version, pyenv_root)]
    return next((python for python in candidates if _is_of_version(python, version)), None)


def make_environment(python: Path, folder: Path, *installations: tuple[str, ...]) -> Path:
    """Make a virtual environment, run `pip install` with each of these; return its Python.

    AssertionError, with what pip said, if that fails.
    """
    _run(python, "-m", "venv", str(folder))
    inside = folder / "bin" / "python"
    # Byte code is made of what is imported only: compiling all of it takes as long as the installation.
    pip = (inside, "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check")
    for arguments in installations:
        _run(*pip, *arguments)
    return inside


def _on_path(version: str, path: str) -> Iterator[Path]:
    for folder in path.split(os.pathsep):
        python = Path(folder) / f"python{version}"
        if python.is_file():
            yield python


def _of_pyenv(version: str, root: Path) -> list[Path]:
    """Return the Pythons that pyenv has of a version, newest first."""
    found = [one / "bin" / "python" for one in root.glob(f"versions/{version}.*")]
    return sorted(found, key=lambda python: [int(n) for n in re.findall(r"\d+", str(python))], reverse=True)


def _is_of_version(python: Path, version: str) -> bool:
    question = f"import ensurepip, sys, venv; sys.exit('%d.%d' % sys.version_info[:2] != {version!r})"
    try:
        answer = subprocess.run(  # noqa: S603 - an interpreter of this machine
            [python, "-c", question], capture_output=True, timeout=_START_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0


def _run(*command: str | Path) -> None:
    done = subprocess.run(  # noqa: S603 - pip and venv
        command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
