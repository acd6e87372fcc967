"""A TriageService with everything around it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from fakes import NOON, CountingMeter, ScriptedMessenger, ScriptedSecurityTeam, SteppedClock, a_request
from memory_store import MemoryStore
from wiring import Steady, instead, wired

from bot.triage.assignments import CardClick
from bot.triage.model import (
    Answer,
    Change,
    Choice,
    MessageRef,
    Note,
    OutboxRow,
    Question,
    Work,
    change_question,
)
from bot.triage.policy import Policy
from bot.worker.assembly import WakeUp

PLACE = MessageRef(channel="D0ADA", ts="1764000000.000100")
IDENTIFIER = a_request().identifier
URL = "https://hooks.example/1"


class ServiceHarness:
    """A service with everything around it."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.clock = SteppedClock()
        self.store = MemoryStore()
        self.messenger = ScriptedMessenger(clock=self.clock)
        self.team = ScriptedSecurityTeam()
        self.meter = CountingMeter()
        self.policy = policy
        self.woken = 0
        self.drawn = 1.0  #: every wait is this part of the longest that it may be, from the next restart on
        self.restart()

    def restart(self) -> None:
        """Forget what only the process knew."""
        wake = WakeUp()
        wake.add(self._wake)
        parts = wired(
            self.store,
            self.policy,
            wake=wake,
            meter=self.meter,
            random=Steady(self.drawn),
            clock=self.clock,
            messenger=instead(self.messenger),
            security_team=instead(self.team),
        )
        self.service, self.recorder = parts.service, parts.recorder
        self.responders = parts.responders
        self.restores, self.inquirer = parts.actors.asker.restores, parts.actors.inquirer
        self.pacing, self.limiter = parts.pacing, parts.pacing.limiter

    def _wake(self) -> None:
        self.woken += 1

    async def accept(self) -> Question:
        """Accept a request; return the question."""
        await self.service.receive([a_request()])
        return await self.question()

    async def ask(self) -> Question:
        """Accept a request and ask it; return the question."""
        await self.service.work_on(await self.accept(), Work.ASK)
        return await self.question()

    async def work(self) -> None:
        """Do everything that is due now, as the sweeper does."""
        for question in await self.store.overdue(self.clock(), limit=1000):
            await self.service.expire(question)
        for work in Work:
            for question in await self.store.due(work, self.clock(), limit=1000):
                await self.service.work_on(question, work)

    async def pass_time(self, *, until: datetime) -> None:
        """Advance the clock, and do whatever falls due at its moment."""
        await self.work()
        while (moment := await self.store.next_due(self.clock())) and moment <= until:
            self.clock.now = moment
            await self.work()
        self.clock.now = until

    async def answer(self, choice: Choice) -> Question:
        """Ask, if that was not done, and take an answer."""
        question = await self.store.find(IDENTIFIER) or await self.ask()
        answered = await self.service.answer(a_click(question, choice))
        assert isinstance(answered, Question)
        return answered

    async def question(self, identifier: str = IDENTIFIER) -> Question:
        question = await self.store.find(identifier)
        assert question is not None
        return question

    async def put(self, question: Question) -> Question:
        """Store a question as it is, as another worker might; return it as it is stored then."""
        changed = change_question(question, version=question.version + 1)
        assert await self.store.save(Change(question=changed))
        return changed

    async def reports(self, identifier: str = IDENTIFIER) -> Sequence[OutboxRow]:
        return await self.store.reports_of(identifier)


def a_click(question: Question, choice: Choice = Choice.YES) -> Answer:
    return Answer(
        ref=question.ref,
        choice=choice,
        slack_id="U0ADA",
        same_workspace=True,
        message_ref=question.message_ref or PLACE,
        at=NOON + timedelta(minutes=1),
    )


def a_note(question: Question, text: str = "I was on a train.") -> Note:
    return Note(
        ref=question.ref, text=text, slack_id="U0ADA", same_workspace=True, at=NOON + timedelta(minutes=2)
    )


def on_card(question: Question, *, ts: str = "", key: str = "") -> CardClick:
    """A click of Radia's on the card of a question, as the store has it."""
    return CardClick(
        card=question.card,
        channel="C0SECURITY",
        ts=ts or question.card_ts,
        slack_id="U0RADIA",
        slack_name="radia",
        same_workspace=True,
        at=NOON + timedelta(minutes=3),
        key=key,
        is_carried=True,
    )
