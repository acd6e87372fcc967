"""Several workers that share a request queue, a table and a workspace."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Any, Self

from .arena import BenchFailed, StandInsProcess
from .contestants import Contestant, ContestantProcess


class Crew:
    """So many of one contestant, all of them linked and polling once it is entered."""

    def __init__(self, contestant: Contestant, count: int) -> None:
        self._contestant = contestant
        self._count = count
        self._stack = contextlib.ExitStack()
        self._processes: list[ContestantProcess] = []

    def __enter__(self) -> Self:
        with self._stack:
            self._stand_ins = StandInsProcess()
            self._stack.callback(self._stand_ins.close)
            for _ in range(self._count):
                self._add()
            self.order("await workers", count=self._count)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def order(self, word: str, **arguments: Any) -> dict[str, Any]:
        """Have the stand-ins do something. `BenchFailed` with the end of each worker's log."""
        try:
            return self._stand_ins.order(word, **arguments)
        except BenchFailed as error:
            logs = "\n\n".join(process.log_end() for process in self._processes)
            raise BenchFailed(f"{self._count} workers: {error}\n{logs}") from error

    def _add(self) -> None:
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        process = ContestantProcess(self._contestant, folder, self._stand_ins.addresses, None)
        self._stack.callback(process.kill)
        process.start()
        self._processes.append(process)
