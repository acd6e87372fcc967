"""A flood for one person, and everything around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from fakes import ADDRESS, ScriptedMessenger, ScriptedSecurityTeam, SteppedClock, a_request
from memory_store import MemoryStore
from service_harness import a_click
from wiring import instead, wired

from bot.triage.model import Choice, OutboxRow, Question, State, TriageRequest, Work
from bot.triage.place_rules import person_key
from bot.triage.places import Burst, Places
from bot.triage.policy import Policy

PERSON = "U0ADA"


def flood(count: int, *, label: str = "decoy", user: str = ADDRESS, start: int = 0) -> list[TriageRequest]:
    numbers = range(start, start + count)
    return [replace(a_request(f"{label}-{number:04}", user=user), alert=label) for number in numbers]


class BurstsHarness:
    """A worker, and a clock that jumps to whatever is due next. What wakes others is waited for."""

    def __init__(self, policy: Policy | None = None, *, beside: BurstsHarness | None = None) -> None:
        self.clock: SteppedClock = beside.clock if beside else SteppedClock()
        self.store: MemoryStore = beside.store if beside else MemoryStore()
        self.messenger = ScriptedMessenger(clock=self.clock)
        self.team = ScriptedSecurityTeam()
        self.policy = policy or Policy(security_channel="C0SECURITY")
        self.restart()

    def restart(self) -> None:
        """Forget what only the process knew."""
        messenger, team = instead(self.messenger), instead(self.team)
        parts = wired(self.store, self.policy, clock=self.clock, messenger=messenger, security_team=team)
        self.service, self.bursts = parts.service, parts.actors.bursts

    async def accept(self, *requests: TriageRequest) -> None:
        for start in range(0, len(requests), 10):
            await self.service.receive(requests[start : start + 10])
            self.clock.advance(seconds=0.001)

    async def work(self, *, seconds: float = 0) -> None:
        """Advance the clock by this much, and do whatever falls due."""
        end = self.clock() + timedelta(seconds=seconds)
        while True:
            await self._do_all_that_is_due()
            due = [await self.store.next_due(self.clock())]
            due += [each.due_at for each in self.store.places.values()]
            next_due = min((each for each in due if each and each > self.clock()), default=None)
            if next_due is None or next_due > end:
                break
            self.clock.now = next_due
        self.clock.now = end

    async def _do_all_that_is_due(self) -> None:
        for _ in range(30):
            due: list[object] = []
            for each in await self.store.overdue(self.clock(), limit=10_000):
                due.append(each)
                await self.service.expire(each)
            for work in (Work.REDRAW, Work.ASK, Work.CARD):
                for each in await self.store.due(work, self.clock(), limit=10_000):
                    due.append(each)
                    await self.service.work_on(each, work)
            for places in await self.store.due_places(self.clock(), limit=100):
                due.append(places)
                self.bursts.wake(places.person)
            await self.bursts.drain()
            if not due:
                return

    async def question(self, identifier: str) -> Question:
        question = await self.store.find(identifier)
        assert question is not None
        return question

    async def answer(self, identifier: str, choice: Choice = Choice.YES) -> None:
        question = await self.question(identifier)
        click = replace(
            a_click(question, choice),
            slack_id=question.slack_id,
            message_ref=question.message_ref,
            at=self.clock(),
            clicked_at=self.clock(),
        )
        assert isinstance(await self.service.answer(click), Question)
        await self.bursts.drain()

    async def places(self, person: str = PERSON) -> Places:
        places = await self.store.find_places(person_key(person, ""))
        assert places is not None
        return places

    async def burst(self, person: str = PERSON) -> Burst:
        burst = (await self.places(person)).burst
        assert burst is not None
        return burst

    def asked(self) -> list[str]:
        """The questions open in Slack, as far as the store knows: asked, without choice or outcome."""
        rows = self.store.questions.values()
        open_ones = [each for each in rows if each.state in (State.ASKED, State.POSTING)]
        return sorted(each.identifier for each in open_ones if not each.said and not each.standing)

    def posted(self) -> list[str]:
        return [question.identifier for _, question in self.messenger.posts]

    async def reports(self, identifier: str) -> Sequence[OutboxRow]:
        return await self.store.reports_of(identifier)
