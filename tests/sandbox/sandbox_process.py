"""`triage-bot sandbox` as a process, the way a person starts it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection
from pathlib import Path
from threading import Timer
from typing import Any, Self
from urllib.parse import urlsplit

from world import PATIENCE_SECONDS


class SandboxProcess:
    """A sandbox; it is ready once it is entered, and ended once it is left.

    `command` starts it; without one, its page has a free port.
    """

    def __init__(self, folder: Path, command: Sequence[str] = ()) -> None:
        self.folder = folder
        self._command = command or (sys.executable, "-m", "bot", "sandbox", "--port", "0")
        self.url = ""
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        assert self._process is not None
        self.url = self._address_when_ready(self._process)
        return self

    def start(self) -> None:
        """Start it, and do not wait until it is ready."""
        self._process = subprocess.Popen(  # noqa: S603 -- the program under test
            self._command,
            cwd=self.folder,
            env=environment(self.folder),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self.end(signal.SIGTERM)

    def state(self) -> dict[str, Any]:
        """What the page shows."""
        _, body = self.request("GET", "/api/state")
        state: dict[str, Any] = json.loads(body)
        return state

    def request(self, method: str, path: str, **headers: str) -> tuple[int, bytes]:
        """Ask the page's server; return the status and the body of its answer."""
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=PATIENCE_SECONDS)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def pid_of(self, part: str) -> int:
        """The process id of `Worker` or `SQS`."""
        return next(int(one["pid"]) for one in self.state()["health"]["parts"] if one["name"] == part)

    def end(self, number: signal.Signals) -> tuple[int, str, str]:
        """Send a signal; return how the process ends."""
        assert self._process is not None
        self._process.send_signal(number)
        return self.ended()

    def ended(self) -> tuple[int, str, str]:
        """Wait until the process ends; return its exit code, and what it wrote since it was ready."""
        assert self._process is not None
        output, errors = self._process.communicate(timeout=PATIENCE_SECONDS)
        return self._process.returncode, output, errors

    def _address_when_ready(self, process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        limit = Timer(PATIENCE_SECONDS, process.kill)
        limit.start()
        try:
            for line in process.stdout:
                if ready := re.match(r"Ready: (\S+)", line):
                    return ready[1]
        finally:
            limit.cancel()
        raise AssertionError(f"the sandbox did not get ready: {process.communicate()[1]}")


def environment(folder: Path, **more: str) -> Mapping[str, str]:
    """This process's environment, with its temporary files below `folder`, and `more`."""
    return {**os.environ, "TMPDIR": str(folder), **more}
