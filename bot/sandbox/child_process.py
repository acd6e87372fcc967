"""The child processes of the sandbox, each with an environment built from scratch."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import sysconfig
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Mapping, Sequence
    from datetime import timedelta

#: Where this package was imported from: the folder that holds `bot/`.
_PACKAGE_HOME: Final = Path(__file__).resolve().parents[2]


def bare_environment(home: Path) -> dict[str, str]:
    """Return the minimal environment of a Python program: no tokens, endpoints, profiles or proxies."""
    environment = {
        "PATH": os.defpath,
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "TRIAGE_BOT_ENV": "/dev/null",  # no file of settings
    }
    if Path(sysconfig.get_path("purelib")).resolve() != _PACKAGE_HOME:
        # In a checkout, the worker must run the same code as the sandbox that starts it.
        environment["PYTHONPATH"] = str(_PACKAGE_HOME)
    return environment


@asynccontextmanager
async def end_on_error(process: ChildProcess, *, grace: timedelta) -> AsyncIterator[None]:
    """Stop `process` if the body raises or is cancelled, because nothing else would stop it yet."""
    try:
        yield
    except BaseException:
        await process.stop(grace=grace)
        raise


def _prepare(folder: Path, log: Path) -> BinaryIO:
    """Create the folder to run in, unless an earlier run has, and open the log next to it."""
    folder.mkdir(mode=0o700, exist_ok=True)
    return log.open("ab")


def _with_us() -> Sequence[str]:
    """Return a command that starts a program that ends with this one, even by SIGKILL; () if none does."""
    setpriv = shutil.which("setpriv")  # of util-linux
    return (setpriv, "--pdeathsig", "KILL") if setpriv else ()


class ChildProcess:
    """A running Python program. `name` is what messages call it."""

    def __init__(self, process: Process, *, name: str, log: Path) -> None:
        self.name = name
        self._process = process
        self._log = log

    @classmethod
    async def start(
        cls, arguments: Sequence[str], *, name: str, folder: Path, environment: Mapping[str, str]
    ) -> ChildProcess:
        """Start Python with `arguments` in `folder`, which is created; its log is `folder` plus `.log`.

        :raises OSError: when the folder cannot be created, or Python does not start.
        """
        log = folder.with_suffix(".log")
        with _prepare(folder, log) as output:
            process = await asyncio.create_subprocess_exec(
                *_with_us(),
                sys.executable,
                *arguments,
                cwd=folder,
                env=dict(environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Ctrl-C in the terminal must reach the sandbox alone, which stops its parts in order.
                start_new_session=True,
            )
        return cls(process, name=name, log=log)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.returncode is None

    async def wait_for_end(self) -> str:
        """Wait until it ends, and return how it ended: `exit code 3` or `SIGKILL`."""
        code = await self._process.wait()
        return f"exit code {code}" if code >= 0 else signal.Signals(-code).name

    def log_tail(self, lines: int = 20) -> str:
        """Return the last lines of its log."""
        written = self._log.read_text(encoding="utf-8", errors="replace")
        return "\n".join(written.splitlines()[-lines:])

    def kill(self) -> None:
        """Send SIGKILL."""
        if self.running:
            self._process.kill()

    async def stop(self, *, grace: timedelta) -> None:
        """Send SIGTERM; if it still runs after `grace`, SIGKILL."""
        if not self.running:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(grace.total_seconds()):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
