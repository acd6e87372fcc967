"""File descriptors: how many the listeners may take, and what happens when the process has none left.

Links, queues, the store and calls to Slack come first: callers of the metrics port and of the control socket
share what is left. A worker without descriptors cannot reopen a link either, so it exits to be restarted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import socket
import time
from collections.abc import Callable
from datetime import timedelta

from bot.backoff import pause_to_beat
from bot.errors import TriageBotError
from bot.triage.log_events import log_event

log = logging.getLogger(__name__)

#: Descriptors that no listener may take: 256 calls to Slack, as many as the client has connections, the
#: links, the clients of SQS and of the store, and the files of the store.
RESERVED = 384

#: Connections of one listener at a time. Prometheus and a few engineers need fewer than ten.
CONNECTIONS_MAX = 64
CONNECTIONS_MIN = 4

#: Calls to one address of the second factor's provider at a time, at least.
CALLS_MIN = 64

#: Descriptors that opening one link needs: its socket, and those of the DNS look-up.
NEEDED = 4

#: How long the worker waits for descriptors before it exits.
PATIENCE = timedelta(seconds=20)

#: How often the worker checks for free descriptors.
LOOK_INTERVAL = timedelta(seconds=5)


class OutOfDescriptors(TriageBotError):
    """No file descriptor is left in the process or on the machine."""


def count_allowed_connections(limit: int) -> int:
    """Return how many connections one listener may hold with this RLIMIT_NOFILE: 4 to 64."""
    # A quarter of the rest: there are two listeners, and what is closed is not always freed at once.
    return max(CONNECTIONS_MIN, min(CONNECTIONS_MAX, (limit - RESERVED) // 4))


def count_allowed_calls(limit: int, *, most: int) -> int:
    """Return how many calls to one address of the second factor's provider may wait at a time: 64 to `most`.

    A push and a poll have addresses of their own.
    """
    return max(CALLS_MIN, min(most, (limit - RESERVED - 2 * CONNECTIONS_MAX) // 2))


def descriptor_limit() -> int:
    """Return the highest number of descriptors that this process may have (RLIMIT_NOFILE)."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft != resource.RLIM_INFINITY else 1 << 20


def has_spare_descriptors() -> bool:
    """Whether a link could be opened now, as far as descriptors go."""
    try:
        with contextlib.ExitStack() as opened:
            for _ in range(NEEDED):
                opened.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    except OSError:
        return False
    return True


async def watch_descriptors(
    stop: asyncio.Event,
    *,
    interval: timedelta = LOOK_INTERVAL,
    has_spare: Callable[[], bool] = has_spare_descriptors,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Watch until `stop` is set. Raises `OutOfDescriptors` if none was free for 20 s by `clock`."""
    spare_at = clock()
    while not stop.is_set():
        if has_spare():
            spare_at = clock()
        elif clock() - spare_at >= PATIENCE.total_seconds():
            limit = descriptor_limit()
            problem = (
                f"no file descriptor was free for {PATIENCE.total_seconds():g} s, so no link can be opened:"
                f" the worker exits to be restarted; if this happens again, raise LimitNOFILE (now {limit})"
            )
            log_event(log.critical, "descriptors.exhausted", "%s", problem, limit=limit)
            raise OutOfDescriptors(problem)
        await pause_to_beat(stop, every=interval)
