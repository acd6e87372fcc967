"""Stores the steps that the rules decide on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from bot.clock import Clock
from bot.errors import StoreError
from bot.triage.factor import Attempt
from bot.triage.inquiry import Inquiry
from bot.triage.model import Change, Question, Step, change_question
from bot.triage.places import Places
from bot.triage.policy import Policy
from bot.triage.ports import NO_METER, Meter, Store, WriteReport
from bot.triage.reporting import report_due_at
from bot.triage.trail import find_event, make_event, previous_report

NoStep = TypeVar("NoStep")


class Recorder:
    """Writes each step, its report and its event in one atomic change of the version that it was decided on.

    Every change of a question is written here, and counted once it is durable. A repeat, a lost race and a
    failed write change nothing and count nothing.
    """

    def __init__(
        self,
        store: Store,
        write_report: WriteReport,
        *,
        policy: Policy,
        clock: Clock,
        meter: Meter = NO_METER,
    ) -> None:
        self.store = store
        self.policy = policy
        self.clock = clock
        self.meter = meter
        self._write_report = write_report
        #: Called with the question before and after each save.
        self.on_saved: Callable[[Question, Question], None] = lambda _, __: None

    def change(self, step: Step) -> Change:
        """Return the first step of a new question as a change, with the body of its report rendered."""
        return self._make_change(None, step, version=step.question.version)

    async def add(self, steps: Sequence[Step]) -> Sequence[bool | StoreError]:
        """Store the first steps of new questions; return what `Store.add` returns. Raises `StoreError`."""
        verdicts = await self.store.add([self.change(step) for step in steps]) if steps else ()
        for step, verdict in zip(steps, verdicts, strict=True):
            if verdict is True:
                self.meter.count_stored(None, step.question)
        return verdicts

    async def save(self, before: Question, step: Step) -> Question | None:
        """Store a step that was decided on `before`; return the question as stored.

        Return None, and write nothing, if another writer was faster. Raises `StoreError`.
        """
        change = self._make_change(before, step, version=step.question.version + 1)
        if not await self.store.save(change):
            return None
        self.meter.count_stored(before, change.question)
        self.on_saved(before, change.question)
        return change.question

    async def decide(
        self, question: Question, decision: Callable[[Question], Step | NoStep]
    ) -> tuple[Question | None, Step | NoStep]:
        """Store what `decision` makes of the question; decide again if another writer was faster.

        Return the question as stored now (None: it was removed), and the last result of `decision`. Raises
        `StoreError`.
        """

        async def judge(row: Question) -> Step | NoStep:
            return decision(row)

        return await self._decide(question, judge)

    async def decide_proof(
        self, question: Question, subject: str, decision: Callable[[Question, Attempt | None], Step | NoStep]
    ) -> tuple[Question | None, Step | NoStep]:
        """Decide as `decide` does, on the question and on the last attempt of a subject."""

        async def judge(row: Question) -> Step | NoStep:
            return decision(row, await self.store.find_attempt(subject))

        return await self._decide(question, judge)

    async def decide_inquiry(
        self, question: Question, decision: Callable[[Question, Sequence[Inquiry]], Step | NoStep]
    ) -> tuple[Question | None, Step | NoStep]:
        """Decide as `decide` does, on the question and on the inquiries about it."""

        async def judge(row: Question) -> Step | NoStep:
            return decision(row, await self.store.inquiries_of(row.ref))

        return await self._decide(question, judge)

    async def _decide(
        self, question: Question, judge: Callable[[Question], Awaitable[Step | NoStep]]
    ) -> tuple[Question | None, Step | NoStep]:
        current: Question | None = question
        while True:
            if current is None:
                return None, Step(question=question)
            verdict = await judge(current)
            if not isinstance(verdict, Step):
                return current, verdict
            saved = await self.save(current, verdict)
            if saved is not None:
                return saved, verdict
            current = await self.store.load(question.ref)

    def _make_change(self, before: Question | None, step: Step, *, version: int) -> Change:
        question, row, event = step.question, None, None
        written: dict[str, Any] = {"version": version}
        if step.report is not None:
            due_at = report_due_at(question, self.clock(), self.policy, lag=self.clock.lag)
            row = self._write_report(step.report, due_at, previous_report(before, step.report.sequence))
            written["report_hash"] = row.hash
        head = question.trail_hash
        if before is not None and before.ref != question.ref:
            head = written["trail_hash"] = (
                ""  # it took over another one's message, and begins a trail of its own
            )
        if found := find_event(before, step, row):
            kind, facts = found
            event = make_event(question.identifier, version, head, kind=kind, facts=facts, at=self.clock())
            written["trail_hash"] = event.hash
        return Change(
            question=change_question(question, **written),
            report=row,
            before=before,
            event=event,
            attempt=step.attempt,
            inquiry=step.inquiry,
            places=step.places and self.next_places(step.places),
        )

    def next_places(self, places: Places) -> Places:
        """Return a person's places as they are stored next, over the version that they were read at."""
        return replace(places, version=places.version + 1, touched_at=self.clock())
