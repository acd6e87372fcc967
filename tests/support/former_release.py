"""Releases before this one, out of this repository's history, and workers of each as processes."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from functools import cache
from io import BytesIO
from pathlib import Path
from tarfile import TarFile
from typing import Any

import pytest
from line_process import LineProcess
from local_dynamodb import OTHER, endpoint
from released_worker import message_told
from truthful_slack import Message
from world.fork_server import ForkedProcess, fork
from world.worker import bare_environment

#: A version of the store → the last commit that has it. The last of these is the release before this one.
RELEASES = {
    1: "6f0367f6c86e971c8381d5ea3439fb1326cb1c6e",
    2: "949947e94fec935a5b73629acd8bee97361ff9af",
    3: "12c272b345ff2c3371bd03a5daf0af02adb9bf63",
    4: "a5484e6fa8aa3182c9de44bd0e9caa6cf65b7fac",
    5: "4bab20cfec6f36f5ea867ed1457539ad1952827b",
}

CHECKOUT = Path(__file__).parents[2]

_PROGRAM = Path(__file__).with_name("released_worker.py")


@cache
def unpack_release(version: int) -> Path:
    """Return the folder that has a former release, kept from run to run with what Python compiles of it.

    Skip the test where there is no history.
    """
    if not (CHECKOUT / ".git").exists():
        pytest.skip("this is no checkout: the release before is found in its history")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "triage-bot-tests"
    folder = home / f"release-{RELEASES[version]}"
    if folder.exists():
        return folder
    archive = subprocess.run(  # noqa: S603 - nothing in it comes from outside
        ["git", "archive", RELEASES[version], "bot", "config", "tests"],  # noqa: S607 - the one that made the checkout
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
    )
    home.mkdir(parents=True, exist_ok=True)
    unpacked = tempfile.mkdtemp(dir=home)
    with TarFile(fileobj=BytesIO(archive.stdout)) as files:
        files.extractall(unpacked, filter="data")
    with suppress(OSError):  # another run was quicker
        Path(unpacked).rename(folder)
    return folder


class WorkerOfRelease(LineProcess):
    """A process, forked, with the program of one release, on a table by its name or on a file by its URL."""

    def __init__(self, release: Path, store: str, home: Path) -> None:
        tests = release / "tests"  # where the former release had all that its tests share
        variables = {
            **bare_environment(home),
            "PYTHONPATH": f"{release}:{tests}:{tests / 'support'}",
            OTHER: endpoint(),
        }
        self._store = store
        super().__init__(folder=home, environment=variables, log_file=home / "complaints.log")
        self.__enter__()

    def begin(self, lines: int, log: int) -> ForkedProcess:
        streams = lines, lines, log
        return fork(
            _PROGRAM, [self._store], folder=self.folder, environment=self.environment, streams=streams
        )

    @property
    def complaints(self) -> str:
        return self.log

    def do(
        self,
        what: str,
        *arguments: str,
        now: datetime,
        messages: Sequence[Message] = (),
        post_ends: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Call a method of `ReleasedWorker` by its name; return its result."""
        known = [message_told(each) for each in messages]
        order = {"do": what, "with": arguments, "now": now.isoformat()}
        answer: dict[str, Any] = self.tell({**order, "messages": known, "post_ends": list(post_ends)})
        return answer
