"""Brings the worker to life, and ends it: on its cue, from outside at any moment, or with SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Literal

from world.fork_server import ForkedProcess, fork

from bot.sandbox.child_process import bare_environment

from .history import End
from .killable_worker import Cue

#: The checkout and its tests, from which the worker is imported.
_HOME: Final = Path(__file__).resolve().parents[2]
_PATH: Final = os.pathsep.join([str(_HOME), str(_HOME / "tests")])
_NURSERY: Final = Path(__file__).with_name("loaded_nursery.py")

#: Seconds that a worker may take to end after SIGTERM, before it counts as stuck.
_STUCK: Final = 15.0

#: How a life is to end: killed, told to stop, or by itself, because it refuses to begin.
InquiryDraft = Literal["kill", "term", "refuse"]


def log_name(worker: str) -> str:
    """Return the name of the log of a worker, that of all its lives."""
    return f"worker-{worker}.log"


class Lives:
    """The nursery process, seen from outside."""

    def __init__(
        self, name: str, process: ForkedProcess, told: asyncio.StreamReader, tells: asyncio.StreamWriter
    ) -> None:
        self.name = name
        self._process = process
        self._told = told
        self._tells = tells
        self._facts: dict[str, Any] = {}

    @classmethod
    async def start(cls, name: str, folder: Path, environment: Mapping[str, str]) -> Lives:
        """Start the nursery of the worker of this name, with its log in `folder`."""
        ours, its = socket.socketpair()
        with its, (folder / log_name(name)).open("ab") as log:
            process = fork(
                _NURSERY,
                [],
                folder=folder,
                environment={**bare_environment(folder), **environment, "PYTHONPATH": _PATH},
                streams=(its.fileno(), its.fileno(), log.fileno()),
            )
        return cls(name, process, *await asyncio.open_connection(sock=ours))

    async def live(self, cue: Cue, *, seconds: float, wanted: InquiryDraft = "kill") -> End:
        """Live one life: until its cue, or for this many seconds."""
        await self.begin(cue)
        try:
            async with asyncio.timeout(seconds):
                await self._until("died")
        except TimeoutError:
            return await self.end(wanted)
        return self._end(wanted, 0.0)

    async def begin(self, cue: Cue) -> None:
        self._facts.clear()
        self._tells.write(json.dumps(asdict(cue)).encode() + b"\n")
        await self._tells.drain()
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
        if self._process.poll() is None:
            if "born" in self._facts and "died" not in self._facts:
                self._send(signal.SIGKILL)
            self._process.send_signal(signal.SIGKILL)
        self._process.wait(_STUCK)
        self._tells.close()
        with contextlib.suppress(ConnectionError):
            await self._tells.wait_closed()

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
        while fact not in self._facts:
            line = await self._told.readline()
            if not line:
                raise RuntimeError("the nursery ended; see its log")
            self._facts.update(json.loads(line))
