"""Links that Slack counts and that are not this worker's: another program's, or dead ones."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from linked import Linked, linked
from running_slack import SettableClock
from world import eventually
from world.faults import says_hello

from bot.sandbox.fake_slack.installation import Quirks
from bot.slack.connections import EXAMINE_EVERY, SETTLED_AFTER, SocketConnections


async def reach(bot: Linked, span: timedelta, welcomed: int) -> None:
    """Let time pass, and wait until a link was welcomed in place of another, which is closed by now."""
    open_links = bot.world.slack.links
    bot.clock.now += span
    await eventually(lambda: bot.welcomed == welcomed and bot.world.slack.links == open_links)


async def refresh_one_of_ours(bot: Linked) -> None:
    """Let a link of ours say hello again: if Slack asked for it, it might ask the foreign one."""
    welcomed = bot.welcomed + 1
    assert bot.pair[0].replace()
    await reach(bot, timedelta(0), welcomed)


@asynccontextmanager
async def suspicious(lifetime: timedelta) -> AsyncIterator[Linked]:
    """Two links that came in place of two that were cut, and that Slack still counts for so long."""
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
