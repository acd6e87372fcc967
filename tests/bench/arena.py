"""One contestant against stand-ins of its own: started, put to work, ended."""

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


class StandInsProcess:
    """The process of `stand_ins`. An order that came to nothing raises `BenchFailed`."""

    def __init__(self, *options: str) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - a program of the bench's own
            [sys.executable, "-P", "-m", "tests.bench.stand_ins", *options],
            env={**os.environ, "PYTHONPATH": str(HOME)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        os.sched_setaffinity(self._process.pid, cores()[1])
        self.addresses: dict[str, str] = self._read()

    def order(self, word: str, **arguments: Any) -> dict[str, Any]:
        """Have something done, and wait for the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": word, **arguments}) + "\n")
        self._process.stdin.flush()
        return self._read()

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"failed": "the stand-ins ended"}
        if "failed" in answer:
            raise BenchFailed(answer["failed"])
        return answer


class Arena:
    """One run: `order` speaks to the stand-ins, `process` is the contestant.

    Over TLS where there are certificates. `folder` is the contestant's, if it is to be kept. `first` is the
    number of the first alert.
    """

    def __init__(
        self,
        contestant: Contestant,
        certificates: Certificates | None,
        *,
        folder: Path | None = None,
        first: int = 0,
    ) -> None:
        self._stack = contextlib.ExitStack()
        self._contestant = contestant
        shown, trusted = (certificates.shown, certificates.trusted) if certificates else (None, None)
        home = folder or Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        self._stand_ins = StandInsProcess(*_options(contestant, shown, first))
        self._stack.callback(self._stand_ins.close)
        self.process = ContestantProcess(contestant, home, self._stand_ins.addresses, trusted)
        self._stack.callback(self.process.kill)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self) -> float:
        """Start the contestant; return the seconds until its link is open and its first poll is there."""
        self.process.start()
        return float(self.order("await ready")["ready_at"]) - self.process.started_at

    def order(self, word: str, **arguments: Any) -> dict[str, Any]:
        """Have the stand-ins do something. `BenchFailed` with the end of the contestant's log."""
        try:
            return self._stand_ins.order(word, **arguments)
        except BenchFailed as error:
            raise BenchFailed(f"{self._contestant.name}: {error}\n{self.process.log_end()}") from error

    def cpu_of(self, word: str, **arguments: Any) -> float:
        """Have something done; return the seconds of processor that it took the contestant."""
        before = self.process.cpu_seconds()
        self.order(word, **arguments)
        return self.process.cpu_seconds() - before


def _options(contestant: Contestant, certificate: Path | None, first: int) -> list[str]:
    tls = ["--certificate", str(certificate)] if certificate else []
    link = [] if contestant.link_has_tls else ["--bare-link"]
    return [*tls, *link, "--first", str(first)]
