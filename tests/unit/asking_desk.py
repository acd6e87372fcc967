"""An Asker with everything around it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from fakes import NOON, ScriptedMessenger, SteppedClock, a_request
from memory_store import MemoryStore

from bot.errors import AmbiguousError
from bot.sqs.wire import write_report
from bot.triage import asking_rules
from bot.triage.answer_rules import answer_question
from bot.triage.asking import Asker
from bot.triage.model import Answer, Choice, Person, Posted, Question, State, Step, Work
from bot.triage.outcomes import Outcome
from bot.triage.policy import Policy
from bot.triage.rate_limits import Gate, Pace, Pacing
from bot.triage.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    from bot.triage.model import Change, TriageRequest

PLACE = Posted(channel="D0ADA", ts="1764000099.000100")
LOST = AmbiguousError("the answer was lost")


class SlowStore(MemoryStore):
    """Runs `after_claim` before it says that a claim is stored, once."""

    def __init__(self) -> None:
        super().__init__()
        self.after_claim: Callable[[], Awaitable[None]] | None = None

    async def save(self, change: Change) -> bool:
        is_saved = await super().save(change)
        if self.after_claim and is_saved and change.question.state is State.POSTING:
            happens, self.after_claim = self.after_claim, None
            await happens()
        return is_saved


class Desk:
    """An Asker with everything around it, and a clock that jumps to whatever is due next."""

    def __init__(self, policy: Policy | None = None, *, beside: Desk | None = None) -> None:
        """`beside` another worker, it shares the store and the clock."""
        self.clock: SteppedClock = beside.clock if beside else SteppedClock()
        self.store: SlowStore = beside.store if beside else SlowStore()
        self.messenger = ScriptedMessenger(clock=self.clock)
        self.recorder = Recorder(self.store, write_report, policy=policy or Policy(), clock=self.clock)
        self.restart()

    def restart(self) -> None:
        """Forget what only the process knew."""
        self.gate = Gate(spread=lambda: 1.0)
        pacing = Pacing(gate=self.gate, pace=Pace(), spread=lambda: 1.0)
        self.asker = Asker(self.messenger, self.recorder, pacing=pacing)

    async def accept(self, *requests: TriageRequest) -> None:
        steps = [
            asking_rules.accept(
                each, asking_rules.new_ref(each.identifier, "secret"), self.clock(), self.recorder.policy
            )
            for each in requests or [a_request()]
        ]
        await self.store.add([self.recorder.change(step) for step in steps])

    async def work(self, *, seconds: float = 0) -> None:
        """Let so much time pass, and ask whatever falls due."""
        end = self.clock() + timedelta(seconds=seconds)
        while True:
            await self._ask_all_that_is_due()
            next_due = await self.store.next_due(self.clock())
            if next_due is None or next_due > end:
                break
            self.clock.now = next_due
        self.clock.now = end

    async def _ask_all_that_is_due(self) -> None:
        for _ in range(10):
            due = await self.store.due(Work.ASK, self.clock(), limit=1000)
            if not due:
                return
            for question in due:
                await self.asker.ask(question)
        raise AssertionError("a question stays due, whatever is done")

    async def question(self, identifier: str = a_request().identifier) -> Question:
        question = await self.store.find(identifier)
        assert question is not None
        return question

    async def click(self, question: Question | None, choice: Choice = Choice.NO) -> None:
        """Store an answer, as the service does."""
        assert question is not None
        answer = Answer(
            ref=question.ref,
            choice=choice,
            slack_id=question.slack_id,
            ours=True,
            posted=PLACE,
            at=self.clock(),
        )
        _, verdict = await self.recorder.decide(
            question, lambda row: answer_question(row, answer, self.recorder.policy)
        )
        assert isinstance(verdict, Step)

    async def reasons(self) -> list[str]:
        """The reasons of what was reported as undeliverable."""
        questions = await self.store.list_questions(limit=100)
        return [each.reason for each in questions if each.standing is Outcome.UNDELIVERABLE]

    def post_times(self) -> list[float]:
        return seconds_of([moment for moment, _ in self.messenger.posts])

    def look_times(self) -> list[float]:
        return seconds_of(self.messenger.looks)


def seconds_of(moments: Sequence[datetime]) -> list[float]:
    return [(moment - NOON).total_seconds() for moment in moments]


def people(*names: str) -> dict[str, Person | Exception]:
    return {f"{name}@example.com": Person(slack_id=f"U0{name}", slack_name=name) for name in names}
