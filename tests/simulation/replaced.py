"""What the program takes from its interpreter and its machine, replaced for the length of a run."""

from __future__ import annotations

import asyncio
import gc
import os
import queue
import random
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from random import Random
from typing import Any, Final

from .machines import LIFE, Died, Machine
from .virtual_loop import VirtualLoop
from .virtual_threads import Threads, VirtualLocal, VirtualQueue

#: What time the world believes it is: the true one.
TRUE: Final = Machine(name="the world")

_SECOND: Final = 1_000_000_000


@contextmanager
def replaced(
    loop: VirtualLoop, threads: Threads, entropy: Random, others: Mapping[tuple[Any, str], Any]
) -> Iterator[None]:
    """Replace time, entropy, threads, sockets, garbage collector and `others` while the block runs."""

    class SeededRandom(Random):
        def __init__(self, seed: Any = None) -> None:
            super().__init__(entropy.getrandbits(64) if seed is None else seed)

    queues = type("VirtualQueue", (VirtualQueue,), {"threads": threads})
    replacements: dict[tuple[Any, str], Any] = {
        **_times(loop, threads),
        (os, "urandom"): entropy.randbytes,
        (random, "_urandom"): entropy.randbytes,
        (random, "Random"): SeededRandom,
        (os, "_exit"): _exit,
        (threading, "local"): VirtualLocal,
        (threading.Thread, "start"): lambda thread: _start(threads, thread),
        (queue, "SimpleQueue"): queues,
        (socket.socket, "__init__"): _refuse_socket,
        (sys, "unraisablehook"): lambda _: None,  # coroutines of dead lives may refuse to be closed
        **{(gc, name): lambda *_: 0 for name in ("collect", "enable", "freeze", "set_threshold")},
        **others,
    }
    kept = {place: getattr(*place) for place in replacements}
    random.seed(entropy.getrandbits(64))
    every_task: Any = vars(asyncio.tasks)["_all_tasks"]
    every_task.add = lambda _: None  # `Life.tasks` has them
    gc.disable()
    try:
        for (owner, name), value in replacements.items():
            setattr(owner, name, value)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # coroutines of dead lives are never awaited
            yield
    finally:
        del every_task.add
        kept[gc, "collect"]()
        for (owner, name), value in kept.items():
            setattr(owner, name, value)
        gc.enable()


def _times(loop: VirtualLoop, threads: Threads) -> dict[tuple[Any, str], Any]:
    def machine() -> Machine:
        life = LIFE.get()
        return life.machine if life is not None else TRUE

    def wall() -> float:
        return machine().wall(loop.now)

    def monotonic() -> float:
        return machine().monotonic(loop.now)

    clocks: dict[int, Callable[[], float]] = {
        time.CLOCK_REALTIME: wall,
        time.CLOCK_MONOTONIC: monotonic,
        time.CLOCK_BOOTTIME: lambda: machine().boottime(loop.now),
    }
    found: dict[str, Callable[..., Any]] = {
        "time": wall,
        "time_ns": lambda: int(wall() * _SECOND),
        "monotonic": monotonic,
        "monotonic_ns": lambda: int(monotonic() * _SECOND),
        "perf_counter": monotonic,
        "clock_gettime": lambda number: clocks[number](),
        "clock_gettime_ns": lambda number: int(clocks[number]() * _SECOND),
        "sleep": threads.sleep,
    }
    return {(time, name): function for name, function in found.items()}


def _start(threads: Threads, thread: threading.Thread) -> None:
    if isinstance(thread, threading.Timer):
        raise RuntimeError("no thread for a timer: who sets one goes on without it")  # noqa: TRY004 - as Python does
    threads.start(thread.run)


def _exit(code: int) -> None:
    life = LIFE.get()
    assert life is not None
    life.exit_code = code
    life.die()
    raise Died


def _refuse_socket(*_: Any, **__: Any) -> None:
    raise AssertionError("something opens a socket")
