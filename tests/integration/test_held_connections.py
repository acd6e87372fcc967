"""Connections held open keep nobody else waiting, and take no descriptor that the worker needs."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Self

import pytest
from metrics_world import LISTEN, address_of, fetch, health
from world import World, until

from bot.worker.descriptors import (
    CONNECTIONS_MAX,
    CONNECTIONS_MIN,
    OutOfDescriptors,
    count_allowed_calls,
    count_allowed_connections,
    watch_descriptors,
)
from bot.worker.server_sockets import Listener, abort, bind

#: Of the worker. Idle, it has about 40.
DESCRIPTORS = 96

#: More than it has, on each of its listeners.
HELD = 120

LIMITED_WORKER = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, ({DESCRIPTORS}, {DESCRIPTORS}))
from bot.cli.parser import main
sys.exit(main())
"""

SECONDS = 20


class Echo(asyncio.Protocol):
    """Sends back what it gets, and counts as busy from then on."""

    def __init__(self, test: Callers) -> None:
        self._test = test

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._test.listener.mark_busy(self._transport)
        self._transport.write(data)


class Callers:
    """A listener on a free port, and its callers."""

    def __init__(
        self, *, limit: int, lifetime: timedelta | None = None, listening: socket.socket | None = None
    ) -> None:
        self._listening = listening
        self.listener = Listener(lambda: Echo(self), limit=limit, lifetime=lifetime)
        self._stack = contextlib.ExitStack()

    async def __aenter__(self) -> Self:
        sockets = [self._listening] if self._listening else await bind("127.0.0.1", 0)
        self.port = sockets[0].getsockname()[1]
        self.listener.start(sockets)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.listener.stop()
        self._stack.close()

    async def call(self, caller: socket.socket | None = None) -> socket.socket:
        caller = caller or socket.socket()
        caller.settimeout(0)
        self._stack.callback(caller.close)
        await asyncio.get_running_loop().sock_connect(caller, ("127.0.0.1", self.port))
        return caller

    async def is_served(self, caller: socket.socket) -> bool:
        """Whether a caller is answered; False: it was cut off."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(SECONDS):
            try:
                await loop.sock_sendall(caller, b"x")
                return await loop.sock_recv(caller, 1) == b"x"
            except ConnectionError:
                return False


class StarvedSocket(socket.socket):
    """Listens in a process without descriptors, until there are some again."""

    is_starved = True
    tries = 0

    def accept(self) -> tuple[socket.socket, object]:
        self.tries += 1
        if self.is_starved:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return super().accept()


def hold(stack: contextlib.ExitStack, family: socket.AddressFamily, address: str | tuple[str, int]) -> None:
    """Open connections that say nothing, and keep them."""
    for _ in range(HELD):
        caller = stack.enter_context(socket.socket(family))
        caller.connect(address)


@pytest.mark.slow
def test_held_connections_keep_nobody_else_waiting(create_world: Callable[..., World]) -> None:
    world = create_world(**LISTEN)
    world.worker.program = ("-c", LIMITED_WORKER)
    world.start()
    address = address_of(world.worker)
    host, port = address.split(":")
    asked = world.slack.question(world.send())
    with contextlib.ExitStack() as stack:
        hold(stack, socket.AF_INET, (host, int(port)))
        hold(stack, socket.AF_UNIX, str(world.worker.folder / "triage-bot.db.sock"))

        click = world.slack.press(asked, "yes")
        world.slack.do(world.slack.stand_in.drop_links)
        world.slack.until_linked()
        later = world.send()

        assert click.acknowledged
        assert world.slack.press(world.slack.question(later), "yes").acknowledged
        assert fetch(address, "/metrics")[0] == 200
        until(lambda: health(address)[0] == 200, what="the worker is healthy")
        assert later in world.worker.command("list").stdout
        assert world.worker.stop() == 0


@pytest.mark.slow
def test_a_worker_that_cannot_open_a_link_for_want_of_descriptors_is_restarted(world: World) -> None:
    world.start()
    world.worker.limit_descriptors(0)
    world.slack.do(world.slack.stand_in.drop_links)

    assert world.worker.exit_code(seconds=60) == 1
    assert "raise LimitNOFILE" in world.worker.until_logged("CRITICAL descriptors.exhausted")
    assert len(world.worker.log) < 100_000


async def test_the_oldest_that_has_asked_nothing_makes_room() -> None:
    async with Callers(limit=3) as callers:
        busy, *silent = [await callers.call() for _ in range(3)]
        assert await callers.is_served(busy)

        newest = [await callers.call() for _ in range(2)]

        assert [await callers.is_served(each) for each in (*newest, busy)] == [True] * 3
        assert [await callers.is_served(each) for each in silent] == [False] * 2


async def test_where_all_are_busy_the_oldest_makes_room() -> None:
    async with Callers(limit=2) as callers:
        served = []
        for _ in range(3):
            caller = await callers.call()
            assert await callers.is_served(caller)
            served.append(caller)

        assert [await callers.is_served(each) for each in served] == [False, True, True]


async def test_a_connection_is_closed_when_its_time_is_over() -> None:
    async with Callers(limit=3, lifetime=timedelta(seconds=0.1)) as callers:
        caller = await callers.call()

        async with asyncio.timeout(SECONDS):
            assert await asyncio.get_running_loop().sock_recv(caller, 1) == b""


async def test_a_caller_who_left_takes_no_room() -> None:
    async with Callers(limit=2) as callers:
        stays = await callers.call()
        assert await callers.is_served(stays)
        for _ in range(5):
            passing = await callers.call()
            assert await callers.is_served(passing)
            passing.close()

        assert await callers.is_served(stays)


async def test_a_connection_that_has_sent_its_last_bytes_can_be_aborted() -> None:
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.setblocking(False)  # noqa: FBT003 - the standard library's own
        ended = asyncio.Event()

        class Protocol(asyncio.Protocol):
            def connection_lost(self, _: Exception | None) -> None:
                ended.set()

        transport, _ = await loop.connect_accepted_socket(Protocol, ours)
        while not transport.get_write_buffer_size():
            transport.write(b"x" * 65536)
        transport.close()
        while not ended.is_set():
            await loop.sock_recv(theirs, 1 << 20)

        abort(transport)


async def test_without_descriptors_the_listener_waits_and_then_serves(
    caplog: pytest.LogCaptureFixture,
) -> None:
    starved = StarvedSocket()
    starved.bind(("127.0.0.1", 0))
    starved.listen()
    async with Callers(limit=5, listening=starved) as callers:
        waiting = [await callers.call() for _ in range(3)]
        await asyncio.sleep(0.2)
        tries, starved.is_starved = starved.tries, False

        served = [await callers.is_served(each) for each in waiting]

    assert served == [True] * 3
    assert tries == len(caplog.records) == 1  # the next one comes after a second
    assert "Too many open files" in caplog.text


@pytest.mark.parametrize(("limit", "has_spare"), [(0, False), (100, True)])
def test_a_process_knows_whether_it_has_descriptors(limit: int, has_spare: bool) -> None:  # noqa: FBT001
    script = (
        "import resource; from bot.worker.descriptors import has_spare_descriptors as look;"
        f" resource.setrlimit(resource.RLIMIT_NOFILE, ({limit}, 100)); print(look())"
    )

    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)  # noqa: S603

    assert told.stdout.strip() == str(has_spare)


class Want:
    """Looks for descriptors, each 9 s after the one before, and what each finds; then it is time to stop."""

    def __init__(self, finds: Sequence[bool]) -> None:
        self.now = 0.0
        self._finds = iter(finds)
        self._stop = asyncio.Event()

    async def watch(self) -> None:
        await watch_descriptors(
            self._stop, interval=timedelta(microseconds=1), has_spare=self._has_spare, clock=lambda: self.now
        )

    def _has_spare(self) -> bool:
        self.now += 9
        found = next(self._finds, None)
        if found is None:
            self._stop.set()
        return found is not False


async def test_a_worker_that_can_open_nothing_exits_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(OutOfDescriptors, match="raise LimitNOFILE"):
        await Want([True, False, False, False]).watch()

    assert [each.levelname for each in caplog.records] == ["CRITICAL"]


async def test_a_want_of_descriptors_that_ends_is_waited_for() -> None:
    await Want([True, False, False] * 9).watch()


@pytest.mark.parametrize("limit", [0, 64, 256, 1024, 4096, 1 << 20])
def test_most_descriptors_are_kept_for_the_work_itself(limit: int) -> None:
    allowed = count_allowed_connections(limit)

    assert CONNECTIONS_MIN <= allowed <= CONNECTIONS_MAX
    assert 2 * allowed <= max(limit // 2, 2 * CONNECTIONS_MIN)


@pytest.mark.parametrize(("limit", "allowed"), [(0, 64), (1024, 256), (4096, 512), (1 << 20, 512)])
def test_calls_to_a_provider_of_proofs_leave_descriptors_for_all_else(limit: int, allowed: int) -> None:
    assert count_allowed_calls(limit, most=512) == allowed
