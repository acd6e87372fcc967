"""A Python that has loaded the program and forks a worker when it is told: to load takes most of a start.

Each process of the test run has one. What it forks runs `bot.__main__.main` like `python -P -m bot`: with the
environment, folder and arguments that it is given, as a process of its own. Tests of how a process begins
start a Python instead (see `WorkerProcess.program`).
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

#: The most bytes of an order: arguments and environment as JSON.
_ORDER_MAX = 100_000


class ForkedProcess:
    """A forked worker, with what `subprocess.Popen` offers of one."""

    def __init__(self, pid: int, told: int) -> None:
        self.pid = pid
        self._told = told  #: where the server writes the exit code
        self._code: int | None = None

    def poll(self) -> int | None:
        return self._look(0)

    def wait(self, timeout: float) -> int:
        """Wait until it ends; return its exit code. `subprocess.TimeoutExpired` after `timeout` seconds."""
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("triage-bot run", timeout)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def _look(self, seconds: float) -> int | None:
        if self._code is None and select.select([self._told], [], [], seconds)[0]:
            self._code = int(os.read(self._told, 20))
            os.close(self._told)
        return self._code


def fork(
    arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str], log: int
) -> ForkedProcess:
    """Run the program in a folder, with its output in the file of this descriptor."""
    order = {"arguments": arguments, "folder": str(folder), "environment": dict(environment)}
    told, tells = os.pipe()
    socket.send_fds(_server(), [json.dumps(order).encode()], [log, tells])
    os.close(tells)
    return ForkedProcess(int(os.read(told, 20)), told)


@cache
def _server() -> socket.socket:
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    home = Path(__file__).resolve().parents[3]
    process = subprocess.Popen(  # noqa: S603 - this file
        [sys.executable, "-P", __file__, str(its.fileno())],
        env={"PATH": os.defpath, "LANG": "C.UTF-8", "PYTHONPATH": str(home)},
        stdin=subprocess.DEVNULL,
        pass_fds=[its.fileno()],
    )
    its.close()
    for end in (process.wait, ours.close):
        atexit.register(end)  # the last of them is called first, and lets it end
    return ours


def _serve(orders: socket.socket) -> list[str]:
    """Fork for each order. Return in each process that was forked, with the arguments; exit at the end."""
    selector = selectors.DefaultSelector()
    selector.register(orders, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is not orders:
                selector.unregister(key.fileobj)
                os.close(key.fd)
                _tell_end(*key.data)
                continue
            order, descriptors, _, _ = socket.recv_fds(orders, _ORDER_MAX, 2)
            if not order:
                os._exit(0)
            log, tells = descriptors
            pid = os.fork()
            if not pid:
                return _become(log, **json.loads(order))
            os.close(log)
            os.write(tells, b"%20d" % pid)
            selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, tells))


def _tell_end(pid: int, tells: int) -> None:
    _, status = os.waitpid(pid, 0)
    with suppress(BrokenPipeError):  # nobody may want to know any more
        os.write(tells, b"%20d" % os.waitstatus_to_exitcode(status))
    os.close(tells)


def _become(log: int, *, arguments: list[str], folder: str, environment: dict[str, str]) -> list[str]:
    """Make this process what a new Python would be."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    return arguments


def _load() -> None:
    """Import what a worker does, also what it imports only when it runs."""
    import bot.cli.commands
    import bot.cli.store_commands
    import bot.store.dynamodb.opening
    import bot.store.sqlite.store
    import bot.worker.app
    import bot.worker.assembly
    import bot.worker.http_server
    import bot.worker.lifecycle
    import bot.worker.metrics  # noqa: F401 - to have been imported is all


if __name__ == "__main__":
    _load()
    gc.freeze()
    sys.argv[1:] = _serve(socket.socket(fileno=int(sys.argv[1])))
    from bot.__main__ import main

    sys.exit(main())
