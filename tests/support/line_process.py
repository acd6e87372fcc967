"""A program that is told what to do by lines of JSON, and answers each with another."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from world.fork_server import ForkedProcess
from world.waiting import PATIENCE_SECONDS


class LineProcess:
    """Started once it is entered. What it writes besides its answers goes to `log_file`."""

    def __init__(
        self, *command: str | Path, folder: Path, environment: Mapping[str, str], log_file: Path
    ) -> None:
        self.command = command
        self.folder = folder
        self.environment = environment
        self.log_file = log_file
        self._process: subprocess.Popen[bytes] | ForkedProcess | None = None

    def __enter__(self) -> Self:
        if self._process is None:
            ours, its = socket.socketpair()
            with its, self.log_file.open("ab") as log:
                self._process = self.begin(its.fileno(), log.fileno())
            ours.settimeout(PATIENCE_SECONDS)
            self._socket, self._lines = ours, ours.makefile("rw", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def begin(self, lines: int, log: int) -> subprocess.Popen[bytes] | ForkedProcess:
        """Start it, with these descriptors for its lines, which go both ways, and its errors."""
        return subprocess.Popen(  # noqa: S603 - our own programs
            self.command, cwd=self.folder, env=self.environment, stdin=lines, stdout=lines, stderr=log
        )

    @property
    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def tell(self, order: object) -> Any:
        """Make it do something; return its answer. AssertionError with its log if it has ended.

        TimeoutError if it does not answer.
        """
        line = ""
        with suppress(ConnectionError):
            self._lines.write(json.dumps(order) + "\n")
            self._lines.flush()
            line = self._lines.readline()
        assert line, f"{type(self).__name__} ended\n{self.log}"
        return json.loads(line)

    def stop(self) -> None:
        """Let it end in order."""
        assert self._process is not None
        with suppress(OSError):  # it has ended
            self._socket.shutdown(socket.SHUT_WR)
        self._process.wait(PATIENCE_SECONDS)
        with suppress(OSError):  # what it was told last may never have gone out
            self._lines.close()
        self._socket.close()

    def kill(self) -> None:
        """End it in the middle of whatever it does."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self.stop()
