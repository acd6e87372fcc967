"""Two links before the stand-in Slack, and what was done to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from running_slack import APP_TOKEN, RunningSlack, SettableClock, acknowledge_clicks, link_urls, running
from world import eventually
from world.faults import Faults, Handshake

from bot.sandbox.fake_slack.installation import Quirks
from bot.slack.connections import LinkTimes, SocketConnection, SocketConnections, bolt_app
from bot.slack.identity import Identity

#: Links that are looked at more often. Their patience is a worker's: this machine may be busy.
TIMES = LinkTimes(look_interval=timedelta(milliseconds=20))


@dataclass(frozen=True, kw_only=True)
class Linked:
    """Two links before a stand-in, and what was done to them."""

    world: RunningSlack
    links: SocketConnections
    pair: Sequence[SocketConnection]
    faults: Faults
    clock: SettableClock
    progress: list[int]

    @property
    def welcomed(self) -> int:
        """How many links Slack has accepted so far."""
        return self.world.slack.socket_mode.welcomed

    @property
    def opened(self) -> int:
        """How many URLs Slack was asked for."""
        return self.faults.count("apps.connections.open")

    async def advance(self, **span: float) -> None:
        """Advance the clock until both links have looked at it twice."""
        self.clock.now += timedelta(**span)
        self.progress[:] = [0, 0]
        await eventually(lambda: min(self.progress) > 1)

    @asynccontextmanager
    async def stranger(self) -> AsyncIterator[None]:
        """Another program's link with the same token."""
        ours = self.world.slack.links
        opened = await self.world.client.apps_connections_open(app_token=APP_TOKEN)
        async with self.world.session.ws_connect(str(opened["url"])) as foreign:
            await foreign.receive_json()
            yield
        await eventually(lambda: self.world.slack.links == ours)

    async def until_up(self) -> None:
        """Wait until both links work, on either side."""
        await eventually(lambda: self.links.up == 2 and self.world.slack.links == 2)

    async def refresh(self, welcomed: int) -> None:
        """Make Slack ask for a new link; wait until there have been this many in all, and two are left."""
        await self.world.slack.disconnect("refresh_requested")
        await eventually(lambda: self.welcomed == welcomed)
        await self.until_up()

    async def press(self) -> bool:
        click = await self.world.press(*await self.world.ask())
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
        acknowledge_clicks(app)
        urls = link_urls(world, clock=clock, jitter=jitter)
        pair = [SocketConnection(app, urls, world.client, jitter=jitter, times=times) for _ in range(2)]
        progress = [0, 0]
        for number, link in enumerate(pair):
            link.on_progress = partial(_count, progress, number)
        links = SocketConnections(pair, clock=clock, look_interval=times.look_interval)
        stop = asyncio.Event()
        task = asyncio.create_task(links.run(stop, drain=_nothing_to_drain))
        try:
            yield Linked(world=world, links=links, pair=pair, faults=faults, clock=clock, progress=progress)
        finally:
            stop.set()
            await asyncio.wait_for(task, 10)
        assert (world.slack.links, links.up) == (0, 0)


def meeting(*handshakes: Handshake) -> Faults:
    """Return faults of which each of the first websockets meets one."""
    faults = Faults()
    faults.meet(*handshakes)
    return faults


class Draws(list[float]):
    """Draws the same again and again, and keeps what it drew."""

    def __init__(self, drawn: float) -> None:
        super().__init__()
        self._drawn = drawn

    def __call__(self) -> float:
        self.append(self._drawn)
        return self._drawn


def _count(counts: list[int], number: int) -> None:
    counts[number] += 1


async def _nothing_to_drain() -> None:
    pass
