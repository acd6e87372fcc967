"""Links that Slack counts: another program's, dead ones, and those of workers that share a store.

Each of those workers may answer any click, but Slack limits how many links work.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from linked import Linked, linked
from running_slack import RunningSlack, SettableClock, link_urls, running
from world import eventually
from world.faults import says_hello

from bot.sandbox.fake_slack.installation import Quirks
from bot.slack.connections import (
    CONNECTIONS,
    CONNECTIONS_MAX,
    EXAMINE_EVERY,
    SETTLED_AFTER,
    SocketConnection,
    SocketConnections,
    bolt_app,
)
from bot.slack.identity import Identity


async def reach(bot: Linked, span: timedelta, welcomed: int) -> None:
    """Advance the clock, and wait until a link has replaced another, which is closed by now."""
    open_links = bot.world.slack.links
    bot.clock.now += span
    await eventually(lambda: bot.welcomed == welcomed and bot.world.slack.links == open_links)


async def refresh_one_of_ours(bot: Linked) -> None:
    """Make a link of ours say hello again: if Slack asked for that, it might ask the other one."""
    welcomed = bot.welcomed + 1
    assert bot.pair[0].replace()
    await reach(bot, timedelta(0), welcomed)


@asynccontextmanager
async def suspicious(lifetime: timedelta) -> AsyncIterator[Linked]:
    """Two links that replaced two that were cut, which Slack still counts for this long."""
    async with linked() as bot:
        await bot.until_up()
        bot.world.slack.installation.quirks = Quirks(ghost_lifetime=lifetime)
        await bot.advance(minutes=2)
        bot.world.slack.drop_links()
        await eventually(lambda: bot.welcomed == 4 and bot.links.up == 2)
        yield bot


async def test_dead_links_that_slack_counts_are_suspected_until_it_counts_them_no_more() -> None:
    async with suspicious(timedelta(minutes=3)) as bot:
        at_once = bot.links.is_app_shared()
        await reach(bot, SETTLED_AFTER, 5)
        after_a_minute = bot.links.is_app_shared()
        await bot.advance(seconds=EXAMINE_EVERY.total_seconds() - 1)
        examined_once = bot.welcomed == 5
        await reach(bot, timedelta(seconds=1), 6)

        assert (at_once, after_a_minute, examined_once) == (True, True, True)
        assert not bot.links.is_app_shared()
        await bot.advance(hours=1)
        assert bot.welcomed == 6


async def test_a_second_program_is_not_forgotten_while_it_listens() -> None:
    async with linked() as bot:
        await bot.until_up()
        await bot.advance(minutes=2)
        await bot.refresh(3)
        await bot.refresh(4)
        alone = bot.links.is_app_shared()
        async with bot.stranger():
            await refresh_one_of_ours(bot)
            seen = [bot.links.is_app_shared()]
            for _ in range(3):
                await reach(bot, EXAMINE_EVERY, bot.welcomed + 1)
                seen.append(bot.links.is_app_shared())

        await reach(bot, EXAMINE_EVERY, bot.welcomed + 1)

        assert (alone, seen, bot.links.is_app_shared()) == (False, [True] * 4, False)


async def test_a_second_program_that_was_counted_in_the_first_minute_is_noticed_after_it() -> None:
    async with linked() as bot:
        await bot.until_up()
        async with bot.stranger():
            await refresh_one_of_ours(bot)
            in_the_first_minute = bot.links.is_app_shared()

            await reach(bot, SETTLED_AFTER, bot.welcomed + 1)

            assert (in_the_first_minute, bot.links.is_app_shared()) == (False, True)


@pytest.mark.parametrize("count", [None, 0, -1, True, [], math.inf, "many", {"us": 2}])
async def test_a_hello_that_counts_nothing_proves_nothing(count: object) -> None:
    async with suspicious(timedelta(hours=1)) as bot:
        bot.faults.meet(says_hello({"type": "hello", "num_connections": count}))
        bot.clock.now += SETTLED_AFTER
        await eventually(lambda: not bot.faults.pending and bot.links.up == 2)

        assert (bot.links.is_app_shared(), bot.opened) == (True, 5)


async def test_an_examination_that_slack_asks_to_wait_with_costs_no_link_and_no_click(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "bot.slack.connections")
    async with suspicious(timedelta(minutes=10)) as bot:
        bot.faults.limit("apps.connections.open", "600")
        opened = bot.opened

        bot.clock.now += SETTLED_AFTER
        await eventually(lambda: bot.links.trouble)
        await bot.advance(seconds=599)

        assert (bot.opened, bot.welcomed, bot.links.up) == (opened + 1, 4, 2)
        assert all([await bot.press() for _ in range(6)])
        assert sum("a link is replaced" in line for line in caplog.messages) == 1
        bot.faults.heal()
        await reach(bot, timedelta(seconds=2), 5)
        assert not bot.links.is_app_shared()


@dataclass(kw_only=True)
class ScriptedLink:
    """A link in the state in which its test puts it."""

    is_up: bool = True
    websockets: int = 1
    on_hello: Callable[[int], None] = lambda _: None


def test_a_hello_that_may_have_counted_a_link_that_is_closing_clears_nobody() -> None:
    clock, greeted, other = SettableClock(), ScriptedLink(is_up=False), ScriptedLink()
    pair: Any = [greeted, other]
    links = SocketConnections(pair, clock=clock)
    clock.now += SETTLED_AFTER

    greeted.on_hello(3)
    other.websockets = 2
    greeted.on_hello(3)
    unsure = links.is_app_shared()
    greeted.on_hello(2)

    assert (unsure, links.is_app_shared()) == (True, False)


async def told(counts: list[int], *, shared: bool) -> SocketConnections:
    """Return the links of a worker to which Slack has reported these counts, one hello after another."""
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
    """The links of this many workers, started one after another."""
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
    """Wait until this many links in all have had their hello, and those that they replaced are closed."""
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
