"""The real worker with a short patience, which gets stuck on cue: when a file of that name exists.

`poller`: a poll never ends. `loop`: the event loop is held up for good, which a file `held` tells.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import cast

from bot.aws.access import Access
from bot.settings.alerts import load_alert_policies
from bot.settings.messages import load_messages
from bot.settings.people import load_people_rules
from bot.settings.settings import Purpose, Settings, load_settings, prepare_environment
from bot.sqs.queues import FailedEntry, Queue, Received
from bot.triage.ports import Meter
from bot.worker.app import App
from bot.worker.assembly import Dependencies, Queues, make_policy, open_queues
from bot.worker.lifecycle import run_worker
from bot.worker.log import configure_logging
from bot.worker.watchdog import PATIENCE, Progress

#: Of 45 s this makes 4.5.
SPEED_UP = 10


class QuickProgress(Progress):
    def mark(self, patience: timedelta = PATIENCE) -> None:
        super().mark(patience / SPEED_UP)


class CuedQueue:
    """A request queue with short polls."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self.describe = queue.describe

    async def receive(self, *, wait_seconds: int = 20) -> Sequence[Received]:
        if is_cue("loop"):
            hold_up()
        if is_cue("poller"):
            await asyncio.Event().wait()
        return await self._queue.receive(wait_seconds=min(wait_seconds, 1))

    async def delete_batch(self, messages: Sequence[Received]) -> Sequence[FailedEntry | None]:
        return await self._queue.delete_batch(messages)

    async def hand_back(self, messages: Sequence[Received]) -> Sequence[FailedEntry | None]:
        return await self._queue.hand_back(messages)


def is_cue(name: str) -> bool:
    return Path(name).exists()


def hold_up() -> None:
    Path("held").touch()
    time.sleep(3600)


def cued_queues(settings: Settings, access: Access, meter: Meter, stack: AsyncExitStack) -> Queues:
    queues = open_queues(settings, access, meter, stack)
    return replace(queues, requests=cast("Queue", CuedQueue(queues.requests)))


def main() -> None:
    settings = load_settings(Purpose.RUN)
    prepare_environment(settings)
    configure_logging(settings.log_level, sys.stderr)
    folder = settings.config_dir
    policy = make_policy(settings, load_alert_policies(folder), load_people_rules(folder))
    dependencies = Dependencies(queues=cued_queues, progress=QuickProgress)
    asyncio.run(run_worker(App(settings, load_messages(folder), policy, dependencies=dependencies)))


if __name__ == "__main__":
    main()
