"""A program of tests/support/mozdef in a process of its own, on a Python of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from line_process import LineProcess

PROGRAMS = Path(__file__).parent / "mozdef"


class Program(LineProcess):
    def __init__(self, name: str, *, python: Path, folder: Path, environment: Mapping[str, str]) -> None:
        command = (python, "-u", PROGRAMS / f"{name}.py")
        log_file = folder / f"{name}.log"
        super().__init__(*command, folder=folder, environment=environment, log_file=log_file)

    def call(self, name: str, **arguments: Any) -> Any:
        """Make it do something; return the result. AssertionError with its traceback if it raises."""
        answer = self.tell([name, arguments])
        assert "error" not in answer, answer["error"]
        return answer["result"]
