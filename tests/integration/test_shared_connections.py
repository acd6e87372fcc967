"""The links of workers that share a store: each may answer any click, but Slack lets only so many work."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from running_slack import RunningSlack, SettableClock, link_urls, running

from bot.slack.connections import CONNECTIONS, CONNECTIONS_MAX, SocketConnection, SocketConnections, bolt_app
from bot.slack.identity import Identity


async def told(counts: list[int], *, shared: bool) -> SocketConnections:
    """Return links of a worker to which Slack has counted so many, one hello after another."""
    async with running() as world:
        app = bolt_app(world.client, Identity())
        clock = SettableClock()
        link = SocketConnection(app, link_urls(world), world.client, jitter=lambda: 0.1)
        links = SocketConnections([link], clock=clock, shared=shared)
        for count in counts:
            link.on_hello(count)
        return links


async def test_other_workers_that_share_the_store_are_no_strangers(caplog: pytest.LogCaptureFixture) -> None:
    links = await told([2, CONNECTIONS_MAX], shared=True)

    assert not links.is_app_shared()
    assert not [record for record in caplog.records if record.name.startswith("bot.")]


async def test_too_many_links_are_explained_once_and_again_when_they_come_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR, "bot")

    await told([CONNECTIONS_MAX + 1, CONNECTIONS_MAX + 2, CONNECTIONS_MAX, CONNECTIONS_MAX + 1], shared=True)

    messages = [record.getMessage() for record in caplog.records if record.name.startswith("bot.")]
    assert len(messages) == 2
    assert messages[0].startswith("9 links are open with this app's token")
    assert messages[0].endswith("run at most 4 workers")


@asynccontextmanager
async def workers(world: RunningSlack, count: int) -> AsyncIterator[None]:
    """The links of so many workers, started one after another."""
    app, clock, stop = bolt_app(world.client, Identity()), SettableClock(), asyncio.Event()
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for number in range(1, count + 1):
            urls = link_urls(world)
            pair = [SocketConnection(app, urls, world.client, jitter=lambda: 0.1) for _ in range(CONNECTIONS)]
            group.create_task(
                SocketConnections(pair, clock=clock, shared=True).run(stop, drain=_nothing_to_drain)
            )
            await world.slack.until_linked(CONNECTIONS * number)
        yield
        stop.set()


async def _nothing_to_drain() -> None:
    pass


async def _until_settled(world: RunningSlack, welcomed: int) -> None:
    """Wait until so many links were welcomed ever, and those that they replaced are closed."""
    slack = world.slack
    await slack.socket_mode.until(
        lambda: slack.socket_mode.welcomed == welcomed and slack.links == CONNECTIONS_MAX
    )


async def test_a_worker_that_is_one_too_many_is_told_so_when_it_starts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR, "bot")

    async with running() as world, workers(world, CONNECTIONS_MAX // CONNECTIONS + 1):
        pass

    [record] = caplog.records
    assert record.getMessage().endswith("run at most 4 workers")


async def test_workers_are_not_too_many_because_one_of_their_links_is_replaced(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR, "bot")

    async with running() as world, workers(world, CONNECTIONS_MAX // CONNECTIONS):
        for welcomed in range(CONNECTIONS_MAX + 1, CONNECTIONS_MAX + 4):
            await world.slack.disconnect("refresh_requested")
            await _until_settled(world, welcomed)

    assert caplog.records == []
