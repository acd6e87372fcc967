"""Brings the worker to life, and ends it: on its cue, from outside at any moment, or with SIGTERM."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Literal

from bot.sandbox.child_process import bare_environment

from .history import End
from .killable_worker import Cue

#: The checkout, from which the worker is imported.
_HOME: Final = Path(__file__).resolve().parents[2]

#: Seconds that a worker may take to end after SIGTERM, before it counts as stuck.
_STUCK: Final = 15.0

#: How a life is to end: killed, told to stop, or by itself, because it refuses to begin.
InquiryDraft = Literal["kill", "term", "refuse"]


def log_name(worker: str) -> str:
    """Return the name of the log of a worker, that of all its lives."""
    return f"worker-{worker}.log"


class Lives:
    """The nursery process, seen from outside."""

    def __init__(self, name: str, process: Process) -> None:
        self.name = name
        self._process = process
        self._facts: dict[str, Any] = {}

    @classmethod
    async def start(cls, name: str, folder: Path, environment: Mapping[str, str]) -> Lives:
        """Start the nursery of the worker of this name, with its log in `folder`."""
        with (folder / log_name(name)).open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-W", "error", "-m", "tests.torture.killable_worker"),
                cwd=folder,
                env={**bare_environment(folder), **environment, "PYTHONPATH": str(_HOME)},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        return cls(name, process)

    async def live(self, cue: Cue, *, seconds: float, wanted: InquiryDraft = "kill") -> End:
        """Live one life: to its cue, or for so many seconds."""
        await self.begin(cue)
        try:
            async with asyncio.timeout(seconds):
                await self._until("died")
        except TimeoutError:
            return await self.end(wanted)
        return self._end(wanted, 0.0)

    async def begin(self, cue: Cue) -> None:
        assert self._process.stdin is not None
        self._facts.clear()
        self._process.stdin.write(json.dumps(asdict(cue)).encode() + b"\n")
        await self._process.stdin.drain()
        await self._until("born")

    async def end(self, wanted: InquiryDraft) -> End:
        """End the life that has begun, and wait until it is over."""
        began = time.monotonic()
        self._send(signal.SIGTERM if wanted == "term" else signal.SIGKILL)
        try:
            async with asyncio.timeout(_STUCK):
                await self._until("died")
        except TimeoutError:
            self._send(signal.SIGKILL)
            await self._until("died")
        return self._end(wanted, time.monotonic() - began)

    async def stop(self) -> None:
        """End the nursery, and the life in it if there is one."""
        if self._process.returncode is None:
            if "born" in self._facts and "died" not in self._facts:
                self._send(signal.SIGKILL)
            self._process.kill()
        await self._process.wait()

    def _send(self, number: signal.Signals) -> None:
        # The pid cannot be another's: the nursery reaps a life only when it is told to begin the next.
        if "died" not in self._facts:
            os.kill(self._facts["born"], number)

    def _end(self, wanted: str, seconds: float) -> End:
        code = self._facts["died"]
        status = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        place = self._facts.get("dies", "")
        return End(wanted=wanted, status=status, seconds=seconds, place=place, worker=self.name)

    async def _until(self, fact: str) -> None:
        """Read what the nursery tells. `RuntimeError` if it ends before that."""
        assert self._process.stdout is not None
        while fact not in self._facts:
            line = await self._process.stdout.readline()
            if not line:
                raise RuntimeError("the nursery ended; see its log")
            self._facts.update(json.loads(line))
