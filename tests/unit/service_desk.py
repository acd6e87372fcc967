"""A TriageService with everything around it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from fakes import NOON, ScriptedMessenger, ScriptedSecurityTeam, SteppedClock, a_request
from memory_store import MemoryStore

from bot.sqs.wire import read_report, write_report
from bot.triage.asking import Asker
from bot.triage.cards import Cards
from bot.triage.model import Answer, Choice, Note, Posted, Question, Take, Work
from bot.triage.policy import Policy
from bot.triage.rate_limits import Gate, Pace, Pacing
from bot.triage.recorder import Recorder
from bot.triage.reminding import Reminder
from bot.triage.service import TriageService, Workers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from bot.triage.model import OutboxRow

PLACE = Posted(channel="D0ADA", ts="1764000000.000100")
IDENTIFIER = a_request().identifier
URL = "https://hooks.example/1"


class Desk:
    """A service with everything around it."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.clock = SteppedClock()
        self.store = MemoryStore()
        self.messenger = ScriptedMessenger(clock=self.clock)
        self.team = ScriptedSecurityTeam()
        self.woken = 0
        self.recorder = Recorder(self.store, write_report, policy=policy or Policy(), clock=self.clock)
        self.restart()

    def restart(self) -> None:
        """Forget what only the process knew."""
        self.gate = Gate(spread=lambda: 1.0)
        self.pacing = pacing = Pacing(gate=self.gate, pace=Pace(), spread=lambda: 1.0)
        workers = Workers(
            asker=Asker(self.messenger, self.recorder, pacing=pacing),
            reminder=Reminder(self.messenger, self.recorder, pacing=pacing),
            cards=Cards(self.team, self.recorder, pacing=pacing, read_report=read_report),
            spread=pacing.spread,
        )
        self.service = TriageService(self.recorder, self.messenger, workers, on_work=self._wake)

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
        """Let time pass, and do whatever falls due at its moment."""
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

    async def reports(self, identifier: str = IDENTIFIER) -> Sequence[OutboxRow]:
        return await self.store.reports_of(identifier)


def a_click(question: Question, choice: Choice = Choice.YES) -> Answer:
    return Answer(
        ref=question.ref,
        choice=choice,
        slack_id="U0ADA",
        ours=True,
        posted=question.posted or PLACE,
        at=NOON + timedelta(minutes=1),
    )


def a_note(question: Question, text: str = "I was on a train.") -> Note:
    return Note(ref=question.ref, text=text, slack_id="U0ADA", ours=True, at=NOON + timedelta(minutes=2))


def a_take(question: Question, *, ts: str = "") -> Take:
    return Take(
        ref=question.ref,
        slack_id="U0RADIA",
        slack_name="radia",
        ours=True,
        posted=Posted(channel="C0SECURITY", ts=ts or question.card_ts),
        at=NOON + timedelta(minutes=3),
    )
