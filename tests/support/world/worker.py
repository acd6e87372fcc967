"""The worker as a process with an environment built from nothing, and its commands."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import bot
from world.fork_server import ForkedProcess, fork
from world.waiting import PATIENCE_SECONDS, until

_PACKAGE_HOME = Path(bot.__file__).resolve().parents[1]


def bare_environment(home: Path) -> dict[str, str]:
    """Return what Python needs to find the program, and nothing that configures it, a file neither."""
    return {
        "PATH": os.defpath,
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(_PACKAGE_HOME),
        "TRIAGE_BOT_ENV": "/dev/null",
    }


class WorkerProcess:
    """One `triage-bot run` after another in one folder, with one log."""

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str],
        *,
        log: str = "worker.log",
        program: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.environment = dict(environment)
        #: What a new Python is told to run. Empty: the worker is forked, which is quicker.
        self.program = program
        self._log = folder.with_name(log)
        self._process: subprocess.Popen[bytes] | ForkedProcess | None = None

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""

    def start(self, *options: str) -> None:
        with self._log.open("ab") as output:
            # What configures Python itself counts only where one begins.
            python = [name for name in self.environment if name.startswith("PYTHON")]
            if not self.program and python == ["PYTHONPATH"]:
                self._process = fork(
                    ["run", *options], folder=self.folder, environment=self.environment, log=output.fileno()
                )
                return
            self._process = subprocess.Popen(  # noqa: S603 - the program under test
                [sys.executable, "-P", *(self.program or ("-m", "bot")), "run", *options],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def limit_files(self, size: int) -> None:
        """Let the run write no file beyond this size in bytes, as on a full disk; -1: let it again."""
        assert self._process is not None
        _, hard = resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (size, hard))

    def limit_descriptors(self, number: int) -> None:
        """Let the run have no descriptor with a higher number than this, beyond those that it has."""
        assert self._process is not None
        _, hard = resource.prlimit(self._process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(self._process.pid, resource.RLIMIT_NOFILE, (number, hard))

    def count_threads(self) -> int:
        assert self._process is not None
        return sum(1 for _ in Path(f"/proc/{self._process.pid}/task").iterdir())

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def exit_code(self, *, seconds: float = PATIENCE_SECONDS) -> int:
        """Wait for the end of the run. `subprocess.TimeoutExpired` if that does not come in time."""
        assert self._process is not None
        return self._process.wait(seconds)

    def stop(self) -> int:
        """Stop the run as systemd does; return its exit code."""
        self.signal(signal.SIGTERM)
        return self.exit_code()

    def kill(self) -> None:
        """End the run in the middle of whatever it does."""
        self.signal(signal.SIGKILL)
        self.exit_code()

    def close(self) -> None:
        if self.is_running():
            self.kill()

    def until_logged(self, *words: str, seconds: float = PATIENCE_SECONDS) -> str:
        """Wait for a line of the log with all these words in it, and return that."""

        def look() -> str | None:
            lines = reversed(self.log.splitlines())
            return next((line for line in lines if all(word in line for word in words)), None)

        try:
            return until(look, what=f"a line of the log with {' '.join(words)}", seconds=seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log}") from None

    def command(self, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run one of the other commands, as the engineer does beside the worker."""
        return subprocess.run(  # noqa: S603 - the program under test
            [sys.executable, "-P", "-m", "bot", *arguments],
            cwd=self.folder,
            env=self.environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
