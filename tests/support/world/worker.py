"""The worker as a process with an environment built from nothing, and its commands."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import bot
from world.fork_server import ForkedProcess, Streams, fork
from world.waiting import PATIENCE_SECONDS, until

_PACKAGE_HOME = Path(bot.__file__).resolve().parents[1]
_LOADED = Path(__file__).with_name("loaded_program.py")


def bare_environment(home: Path) -> dict[str, str]:
    """Return what Python needs to find the program, and nothing that configures it, a file neither."""
    return {
        "PATH": os.defpath,
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(_PACKAGE_HOME),
        "TRIAGE_BOT_ENV": "/dev/null",
    }


def begin(
    arguments: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    streams: Streams,
    program: Sequence[str] = (),
) -> subprocess.Popen[bytes] | ForkedProcess:
    """Begin a command: in a new Python that runs this `program`, or else forked, which is quicker."""
    # What configures Python itself counts only where one begins.
    python = [name for name in environment if name.startswith("PYTHON")]
    if not program and python == ["PYTHONPATH"]:
        return fork(_LOADED, arguments, folder=folder, environment=environment, streams=streams)
    stdin, stdout, stderr = streams
    return subprocess.Popen(  # noqa: S603 - the program under test
        [sys.executable, "-P", *(program or ("-m", "bot")), *arguments],
        cwd=folder,
        env=environment,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
    )


def run_command(
    *arguments: str, folder: Path, environment: Mapping[str, str], given: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with this as its input.

    A `check` that had to wait too long is run again, a few times: the machine may be busy.
    """
    for _ in range(5):
        done = _run_once(arguments, folder=folder, environment=environment, given=given)
        if arguments[0] != "check" or "no answer within" not in done.stdout:
            break
    return done


def _run_once(
    arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str], given: str
) -> subprocess.CompletedProcess[str]:
    with (
        tempfile.TemporaryFile("w+") as stdin,
        tempfile.TemporaryFile("w+") as stdout,
        tempfile.TemporaryFile("w+") as stderr,
    ):
        stdin.write(given)
        stdin.seek(0)
        streams = stdin.fileno(), stdout.fileno(), stderr.fileno()
        process = begin(arguments, folder=folder, environment=environment, streams=streams)
        try:
            code = process.wait(PATIENCE_SECONDS)
        finally:
            process.send_signal(signal.SIGKILL)  # where it has not ended
        for stream in (stdout, stderr):
            stream.seek(0)
        return subprocess.CompletedProcess(arguments, code, stdout.read(), stderr.read())


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
        with self._log.open("ab") as output, Path(os.devnull).open() as nothing:
            self._process = begin(
                ["run", *options],
                folder=self.folder,
                environment=self.environment,
                streams=(nothing.fileno(), output.fileno(), output.fileno()),
                program=self.program,
            )

    def limit_files(self, size: int) -> None:
        """Forbid the run to write files beyond this size in bytes, as on a full disk; -1: no limit."""
        assert self._process is not None
        _, hard = resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (size, hard))

    def limit_descriptors(self, number: int) -> None:
        """Limit the run's descriptors to numbers up to this, besides those that it has."""
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
        """Run one of the other commands, as an engineer does while the worker runs."""
        return run_command(*arguments, folder=self.folder, environment=self.environment, given=given)
