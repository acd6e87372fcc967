"""Whoever holds the worker's connections open keeps nobody else waiting, and takes nothing that it needs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import socket
from datetime import timedelta
from typing import TYPE_CHECKING, Self

import pytest
from metrics_world import LISTEN, address_of, fetch, health
from world import World, until

from bot.worker.descriptors import (
    CONNECTIONS_MAX,
    CONNECTIONS_MIN,
    OutOfDescriptors,
    count_allowed_connections,
    watch_descriptors,
)
from bot.worker.listener import Listener, bind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mypy_boto3_sqs import SQSClient

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

    def __init__(self, *, limit: int, lifetime: timedelta | None = None) -> None:
        self.listener = Listener(lambda: Echo(self), limit=limit, lifetime=lifetime)
        self._stack = contextlib.ExitStack()

    async def __aenter__(self) -> Self:
        sockets = await bind("127.0.0.1", 0)
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


@contextlib.contextmanager
def no_descriptors() -> Iterator[None]:
    """Let this process open nothing more; what is open stays so."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def hold(stack: contextlib.ExitStack, family: socket.AddressFamily, address: object) -> None:
    """Open connections that say nothing, and keep them."""
    for _ in range(HELD):
        caller = stack.enter_context(socket.socket(family))
        caller.settimeout(SECONDS)
        caller.connect(address)


def test_held_connections_keep_nobody_else_waiting(
    tmp_path: Path, sqs: SQSClient, aws_environment: Mapping[str, str]
) -> None:
    with (
        World(tmp_path, sqs, aws_environment, variables=LISTEN) as world,
        contextlib.ExitStack() as stack,
    ):
        world.worker.program = ("-c", LIMITED_WORKER)
        world.start()
        address = address_of(world.worker)
        host, port = address.split(":")
        asked = world.slack.question(world.send())
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
        world.assert_clean_log()


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


async def test_without_descriptors_the_listener_waits_and_then_serves(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Callers(limit=5) as callers:
        waiting = [socket.socket() for _ in range(3)]
        with no_descriptors(), caplog.at_level(logging.DEBUG):
            for each in waiting:
                await callers.call(each)
            await asyncio.sleep(0.2)
        refusals = [each.getMessage() for each in caplog.records]

        served = [await callers.is_served(each) for each in waiting]

    assert served == [True] * 3
    assert 1 <= len(refusals) <= 2  # one a second
    assert "Too many open files" in refusals[0]


async def test_a_worker_that_can_open_nothing_exits_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    brief = {"patience": timedelta(seconds=0.1), "interval": timedelta(seconds=0.01)}

    with no_descriptors(), pytest.raises(OutOfDescriptors, match="raise LimitNOFILE"):
        async with asyncio.timeout(SECONDS):
            await watch_descriptors(asyncio.Event(), **brief)

    assert [each.levelname for each in caplog.records] == ["CRITICAL"]


async def test_a_short_want_of_descriptors_is_waited_for() -> None:
    stop = asyncio.Event()
    brief = {"patience": timedelta(seconds=0.2), "interval": timedelta(seconds=0.01)}
    watching = asyncio.create_task(watch_descriptors(stop, **brief))

    for _ in range(5):
        with no_descriptors():
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.05)
    stop.set()

    await watching


@pytest.mark.parametrize("limit", [0, 64, 256, 1024, 4096, 1 << 20])
def test_most_descriptors_are_kept_for_the_work_itself(limit: int) -> None:
    allowed = count_allowed_connections(limit)

    assert CONNECTIONS_MIN <= allowed <= CONNECTIONS_MAX
    assert 2 * allowed <= max(limit // 2, 2 * CONNECTIONS_MIN)
