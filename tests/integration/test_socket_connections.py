"""The links of a worker: what keeps them from opening, what ends them, and that they come back."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from running_slack import ADA, APP_TOKEN, SettableClock, link_urls, running
from world import eventually
from world.faults import Faults, mute, refused, turned_away

from bot.sandbox.fake_slack.installation import Quirks
from bot.slack.connections import LinkTimes, SocketConnection, SocketConnections, bolt_app
from bot.slack.identity import Identity

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from running_slack import RunningSlack
    from slack_bolt.async_app import AsyncAck

#: How long these links wait for a hello: on one machine a hello takes no time.
TIMES = LinkTimes(patience=timedelta(seconds=1), look_interval=timedelta(milliseconds=20))


@dataclass(frozen=True, kw_only=True)
class Linked:
    """Two links before a stand-in, and what was done to them."""

    world: RunningSlack
    links: SocketConnections
    faults: Faults
    clicks: list[str]
    clock: SettableClock

    async def until_up(self) -> None:
        """Wait until both links work, on either side."""
        await eventually(lambda: self.links.up == 2 and self.world.slack.links == 2)

    async def refresh(self, welcomed: int) -> None:
        """Let Slack ask for another link; wait until there were so many ever, and two are left."""
        await self.world.slack.disconnect("refresh_requested")
        await eventually(lambda: self.world.slack.socket_mode.welcomed == welcomed)
        await self.until_up()

    async def press(self) -> bool:
        channel, ts = await self.world.ask()
        click = await self.world.slack.click(user=ADA, channel=channel, ts=ts, action_id="answer-no")
        return click.acknowledged


@asynccontextmanager
async def linked(
    *,
    jitter: Callable[[], float] = lambda: 0.1,
    faults: Faults | None = None,
    times: LinkTimes = TIMES,
    quirks: Quirks | None = None,
) -> AsyncIterator[Linked]:
    faults, clock = faults or Faults(), SettableClock()
    async with running(middlewares=[faults.middleware()], clock=clock) as world:
        world.slack.installation.quirks = quirks or Quirks()
        identity = Identity()
        identity.learn(await world.client.auth_test())
        app = bolt_app(world.client, identity)
        clicks: list[str] = []

        @app.action("answer-no")
        async def take(ack: AsyncAck) -> None:
            clicks.append("no")
            await ack()

        urls = link_urls(world, clock=clock, jitter=jitter)
        pair = [SocketConnection(app, urls, world.client, jitter=jitter, times=times) for _ in range(2)]
        links = SocketConnections(pair, clock=clock, look_interval=times.look_interval)
        stop = asyncio.Event()
        task = asyncio.create_task(links.run(stop, drain=_nothing_to_drain))
        yield Linked(world=world, links=links, faults=faults, clicks=clicks, clock=clock)
        stop.set()
        await asyncio.wait_for(task, 10)
        assert (world.slack.links, links.reachable) == (0, False)


async def _nothing_to_drain() -> None:
    pass


async def test_a_handshake_that_is_refused_on_a_fresh_url_is_tried_again_on_another_one() -> None:
    faults = Faults()
    faults.meet(refused, refused, refused)

    async with linked(faults=faults) as bot:
        await bot.until_up()

        assert faults.count("apps.connections.open") == 5


async def test_a_link_that_never_says_hello_is_replaced() -> None:
    faults = Faults()
    faults.meet(mute, mute)

    async with linked(faults=faults) as bot:
        await eventually(lambda: faults.count("apps.connections.open") == 2)
        assert not bot.links.reachable

        await bot.until_up()

        assert faults.count("apps.connections.open") == 4


async def test_links_that_were_cut_without_a_word_come_back() -> None:
    async with linked() as bot:
        await bot.until_up()

        bot.world.slack.drop_links()
        await eventually(lambda: not bot.links.reachable)

        await bot.until_up()
        assert await bot.press()


async def test_a_disabled_link_is_opened_again() -> None:
    async with linked() as bot:
        await bot.until_up()

        await bot.world.slack.disconnect("link_disabled")

        await eventually(lambda: bot.world.slack.socket_mode.welcomed == 4)
        await bot.until_up()
        assert await bot.press()


async def test_a_link_that_is_to_be_refreshed_is_replaced_before_it_is_closed() -> None:
    async with linked() as bot:
        await bot.until_up()
        fewest = bot.world.slack.links

        for number in range(4):
            await bot.world.slack.disconnect("warning" if number % 2 else "refresh_requested")
            while bot.world.slack.socket_mode.welcomed < 3 + number or bot.world.slack.links > 2:
                fewest = min(fewest, bot.world.slack.links)
                await asyncio.sleep(0)

        assert fewest == 2
        await bot.until_up()


async def test_a_link_that_slack_turns_away_waits_before_it_comes_again() -> None:
    faults = Faults()
    faults.meet(*[turned_away] * 8)
    draws: list[float] = []

    def jitter() -> float:
        draws.append(0.05)
        return draws[-1]

    async with linked(jitter=jitter, faults=faults) as bot:
        await bot.until_up()

        # Each wait is drawn by chance: no try came without one.
        assert (len(draws), faults.count("apps.connections.open")) == (8, 10)


async def test_one_link_is_enough_to_be_reachable() -> None:
    faults = Faults()
    faults.meet(mute)

    async with linked(faults=faults) as bot:
        await eventually(lambda: bot.links.up == 1)

        assert bot.links.reachable
        assert await bot.press()


async def test_a_second_program_is_noticed_and_our_own_refreshes_are_not_taken_for_one() -> None:
    async with linked() as bot:
        await bot.until_up()
        bot.clock.now += timedelta(minutes=2)
        await bot.refresh(3)
        await bot.refresh(4)
        alone = bot.links.is_app_shared()

        opened = await bot.world.client.apps_connections_open(app_token=APP_TOKEN)
        async with bot.world.session.ws_connect(str(opened["url"])) as foreign:
            await foreign.receive_json()
            # Slack asks any of the three; the foreign one does not listen.
            while not bot.links.is_app_shared():
                await bot.world.slack.disconnect("refresh_requested")
                await asyncio.sleep(0.05)

        assert not alone
