"""The links of a worker: what keeps them from opening, what ends them, and that they come back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler
from linked import TIMES, Draws, linked, meeting
from world import eventually
from world.faults import Faults, Handshake, cut_after_hello, mute, refused, turned_away

from bot.sandbox.fake_slack.installation import Quirks


async def test_a_handshake_that_is_refused_on_a_fresh_url_is_tried_again_on_another_one() -> None:
    faults = meeting(refused, refused, refused)

    async with linked(faults=faults) as bot:
        await bot.until_up()

        assert faults.count("apps.connections.open") == 5


async def test_a_link_that_never_says_hello_is_replaced() -> None:
    faults = meeting(mute, mute)

    async with linked(faults=faults, times=replace(TIMES, patience=timedelta(seconds=1))) as bot:
        await eventually(lambda: faults.count("apps.connections.open") == 2)
        assert not bot.links.up

        await bot.until_up()

        assert faults.count("apps.connections.open") == 4


@pytest.mark.parametrize("is_told", [False, True])
async def test_links_that_were_cut_without_a_word_or_disabled_come_back(*, is_told: bool) -> None:
    async with linked() as bot:
        await bot.until_up()

        if is_told:
            await bot.world.slack.disconnect("link_disabled")
        else:
            bot.world.slack.drop_links()

        await eventually(lambda: bot.welcomed == 4)
        await bot.until_up()
        assert await bot.press()


async def test_a_link_takes_the_proxy_of_its_own_host(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    async with linked() as bot:
        await bot.until_up()
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")

        bot.world.slack.drop_links()
        await eventually(lambda: bot.links.trouble or bot.welcomed > 2)

        assert bot.links.trouble
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        await bot.until_up()


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
    faults, draws = meeting(*[turned_away] * 8), Draws(0.05)

    async with linked(jitter=draws, faults=faults) as bot:
        await bot.until_up()

        # Each wait is drawn by chance: no try came without one.
        assert (len(draws), faults.count("apps.connections.open")) == (8, 10)


async def test_one_link_is_enough_to_be_reachable() -> None:
    faults = meeting(mute)

    async with linked(faults=faults) as bot:
        await eventually(lambda: bot.links.up == 1)

        assert bot.links.up
        assert await bot.press()


@pytest.mark.parametrize(("steady_after", "waits"), [(timedelta(minutes=1), True), (timedelta(0), False)])
async def test_a_link_that_breaks_before_it_is_steady_waits_before_it_comes_again(
    steady_after: timedelta, *, waits: bool
) -> None:
    draws = Draws(0.01)

    async with linked(jitter=draws, times=replace(TIMES, steady_after=steady_after)) as bot:
        await bot.until_up()
        await asyncio.sleep(1.1)

        bot.world.slack.drop_links()
        await eventually(lambda: bot.welcomed == 4)

        assert bool(draws) is waits


#: Pings every 50 ms: a link that hears nothing is dead after 200 ms.
QUICK = replace(TIMES, ping_interval=timedelta(milliseconds=50))


async def test_a_link_whose_pongs_are_late_is_kept() -> None:
    quirks = Quirks(pong_delay=timedelta(milliseconds=120))

    async with linked(times=QUICK, quirks=quirks) as bot:
        await bot.until_up()
        await eventually(lambda: bot.world.slack.socket_mode.pongs > 40 or bot.welcomed > 2)

        assert (bot.welcomed, bot.links.up) == (2, 2)


async def test_a_link_is_kept_by_whatever_it_hears() -> None:
    faults, pings = Faults(), []

    async def talk(request: web.Request, _handler: Handler) -> web.StreamResponse:
        websocket = web.WebSocketResponse(autoping=False)
        await websocket.prepare(request)
        await websocket.send_json({"type": "hello", "num_connections": 1})
        async for message in websocket:
            pings.append(message.data)
            await websocket.send_json({"type": "hello"})
        return websocket

    faults.meet(talk, talk)
    async with linked(times=QUICK, faults=faults) as bot:
        await eventually(lambda: len(pings) > 40 or bot.opened > 2)

        assert (bot.opened, bot.links.up) == (2, 2)


async def test_a_link_that_hears_nothing_for_four_pings_is_replaced() -> None:
    async with linked(times=QUICK) as bot:
        await bot.until_up()

        bot.world.slack.installation.quirks.pong_delay = timedelta(hours=1)
        await eventually(lambda: bot.welcomed > 4)

        bot.world.slack.installation.quirks.pong_delay = timedelta(0)
        await bot.until_up()
        assert await bot.press()


@pytest.mark.parametrize("handshake", [refused, turned_away, cut_after_hello])
async def test_what_fails_again_and_again_is_tried_ever_more_rarely(handshake: Handshake) -> None:
    faults = meeting(*[handshake] * 15)

    async with linked(jitter=lambda: 0.01, faults=faults) as bot:
        await bot.until_up()

        # One of both failed eight times: 0.01 s, 0.02 s … 1.28 s, with no end at 0.08 s.
        first, *_, last = (call.at for call in faults.calls_of("apps.connections.open"))
        assert last - first > 2
