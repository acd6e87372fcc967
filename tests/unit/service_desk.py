"""A TriageService with everything around it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from fakes import NOON, ScriptedMessenger, SteppedClock, a_request
from memory_store import MemoryStore

from bot.sqs.wire import write_report
from bot.triage.asking import Asker
from bot.triage.model import Answer, Choice, Policy, Posted, Question
from bot.triage.pacing import Gate
from bot.triage.recorder import Recorder
from bot.triage.service import TriageService

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.triage.model import OutboxRow

PLACE = Posted(channel="D0ADA", ts="1764000000.000100")
IDENTIFIER = a_request().identifier
URL = "https://hooks.example/1"


class Desk:
    """A service with everything around it."""

    def __init__(self) -> None:
        self.clock = SteppedClock()
        self.store = MemoryStore()
        self.messenger = ScriptedMessenger(clock=self.clock)
        self.woken = 0
        recorder = Recorder(self.store, write_report, policy=Policy(), clock=self.clock)
        gate = Gate(spread=lambda: 1.0)
        self.asker = Asker(self.messenger, recorder, gate=gate, spread=lambda: 1.0)
        self.service = TriageService(recorder, self.messenger, self.asker, on_work=self._wake)

    def _wake(self) -> None:
        self.woken += 1

    async def accept(self) -> Question:
        """Accept a request; return the question."""
        await self.service.receive([a_request()])
        return await self.question()

    async def ask(self) -> Question:
        """Accept a request and ask it; return the question."""
        await self.service.work_on(await self.accept())
        return await self.question()

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
