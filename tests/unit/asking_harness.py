"""An Asker with everything around it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from fakes import ADA, NOON, ScriptedMessenger, SteppedClock, a_request
from memory_store import MemoryStore
from service_harness import a_click
from wiring import instead, wired

from bot.errors import AmbiguousError, AppRejected, TransientError, Undeliverable, UnknownErrorCode
from bot.triage import asking_rules
from bot.triage.model import Change, Choice, MessageRef, Person, Question, State, TriageRequest, Work
from bot.triage.outcomes import Outcome
from bot.triage.policy import Policy

PLACE = MessageRef(channel="D0ADA", ts="1764000099.000100")
LOST = AmbiguousError("the answer was lost")

#: One of each kind.
FAILURES = (
    TransientError("no network"),
    LOST,
    Undeliverable("channel_not_found"),
    UnknownErrorCode("strange_code"),
    AppRejected("token_revoked", remedy="Renew it."),
)


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


class AskingHarness:
    """An Asker with everything around it, and a clock that jumps to whatever is due next."""

    def __init__(self, policy: Policy | None = None, *, beside: AskingHarness | None = None) -> None:
        """`beside` another worker, it shares the store and the clock."""
        self.clock: SteppedClock = beside.clock if beside else SteppedClock()
        self.store: SlowStore = beside.store if beside else SlowStore()
        self.messenger = ScriptedMessenger(clock=self.clock)
        self._policy = policy
        self.restart()

    def restart(self) -> None:
        """Forget what only the process knew."""
        messenger = instead(self.messenger)
        parts = wired(self.store, self._policy, clock=self.clock, messenger=messenger)
        self.asker, self.limiter, self.recorder = parts.actors.asker, parts.pacing.limiter, parts.recorder
        self.service = parts.service

    async def accept(self, *requests: TriageRequest) -> None:
        await self.service.receive(requests or [a_request()])

    async def ask(self, *, seconds: float = 3600, **script: Any) -> Question:
        """Accept a request, with Slack as scripted, and advance the clock; return the question."""
        for name, ends in script.items():
            setattr(self.messenger, name, ends)
        await self.accept()
        await self.work(seconds=seconds)
        return await self.question()

    async def work(self, *, seconds: float = 0) -> None:
        """Advance the clock by this much, and ask whatever falls due."""
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
            for question in await self.store.due(Work.ASK, self.clock(), limit=1000):
                await self.asker.ask(question)
        assert not await self.store.due(Work.ASK, self.clock(), limit=1), "it stays due, whatever is done"

    async def question(self, identifier: str = a_request().identifier) -> Question:
        question = await self.store.find(identifier)
        assert question is not None
        return question

    async def click(self, question: Question | None, choice: Choice = Choice.NO) -> None:
        """Store an answer, as the service does."""
        assert question is not None
        click = a_click(question, choice)
        answer = replace(click, slack_id=question.slack_id, message_ref=PLACE, at=self.clock())
        assert isinstance(await self.service.answer(answer), Question)

    async def reasons(self) -> list[str]:
        """The reasons of what was reported as undeliverable."""
        questions = await self.store.list_questions(limit=100)
        return [each.reason for each in questions if each.standing is Outcome.UNDELIVERABLE]

    def post_times(self) -> list[float]:
        return seconds_of([moment for moment, _ in self.messenger.posts])

    def look_times(self) -> list[float]:
        return seconds_of(self.messenger.looks)


async def claim_elsewhere(harness: AskingHarness) -> None:
    """Claim the question as another worker does."""
    row = await harness.question()
    assert await harness.recorder.save(row, asking_rules.claim(row, ADA, harness.clock()))


def seconds_of(moments: Sequence[datetime]) -> list[float]:
    return [(moment - NOON).total_seconds() for moment in moments]


def people(*names: str) -> dict[str, Person | Exception]:
    return {f"{name}@example.com": Person(slack_id=f"U0{name}", slack_name=name) for name in names}
