"""The worker's life cycle: start, loops, stop. Knows nothing of Slack, SQS or SQL.

Loops run in one task group; if one fails, the process exits, and systemd restarts it. On shutdown the stages
stop one after another; the loops of one stage stop together.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import timedelta
from typing import Protocol

from bot.triage.log_events import log_event

log = logging.getLogger(__name__)

#: A loop runs until the given event is set, and then returns.
Loop = Callable[[asyncio.Event], Awaitable[None]]

#: How long a shutdown may take. Work unfinished by then is safe in the store.
STOP_WITHIN = timedelta(seconds=8)

#: New objects between two runs of the garbage collector. Python's default of 700 amounts to a few alerts,
#: whose objects are nearly all still in use.
GC_THRESHOLD = 5000

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """Turns the first signal into an event; the second exits the process at once."""

    def __init__(self) -> None:
        self.requested = asyncio.Event()

    def listen(self) -> None:
        """Handle SIGTERM and SIGINT. Call this before anything that takes time."""
        for number in _SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal, number)

    def _on_signal(self, number: int) -> None:
        if self.requested.is_set():
            # Everything that was acknowledged is in the store already.
            os._exit(1)
        log_event(log.info, "worker.stopping", "stopping", signal=signal.Signals(number).name)
        self.requested.set()


class Startable(Protocol):
    """What `run_worker` runs."""

    async def start(self) -> None:
        """Open what the loops need. May be cancelled."""

    def stages(self) -> Sequence[Mapping[str, Loop]]:
        """Return the loops, by name, in the order in which they stop."""

    async def close(self) -> None:
        """Close what was opened, however far `start` got."""


async def run_worker(app: Startable) -> None:
    """Start, run until SIGTERM or SIGINT, and close. Raises what the start or a loop raised."""
    stop = Stop()
    stop.listen()
    try:
        _tune_garbage_collector()
        await first_of(app.start(), stop.requested.wait())
        if not stop.requested.is_set():
            _tune_garbage_collector()
            log_event(log.info, "worker.started", "started")
            await run_loops(app.stages(), stop.requested)
    finally:
        await app.close()
    log_event(log.info, "worker.stopped", "stopped")


def _tune_garbage_collector() -> None:
    """Exclude all objects that there are from garbage collection, and run it, less often, from now on.

    They are mainly modules and live as long as the process. Scanning them takes 60 ms, during which no click
    is acknowledged.
    """
    gc.set_threshold(GC_THRESHOLD)
    gc.freeze()
    gc.collect()  # resets the size of the oldest generation, which decides when the next full run comes
    gc.enable()


async def first_of(*works: Coroutine[None, None, object]) -> None:
    """Wait until the first of these ends, and cancel the others. Raises what the first raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def run_loops(stages: Sequence[Mapping[str, Loop]], stop: asyncio.Event) -> None:
    """Run all loops until `stop` is set, then stop stage by stage.

    Raises what a loop raises, as an exception group. Exits the process if stopping takes too long.
    """
    async with asyncio.TaskGroup() as group:
        running = [_start(stage, group) for stage in stages]
        group.create_task(_stop_in_order(running, stop), name="stop")


def _start(
    stage: Mapping[str, Loop], group: asyncio.TaskGroup
) -> tuple[asyncio.Event, list[asyncio.Task[None]]]:
    stop = asyncio.Event()
    return stop, [group.create_task(_run(loop, stop), name=name) for name, loop in stage.items()]


async def _run(loop: Loop, stop: asyncio.Event) -> None:
    await loop(stop)
    if not stop.is_set():
        raise RuntimeError("a loop ended without being told to")


async def _stop_in_order(
    running: Sequence[tuple[asyncio.Event, list[asyncio.Task[None]]]], stop: asyncio.Event
) -> None:
    await stop.wait()
    try:
        async with asyncio.timeout(STOP_WITHIN.total_seconds()):
            for stage_stop, tasks in running:
                stage_stop.set()
                await asyncio.wait(tasks)
    except TimeoutError:
        late = [task.get_name() for _, tasks in running for task in tasks if not task.done()]
        log_event(log.warning, "shutdown.timed_out", late=",".join(late))
        logging.shutdown()
        # A normal exit would wait for threads that are in a DNS look-up.
        os._exit(0)
