"""A Python that has loaded a program and forks a process of it when told to: loading takes most of a start.

Each process of the test run has one for each program and the path on which that looks for its modules. What
it forks is a process of its own, with the streams, environment, folder and arguments that it is given. Tests
of how a process begins start a Python instead (see `WorkerProcess.program`).
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
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

#: The most bytes of an order: arguments and environment as JSON.
_ORDER_MAX = 100_000

#: Descriptors of a process's input, output and errors.
Streams = tuple[int, int, int]


class ForkedProcess:
    """A forked process, with what `subprocess.Popen` offers of one."""

    def __init__(self, arguments: Sequence[str], pid: int, told: int) -> None:
        self.pid = pid
        self._arguments = arguments
        self._told = told  #: where the server writes the exit code
        self._code: int | None = None

    def poll(self) -> int | None:
        return self._look(0)

    def wait(self, timeout: float) -> int:
        """Wait until it ends; return its exit code. `subprocess.TimeoutExpired` after `timeout` seconds."""
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self._arguments, timeout)
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
    program: Path, arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str], streams: Streams
) -> ForkedProcess:
    """Run the `main()` of a file in a process; it finds its modules on the environment's PYTHONPATH."""
    order = {"arguments": arguments, "folder": str(folder), "environment": dict(environment)}
    told, tells = os.pipe()
    socket.send_fds(
        _server(program, environment["PYTHONPATH"]), [json.dumps(order).encode()], [*streams, tells]
    )
    os.close(tells)
    return ForkedProcess(arguments, int(os.read(told, 20)), told)


@cache
def _server(program: Path, path: str) -> socket.socket:
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen(  # noqa: S603 - this file
        [sys.executable, "-P", __file__, str(its.fileno()), program],
        env={"PATH": os.defpath, "LANG": "C.UTF-8", "PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
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
            order, descriptors, _, _ = socket.recv_fds(orders, _ORDER_MAX, 4)
            if not order:
                os._exit(0)
            *streams, tells = descriptors
            pid = os.fork()
            if not pid:
                selector.close()  # as garbage, it would close a descriptor of the program some time
                return _become(streams, **json.loads(order))
            for stream in streams:
                os.close(stream)
            os.write(tells, b"%20d" % pid)
            selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, tells))


def _tell_end(pid: int, tells: int) -> None:
    _, status = os.waitpid(pid, 0)
    with suppress(BrokenPipeError):  # nobody may want to know any more
        os.write(tells, b"%20d" % os.waitstatus_to_exitcode(status))
    os.close(tells)


def _become(
    streams: Sequence[int], *, arguments: list[str], folder: str, environment: dict[str, str]
) -> list[str]:
    """Make this process what a new Python would be."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    for descriptor, stream in enumerate(streams):
        os.dup2(stream, descriptor)
    sys.stdin, sys.stdout = open(0), open(1, "w")  # noqa: SIM115 - for as long as the process lives
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace")  # noqa: SIM115 - the same
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    return arguments


def _load(program: str) -> ModuleType:
    spec = spec_from_file_location("program", program)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    _, descriptor, program = sys.argv
    loaded = _load(program)
    gc.freeze()
    sys.argv[1:] = _serve(socket.socket(fileno=int(descriptor)))
    sys.exit(loaded.main())
