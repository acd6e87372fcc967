"""A thousand alerts for people who do not exist, before a Slack that takes fifty look-ups a minute.

Everything is real from the store's file to the wire. The clock of both sides stands still until the test
moves it: so what happens meanwhile waits for nobody.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler
from running_slack import RunningSlack, SettableClock, running, settings_for
from wiring import Steady, wired
from world import eventually
from world.waiting import PATIENCE_SECONDS

from bot.sandbox.fake_slack.installation import Rate
from bot.slack.client import web_client
from bot.store.sqlite.store import SqliteStore
from bot.triage.model import Confidence, Question, State, TriageRequest, Work
from bot.triage.sweeper import Lane
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
                identifier=each, alert=alert, summary="s", user=user.format(each), confidence=Confidence.LOW
            )
            for each in identifiers
        ]
        assert all(await self.parts.service.receive(batch))

    async def flood(self, count: int = FLOOD) -> None:
        """Receive this many alerts for people who do not exist; return once Slack limits their look-ups.

        What is sent after that is newer.
        """
        await self.send(*(f"login-{number}" for number in range(count)), user="LOGIN@{}.example.com")
        await self.until_paused()
        self.clock.now += timedelta(seconds=1)

    async def next_minute(self) -> None:
        """Advance the clock by a minute once all wait in line; return when Slack limits look-ups again."""
        await self.until_paused()
        self.clock.now += MINUTE
        self.parts.sweeper.wake()
        await self.until_paused()

    async def until_paused(self) -> None:
        """Wait until nobody is looked up, because Slack has asked to wait, and all others wait in line."""
        limiter = self.parts.actors.asker.finder.limiter
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (
                "FIND" in tasks_of_questions()
                or limiter.opens_at(self.clock.monotonic()) is None
                or await self.store.due(Work.ASK, self.clock(), limit=1)
            ):
                await asyncio.sleep(0.01)

    async def until(self, identifier: str, state: State) -> Question:
        """Wait until a question is like this; the clock does not move."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (question := await self.store.find(identifier)) is None or question.state is not state:
                await asyncio.sleep(0.01)
        return question


def tasks_of_questions() -> Counter[str]:
    """Count the tasks in which something is done about a question, by what that is."""
    names = [task.get_name().split()[0] for task in asyncio.all_tasks()]
    return Counter(name for name in names if name in Lane.__members__)


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
        settings = settings_for(slack)
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
        await bot.flood()

        await bot.send("second", user="ada@example.com")

        question = await bot.until("second", State.ASKED)  # at the very moment at which it was accepted
        assert question.asked_at == question.accepted_at == bot.clock()
        assert bot.calls[LOOK_UP, 200] == PER_MINUTE
        await eventually(lambda: not tasks_of_questions())


async def test_a_strangers_question_has_its_turn_within_a_minute_of_look_ups(tmp_path: Path) -> None:
    async with flooded(tmp_path) as bot:
        await bot.flood()

        await bot.send("rare", user="grace@example.com", alert="bypass_codes_used")
        await bot.send("newest", user="katherine@example.com")
        await bot.next_minute()

        for identifier in ("rare", "newest"):
            question = await bot.until(identifier, State.ASKED)
            assert question.asked_at == question.accepted_at + MINUTE


async def test_whoever_does_not_exist_is_given_up_in_turn_and_then_without_a_call(tmp_path: Path) -> None:
    async with flooded(tmp_path) as bot:
        count = 2 * PER_MINUTE + 5
        await bot.flood(count)
        await bot.next_minute()
        bot.clock.now += MINUTE
        bot.parts.sweeper.wake()

        questions = [await bot.until(f"login-{number}", State.CLOSED) for number in range(count)]
        assert {question.reason for question in questions} == {"users_not_found"}
        calls = bot.calls.copy()
        await bot.send("again", user="LOGIN@login-0.example.com")
        await bot.until("again", State.CLOSED)
        assert bot.calls == calls


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


@pytest.mark.slow
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
