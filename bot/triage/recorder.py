"""Stores the steps that the rules decide on, one at a time a question."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from bot.triage.model import Change, Step
from bot.triage.reporting import report_due

if TYPE_CHECKING:
    from collections.abc import Callable

    from bot.triage.model import Question
    from bot.triage.policy import Policy
    from bot.triage.ports import Clock, Store, WriteReport

Verdict = TypeVar("Verdict")


class Recorder:
    """Writes each step with its report in one durable change, of the version that it was decided on."""

    def __init__(self, store: Store, write_report: WriteReport, *, policy: Policy, clock: Clock) -> None:
        self.store = store
        self.policy = policy
        self.clock = clock
        self._write_report = write_report

    def change(self, step: Step) -> Change:
        """Return a step as the store takes it, its report's body frozen."""
        report = None
        if step.report is not None:
            due_at = report_due(step.question, self.clock(), self.policy)
            report = self._write_report(step.report, due_at)
        return Change(question=step.question, report=report)

    async def save(self, step: Step) -> Question | None:
        """Store a step; None if somebody else was first and nothing was written."""
        question = replace(step.question, version=step.question.version + 1)
        change = self.change(replace(step, question=question))
        return question if await self.store.save(change) else None

    async def decide(
        self, question: Question, decision: Callable[[Question], Step | Verdict]
    ) -> tuple[Question | None, Step | Verdict]:
        """Store what `decision` makes of the question, or of what has become of it meanwhile.

        Return the question as it is stored then (None: it is gone), and the decision that held.
        """
        current: Question | None = question
        while True:
            if current is None:
                return None, Step(question=question)
            verdict = decision(current)
            if not isinstance(verdict, Step):
                return current, verdict
            saved = await self.save(verdict)
            if saved is not None:
                return saved, verdict
            current = await self.store.load(question.ref)
