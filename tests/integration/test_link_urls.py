"""Slack gives out no URL: who calls when, what the log and `/healthz` say, and that one pause is for all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest
from fakes import SteppedClock
from linked import linked
from running_slack import RunningSlack, SettableClock, link_urls, running
from scripted_slack import Answer, ScriptedSlack, api_of, refuses, says, scripted_slack, writes
from world import eventually
from world.faults import Faults, busy

from bot.errors import TriageBotError
from bot.slack.client import SlackApi
from bot.slack.errors import explain
from bot.slack.identity import Authentication, Identity
from bot.slack.link_urls import KEEP, LinkUrls

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
    """Let a link ask for a URL every second; return the calls that were made, and what their failures say."""
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
        (writes(HTML, content_type="text/plain"), "Slack's answer was lost"),
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
