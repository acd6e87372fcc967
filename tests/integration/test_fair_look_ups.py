"""A thousand alerts for people who do not exist, before a Slack that takes fifty look-ups a minute.

Everything is real from the store's file to the wire. The clock of both sides stands still until the test
moves it: so what happens meanwhile waits for nobody.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from running_slack import APP_TOKEN, BOT_TOKEN, SettableClock, running
from wiring import SETTINGS, Steady, wired
from world import eventually

from bot.redaction import Secret
from bot.sandbox.fake_slack.installation import Rate
from bot.slack.client import web_client
from bot.store.sqlite.store import SqliteStore
from bot.triage.model import Confidence, Question, State, TriageRequest, Work

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from aiohttp.typedefs import Handler
    from running_slack import RunningSlack

    from bot.worker.assembly import Parts

LOOK_UP = "users.lookupByEmail"
PER_MINUTE = 50
MINUTE = timedelta(minutes=1)
FLOOD = 1000


@dataclass(kw_only=True)
class FloodHarness:
    """A worker without queues, and the calls that Slack has answered, by method and HTTP status."""

    clock: SettableClock = field(default_factory=SettableClock)
    calls: Counter[tuple[str, int]] = field(default_factory=Counter)
    slack: RunningSlack
    store: SqliteStore
    parts: Parts

    async def send(self, *identifiers: str, user: str, alert: str = "failed_login") -> None:
        """Receive a request for each identifier; `{}` in the address is the identifier."""
        batch = [
            TriageRequest(
                identifier=each,
                alert=alert,
                summary="s",
                user=user.format(each),
                confidence=Confidence.LOW,
            )
            for each in identifiers
        ]
        assert all(await self.parts.service.receive(batch))

    async def flood(self, count: int = FLOOD) -> None:
        """Receive so many alerts for people who do not exist, and wait until Slack has had enough of them."""
        await self.send(*(f"login-{number}" for number in range(count)), user="LOGIN@{}.example.com")
        await eventually(lambda: self.calls[LOOK_UP, 429])

    async def next_minute(self) -> None:
        """Let a minute pass, and wait until Slack has again had enough."""
        refused = self.calls[LOOK_UP, 429]
        self.clock.now += MINUTE
        self.parts.sweeper.wake()
        await eventually(lambda: self.calls[LOOK_UP, 429] > refused)

    async def until(self, identifier: str, state: State) -> Question:
        """Wait until a question stands so; the clock does not move."""
        async with asyncio.timeout(60):
            while (question := await self.store.find(identifier)) is None or question.state is not state:
                await asyncio.sleep(0.01)
        return question


@asynccontextmanager
async def flooded(folder: Path) -> AsyncIterator[FloodHarness]:
    """Run one."""
    calls, clock = Counter[tuple[str, int]](), SettableClock()

    @web.middleware
    async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        calls[request.match_info.get("method", ""), response.status] += 1
        return response

    async with AsyncExitStack() as stack:
        slack = await stack.enter_async_context(running(clock=clock, middlewares=[count]))
        slack.slack.installation.quirks.limits[LOOK_UP] = Rate(calls=PER_MINUTE, per=MINUTE)
        store = await SqliteStore.open(folder / "store.db", create=True)
        stack.push_async_callback(store.close)
        settings = replace(
            SETTINGS,
            slack_api_url=slack.slack.api_url,
            slack_bot_token=Secret(BOT_TOKEN),
            slack_app_token=Secret(APP_TOKEN),
        )
        parts = wired(
            store,
            settings=settings,
            clock=clock,
            session=slack.session,
            random=Steady(0.0),
            client=web_client,
        )
        await parts.authentication.attempt()
        stop = asyncio.Event()
        sweeping = asyncio.create_task(parts.sweeper.run(stop))
        yield FloodHarness(clock=clock, calls=calls, slack=slack, store=store, parts=parts)
        stop.set()
        async with asyncio.timeout(30):  # nothing waits for the end of the pause
            await sweeping


async def test_a_known_persons_question_does_not_wait_for_a_thousand_strangers(tmp_path: Path) -> None:
    async with flooded(tmp_path) as bot:
        await bot.send("first", user="ada@example.com")
        await bot.until("first", State.ASKED)
        tasks = len(asyncio.all_tasks())
        await bot.flood()

        await bot.send("second", user="ada@example.com")

        question = await bot.until("second", State.ASKED)  # at the very moment at which it was accepted
        assert question.asked_at == question.accepted_at == bot.clock()
        assert bot.calls[LOOK_UP, 200] == PER_MINUTE
        await eventually(lambda: len(asyncio.all_tasks()) < tasks + 10)


async def test_a_strangers_question_has_its_turn_within_a_minute_of_look_ups(tmp_path: Path) -> None:
    async with flooded(tmp_path) as bot:
        await bot.flood()

        await bot.send("rare", user="grace@example.com", alert="bypass_codes_used")
        await bot.send("newest", user="katherine@example.com")
        await bot.next_minute()

        for identifier in ("rare", "newest"):
            question = await bot.until(identifier, State.ASKED)
            assert question.asked_at == question.accepted_at + MINUTE


async def test_whoever_does_not_exist_is_given_up_one_after_the_other(tmp_path: Path) -> None:
    async with flooded(tmp_path) as bot:
        await bot.flood(2 * PER_MINUTE + 10)
        for _ in range(2):
            bot.clock.now += MINUTE
            bot.parts.sweeper.wake()
            answered = bot.calls[LOOK_UP, 200]
            await eventually(lambda seen=answered: bot.calls[LOOK_UP, 200] > seen)
            await asyncio.sleep(0.5)

        for number in range(2 * PER_MINUTE + 10):
            question = await bot.until(f"login-{number}", State.CLOSED)
            assert question.reason == "users_not_found"


@pytest.mark.parametrize("since", [timedelta(minutes=61), timedelta(hours=24)])
async def test_a_person_met_today_is_looked_up_again_before_all_strangers(
    tmp_path: Path, since: timedelta
) -> None:
    async with flooded(tmp_path) as bot:
        await bot.send("first", user="ada@example.com")
        await bot.until("first", State.ASKED)
        await bot.send("gone", user="alan@example.com")
        await bot.until("gone", State.ASKED)
        bot.clock.now += since
        [alan] = [each for each in bot.slack.slack.workspace.people if each.name == "alan"]
        bot.slack.slack.workspace.admit(replace(alan, deleted=True))
        await bot.flood()
        await bot.send("second", user="ada@example.com")
        await bot.send("gone again", user="alan@example.com")

        await bot.next_minute()

        assert (await bot.until("second", State.ASKED)).asked_at == bot.clock()
        assert (await bot.until("gone again", State.CLOSED)).reason == "users_not_found"


async def test_all_questions_of_a_stranger_go_on_with_one_look_up(tmp_path: Path) -> None:
    async with flooded(tmp_path) as bot:
        await bot.flood()

        await bot.send("one", "two", user="ada@example.com")
        await bot.send("nobody", "nobody else", user="nobody@example.com")
        await bot.next_minute()

        for identifier in ("one", "two"):
            await bot.until(identifier, State.ASKED)
        for identifier in ("nobody", "nobody else"):
            await bot.until(identifier, State.CLOSED)


async def test_after_a_restart_strangers_wait_no_longer_than_before(tmp_path: Path) -> None:
    async with flooded(tmp_path) as bot:
        await bot.flood()
        await bot.send("stranger", user="grace@example.com", alert="bypass_codes_used")
        now = bot.clock()

    store = await SqliteStore.open(tmp_path / "store.db", create=False)
    due = await store.due(work=Work.ASK, now=now, limit=2 * FLOOD)
    await store.close()

    assert len(due) > FLOOD - 2 * PER_MINUTE
    assert "stranger" in {question.identifier for question in due}
