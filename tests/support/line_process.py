"""A program that is told what to do by lines of JSON, and answers each with another."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from world.waiting import PATIENCE_SECONDS


class LineProcess:
    """Started once it is entered. What it writes beside its answers goes to `log_file`."""

    def __init__(
        self, *command: str | Path, folder: Path, environment: Mapping[str, str], log_file: Path
    ) -> None:
        self._command = command
        self._folder = folder
        self._environment = environment
        self.log_file = log_file
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        with self.log_file.open("ab") as log:
            self._process = self._process or subprocess.Popen(  # noqa: S603 - our own programs
                self._command,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def tell(self, order: object) -> Any:
        """Let it do something; return its answer. AssertionError with its log if it has ended."""
        assert self._process is not None
        stdin, stdout, line = self._process.stdin, self._process.stdout, ""
        assert stdin
        assert stdout
        with suppress(BrokenPipeError):
            stdin.write(json.dumps(order) + "\n")
            stdin.flush()
            line = stdout.readline()
        assert line, f"{self._command} ended\n{self.log}"
        return json.loads(line)

    def stop(self) -> None:
        """Let it end in order."""
        assert self._process is not None
        self._process.communicate(timeout=PATIENCE_SECONDS)

    def kill(self) -> None:
        """End it in the middle of whatever it does."""
        assert self._process is not None
        self._process.kill()
        self.stop()
