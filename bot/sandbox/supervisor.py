"""Keeps the worker running as systemd does: started again when it ends, and watched whether it answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum
from typing import Final, NoReturn

import aiohttp

from bot.sandbox.child_process import ChildProcess
from bot.sandbox.failure import SandboxFailed
from bot.sandbox.worker_process import STOP_GRACE, StartWorker

#: The exit code after which systemd does not start it again: a setting is wrong.
_WRONG_CONFIG: Final = 78
#: How often in a row it may end before it is linked to Slack again.
_ATTEMPTS: Final = 5
_RESTART_AFTER: Final = timedelta(seconds=0.5)
#: How often it is asked whether it is there, and how long it may take to answer: together less than 3 s.
_LOOK_SECONDS: Final = 0.5
_PATIENCE: Final = aiohttp.ClientTimeout(total=2)


class WorkerState(StrEnum):
    """What the page says of the worker."""

    STARTING = "starting"
    UP = "up"
    RESTARTING = "restarting"
    FROZEN = "not responding"
    DOWN = "down"


class Supervisor:
    """Runs one worker after another: `process`, and those that `start` makes when it has ended.

    `has_link` tells whether Slack has a link; `mark` announces a change.
    """

    def __init__(
        self,
        process: ChildProcess,
        start: StartWorker,
        health_url: str,
        *,
        has_link: Callable[[], bool],
        mark: Callable[[], None],
    ) -> None:
        self.state = WorkerState.STARTING
        self.process = process
        self.back_after: float | None = None  #: seconds from its last end until it was linked again
        self._start = start
        self._health_url = health_url
        self._has_link = has_link
        self._mark = mark
        self._tasks: list[asyncio.Task[NoReturn]] = []

    def watch(self) -> None:
        """From now on, start a worker that ends again, and look whether it answers."""
        self._change(WorkerState.UP)
        self._tasks = [asyncio.create_task(self._keep_running()), asyncio.create_task(self._keep_asking())]

    async def failure(self) -> NoReturn:
        """Wait until the worker cannot be kept running; never returns. Raises `SandboxFailed`."""
        if self._tasks:
            await asyncio.shield(self._tasks[0])
        raise _explain_end(self.process, await self.process.wait_for_end())

    def kill(self) -> None:
        """End the worker as `kill -9` does."""
        self.process.kill()

    async def stop(self) -> None:
        """Stop watching, then the worker."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.process.stop(grace=STOP_GRACE)
        self._change(WorkerState.DOWN)

    def _change(self, state: WorkerState) -> None:
        if state is not self.state:
            self.state = state
            self._mark()

    async def _keep_running(self) -> NoReturn:
        while True:
            how = await self.process.wait_for_end()
            ended_at = time.monotonic()
            await self._restart(how)
            self.back_after = time.monotonic() - ended_at
            self._change(WorkerState.UP)

    async def _restart(self, how: str) -> None:
        self._change(WorkerState.RESTARTING)
        for _ in range(_ATTEMPTS):
            if how == f"exit code {_WRONG_CONFIG}":
                break
            await asyncio.sleep(_RESTART_AFTER.total_seconds())
            self.process = await self._start()
            self._mark()
            ending = asyncio.create_task(self.process.wait_for_end())
            while not ending.done():
                if await self._answers() and self._has_link():
                    ending.cancel()
                    return
                await asyncio.wait({ending}, timeout=0.05)
            how = await ending
        raise _explain_end(self.process, how)

    async def _keep_asking(self) -> NoReturn:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            if self.state in {WorkerState.UP, WorkerState.FROZEN}:
                answers = await self._answers()
                if self.state in {WorkerState.UP, WorkerState.FROZEN}:
                    self._change(WorkerState.UP if answers else WorkerState.FROZEN)

    async def _answers(self) -> bool:
        """Whether it answers at all, however bad its health."""
        try:
            async with (
                aiohttp.ClientSession(timeout=_PATIENCE) as session,
                session.get(self._health_url) as answer,
            ):
                await answer.read()
        except (aiohttp.ClientError, TimeoutError):
            return False
        return True


def _explain_end(process: ChildProcess, how: str) -> SandboxFailed:
    return SandboxFailed(f"The {process.name} ended unexpectedly ({how})", log=process.log_tail())
