"""A program of tests/support/mozdef in a process of its own, on a Python of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from world.waiting import PATIENCE_SECONDS

PROGRAMS = Path(__file__).parent / "mozdef"


class Program:
    """Started once it is entered. What it writes beside its answers goes to a file."""

    def __init__(self, name: str, *, python: Path, folder: Path, environment: Mapping[str, str]) -> None:
        self._command = [str(python), "-u", str(PROGRAMS / f"{name}.py")]
        self._folder = folder
        self._environment = environment
        #: What it writes beside its answers goes there.
        self.log_file = folder / f"{name}.log"
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
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
        process = self._running()
        assert process.stdin
        assert process.stdout
        process.stdin.close()
        process.wait(PATIENCE_SECONDS)
        process.stdout.close()

    @property
    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def call(self, name: str, **arguments: Any) -> Any:
        """Let it do something; return what comes of that. AssertionError with its traceback if it raises."""
        process = self._running()
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps([name, arguments]) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        assert line, f"{self._command} ended\n{self.log}"
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def _running(self) -> subprocess.Popen[str]:
        assert self._process is not None
        return self._process
