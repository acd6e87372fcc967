"""The links of a worker: what keeps them from opening, what ends them, and that they come back.

Where Slack gives out no URL: who calls when, what the log and `/healthz` say, and that one pause is for all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler
from fakes import SteppedClock
from linked import TIMES, Draws, linked, meeting
from running_slack import RunningSlack, SettableClock, link_urls, running
from scripted_slack import Answer, ScriptedSlack, api_of, refuses, says, scripted_slack, writes
from world import eventually
from world.faults import Faults, Handshake, busy, cut_after_hello, mute, refused, turned_away

from bot.errors import TriageBotError
from bot.sandbox.fake_slack.installation import Quirks
from bot.slack.client import SlackApi
from bot.slack.errors import explain
from bot.slack.identity import Authentication, Identity
from bot.slack.link_urls import KEEP, LinkUrls


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

        assert faults.count("apps.connections.open") >= 4  # more on a busy machine, where a second is short


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


@pytest.mark.slow
@pytest.mark.parametrize("handshake", [refused, turned_away, cut_after_hello])
async def test_what_fails_again_and_again_is_tried_ever_more_rarely(handshake: Handshake) -> None:
    faults = meeting(*[handshake] * 15)

    async with linked(jitter=lambda: 0.01, faults=faults) as bot:
        await bot.until_up()

        # One of both failed eight times: 0.01 s, 0.02 s … 1.28 s, with no end at 0.08 s.
        first, *_, last = (call.at for call in faults.calls_of("apps.connections.open"))
        assert last - first > 2


OPEN = "apps.connections.open"
GIVEN = says({"ok": True, "url": "ws://127.0.0.1:1/link/"})
HTML = "<html><body>Please log in to the proxy</body></html>"


# A pause that Slack asks for


async def test_a_pause_is_kept_by_both_links_and_ends_at_once_when_the_worker_stops() -> None:
    faults = Faults()
    faults.limit(OPEN, "60")

    async with linked(faults=faults) as bot:
        await eventually(lambda: bot.links.trouble)  # Slack's answer is known, and the pause has begun
        await bot.advance(seconds=60)
        assert bot.opened == 1

        await bot.advance(seconds=1)
        await eventually(lambda: bot.opened == 2)
        await bot.advance(seconds=60)
        assert bot.opened == 2  # and now it stops, in the middle of a pause by a clock that stands


async def test_a_websocket_that_slack_turns_away_for_a_while_costs_no_call_meanwhile() -> None:
    faults = Faults()
    faults.meet(busy("60"), busy("60"))

    async with linked(jitter=lambda: 0.0, faults=faults) as bot:
        await eventually(lambda: bot.links.trouble)
        await bot.advance(seconds=59)

        assert bot.opened <= 2  # one for each link
        assert bot.links.up == 0
        faults.heal()
        bot.clock.now += timedelta(seconds=60)
        await bot.until_up()


async def test_a_pause_over_both_links_open() -> None:
    faults = Faults()
    faults.limit(OPEN, "60")

    async with linked(faults=faults) as bot:
        await eventually(lambda: bot.links.trouble)  # Slack's answer is known, and the pause has begun
        faults.heal()
        bot.clock.now += timedelta(seconds=61)

        await bot.until_up()
        assert (bot.opened, bot.links.trouble) == (3, None)


def introduction(
    world: RunningSlack, clock: SettableClock, *, on_progress: Callable[[], None] = lambda: None
) -> tuple[Authentication, LinkUrls]:
    urls = link_urls(world, clock=clock, jitter=lambda: 0.0)
    api = SlackApi(world.client, world.session, clock=clock)
    return Authentication(api, urls, Identity(), jitter=lambda: 0.0, on_progress=on_progress), urls


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limited", "calls"), [("auth.test", {"auth.test": 2, OPEN: 1}), (OPEN, {"auth.test": 1, OPEN: 2})]
)
async def test_the_start_keeps_a_pause_and_repeats_nothing_that_succeeded(
    limited: str, calls: dict[str, int]
) -> None:
    faults, clock, stop = Faults(), SettableClock(), asyncio.Event()
    faults.limit(limited, "60")
    async with running(middlewares=[faults.middleware()]) as world:
        passes: list[None] = []
        authentication, urls = introduction(world, clock, on_progress=lambda: passes.append(None))
        task = asyncio.create_task(authentication.run(stop))
        await eventually(lambda: authentication.trouble)

        clock.now += timedelta(seconds=59)
        passes.clear()
        await eventually(lambda: len(passes) > 1)
        assert faults.count(limited) == 1
        faults.heal()
        clock.now += timedelta(seconds=1)
        await asyncio.wait_for(task, 10)

        assert await urls.fetch()  # the one of the start
        assert {method: faults.count(method) for method in calls} == calls


async def test_a_url_of_the_start_is_not_used_when_it_is_old() -> None:
    clock, faults = SettableClock(), Faults()
    async with running(middlewares=[faults.middleware()]) as world:
        authentication, urls = introduction(world, clock)
        await authentication.attempt()

        clock.now += KEEP + timedelta(seconds=1)
        await urls.fetch()

        assert faults.count(OPEN) == 2


# A refusal, or an answer that is none


async def calls_within(span: timedelta, slack: ScriptedSlack) -> tuple[list[str], list[str]]:
    """Fetch a URL for a link every second; return the calls that were made, and what their failures say."""
    clock, said = SteppedClock(), []
    async with api_of(slack, clock=clock) as api:
        urls = LinkUrls(api, clock=clock, jitter=lambda: 1.0)
        for _ in range(int(span.total_seconds())):
            try:
                await urls.fetch()
            except TriageBotError as error:
                said.append(explain(error))
            clock.advance(seconds=1)
    return slack.methods, said


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (refuses("not_enabled"), "'not_enabled'. Switch Socket Mode on"),
        (refuses("invalid_auth"), "SLACK_APP_TOKEN"),
        (refuses("token_revoked"), "SLACK_APP_TOKEN"),
        (refuses("missing_scope"), "the scope connections:write"),
        (refuses("method_deprecated"), "install a newer release"),
        (refuses("team_not_found"), "'team_not_found'"),
        (refuses("brand_new"), "'brand_new'"),
        (refuses("internal_error", status=500), "HTTP 500 internal_error"),
        (writes(HTML, status=503), "HTTP 503"),
        (writes(HTML), "HTTP 200"),
        (writes(HTML, content_type="text/plain"), "HTTP 200"),
        (says({"ok": True}), "has no URL"),
        (says({"ok": True, "url": None}), "has no URL"),
        (refuses("ratelimited", status=429, Retry_After="60"), "Slack asks to wait"),
    ],
)
async def test_whatever_slack_answers_instead_of_a_url_is_explained_and_met_ever_more_rarely(
    answer: Answer, words: str
) -> None:
    async with scripted_slack(answer) as slack:
        calls, said = await calls_within(timedelta(minutes=10), slack)

    assert 5 <= len(calls) <= 11
    assert len(said) == len(calls)
    assert all(words in each for each in said)


async def test_a_slack_that_cannot_be_reached_is_called_again_soon() -> None:
    nowhere = ScriptedSlack(answers=[], url="http://slack.invalid/")

    _, said = await calls_within(timedelta(minutes=2), nowhere)

    assert 14 <= len(said) <= 20


async def test_what_failed_is_forgotten_when_slack_gives_a_url() -> None:
    refused = refuses("not_enabled")
    async with scripted_slack(*[refused] * 8, GIVEN, refused, GIVEN) as slack:
        calls, _ = await calls_within(timedelta(seconds=127 + 120 + 1 + 1 + 1), slack)

    assert len(calls) == 11
