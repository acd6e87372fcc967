"""One contestant, or several of it, against stand-ins of their own: started, given work, and stopped."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Self

from .certificates import Certificates
from .contestants import HOME, Contestant, ContestantProcess, cores


class BenchFailed(Exception):
    """A contestant did not do what it was asked to do, so there is nothing to measure."""


class Arena:
    """One run: `order` speaks to the stand-ins, `process` is the first contestant.

    Over TLS where there are certificates. `folder` is the contestant's, if it is to be kept. `first` is the
    number of the first alert.
    """

    def __init__(
        self,
        contestant: Contestant,
        certificates: Certificates | None = None,
        *,
        count: int = 1,
        folder: Path | None = None,
        first: int = 0,
    ) -> None:
        self._stack = contextlib.ExitStack()
        self._name = contestant.name
        self._processes: list[ContestantProcess] = []
        tls = ("--certificate", str(certificates.shown)) if certificates else ()
        factor = ("--provider",) if contestant.needs_provider else ()
        link = () if contestant.link_has_tls else ("--bare-link",)
        self._stand_ins = subprocess.Popen(  # noqa: S603 - a program of the bench's own
            [
                sys.executable,
                "-P",
                "-m",
                "tests.bench.stand_ins",
                *tls,
                *link,
                *factor,
                "--first",
                str(first),
            ],
            env={**os.environ, "PYTHONPATH": str(HOME)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        os.sched_setaffinity(self._stand_ins.pid, cores()[1])
        self._stack.callback(self._stand_ins.communicate)
        self._stack.callback(self._stand_ins.kill)
        addresses, trusted = self._read(), certificates.trusted if certificates else None
        for _ in range(count):
            home = folder or Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            self._processes.append(ContestantProcess(contestant, home, addresses, trusted))
            self._stack.callback(self._processes[-1].kill)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def process(self) -> ContestantProcess:
        return self._processes[0]

    def start(self) -> float:
        """Start all; return the seconds until a link is open and the first poll is there."""
        for process in self._processes:
            process.start()
        return float(self.order("await_ready")["ready_at"]) - self.process.started_at

    def order(self, word: str, **arguments: Any) -> dict[str, Any]:
        """Make the stand-ins do something. `BenchFailed`, with the end of each log, if that fails."""
        assert self._stand_ins.stdin is not None
        self._stand_ins.stdin.write(json.dumps({"do": word, **arguments}) + "\n")
        self._stand_ins.stdin.flush()
        return self._read()

    def cpu_of(self, word: str, **arguments: Any) -> float:
        """Do something; return the seconds of processor time that it took the contestant."""
        before = self.process.cpu_seconds()
        self.order(word, **arguments)
        return self.process.cpu_seconds() - before

    def _read(self) -> dict[str, Any]:
        assert self._stand_ins.stdout is not None
        line = self._stand_ins.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"failed": "the stand-ins ended"}
        if "failed" in answer:
            logs = "\n\n".join(process.log_end() for process in self._processes)
            raise BenchFailed(f"{self._name}: {answer['failed']}\n{logs}")
        return answer
