"""A Sweeper with everything around it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime

from fakes import NOON, ScriptedMessenger, SteppedClock, a_request
from memory_store import MemoryStore
from world import eventually

from bot.clock import Clock
from bot.errors import StoreError, TransientError
from bot.sqs.wire import write_report
from bot.triage import asking_rules
from bot.triage.model import Change, Question, State, Work
from bot.triage.people import PeopleRules
from bot.triage.people_finder import LOOK_UPS_MAX, Finder
from bot.triage.policy import Policy
from bot.triage.rate_limits import ConcurrencyLimiter
from bot.triage.recorder import Recorder
from bot.triage.strangers import Strangers
from bot.triage.sweeper import Sweeper

Doing = Callable[[Question], Awaitable[None]]


class SweeperHarness:
    """A Sweeper and its store; what was worked on is at rest afterwards."""

    def __init__(self) -> None:
        self.clock = SteppedClock()
        self.store = MemoryStore()
        self.limiter = ConcurrencyLimiter(jitter=lambda: 1.0)
        self.messenger = ScriptedMessenger(clock=self.clock)
        self.found: Counter[str] = Counter()
        self.doing: Doing | None = None
        self.finding_fails: set[str] = set()  #: identifiers; once each, because the store does
        self.done: Counter[str] = Counter()
        self.works: list[tuple[str, Work]] = []
        self.expired: list[tuple[str, datetime]] = []

    async def add(self, *identifiers: str, due_at: datetime = NOON) -> None:
        await self.put(*(replace(accepted(name), due_at=due_at) for name in identifiers))

    async def put(self, *questions: Question) -> None:
        assert all(await self.store.add([Change(question=each) for each in questions]))

    async def work_on(self, question: Question, work: Work) -> None:
        self.works.append((question.request.identifier, work))
        await (self.doing or self.put_to_rest)(question)

    async def find_person(self, question: Question) -> None:
        if question.identifier in self.finding_fails:
            self.finding_fails.remove(question.identifier)
            raise StoreError("the store is down")
        self.found[question.request.user] += 1
        with contextlib.suppress(TransientError):
            await self.finder.find(question)

    async def expire(self, question: Question) -> None:
        self.expired.append((question.request.identifier, self.clock()))
        await self.put_to_rest(question)

    async def put_to_rest(self, question: Question) -> None:
        self.done[question.request.identifier] += 1
        rested = replace(question, version=question.version + 1, due_at=None, deadline=None, card_due_at=None)
        assert await self.store.save(Change(question=rested))

    async def until_done(self, *identifiers: str) -> None:
        await eventually(lambda: set(identifiers) <= self.done.keys())

    def sweeper(self, clock: Clock) -> Sweeper:
        recorder = Recorder(self.store, write_report, policy=Policy(), clock=clock)
        finder_limiter = ConcurrencyLimiter(jitter=lambda: 1.0, concurrency=LOOK_UPS_MAX)
        self.finder = Finder(self.messenger, PeopleRules(), clock=clock, limiter=finder_limiter)
        strangers = Strangers(recorder, self.finder, jitter=lambda: 1.0)
        return Sweeper(self.store, self, self.limiter, strangers, clock=clock)

    @asynccontextmanager
    async def sweeping(
        self, doing: Doing | None = None, *, clock: Clock | None = None
    ) -> AsyncIterator[Sweeper]:
        self.doing = doing
        sweeper = self.sweeper(clock or self.clock)
        await self.finder.find(accepted("whose person is known"))
        stop = asyncio.Event()
        running = asyncio.create_task(sweeper.run(stop))
        try:
            yield sweeper
        finally:
            stop.set()
            async with asyncio.timeout(30):
                await running


def accepted(identifier: str) -> Question:
    return asking_rules.accept(
        a_request(identifier), asking_rules.new_ref(identifier, "s"), NOON, Policy()
    ).question


def redrawable(identifier: str) -> Question:
    return replace(accepted(identifier), state=State.ASKED, channel="D0ADA", ts="1.0", reports=1)
