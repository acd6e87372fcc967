"""Broken workers, to prove that the checker can fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from bot.factor import ciba
from bot.store import OpenStore
from bot.triage import factor_rules
from bot.triage.factor import Verdict
from bot.triage.model import Change, OutboxRow, Question

#: Where a part of the program is, and what replaces it.
Replacements = Mapping[tuple[Any, str], Any]

#: How long the careless store puts off a report, in seconds of ours: time enough for the acknowledgement.
_PUT_OFF: Final = 0.4


class BlindMessenger:
    """Looks for no question: each that is in doubt counts as not posted."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def look_up(self, _: Question, **__: Any) -> None:
        """See `triage.ports.Messenger`."""


class CarelessStore:
    """Stores an answer at once, and its report in a second step, when the click was acknowledged already."""

    def __init__(self, inner: OpenStore) -> None:
        self._inner = inner
        self._order = asyncio.Lock()
        self._later: set[asyncio.Task[None]] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def save(self, change: Change) -> bool:
        """See `triage.ports.Store`."""
        saved = await self._inner.save(replace(change, report=None))
        if saved and change.report is not None:
            task = asyncio.create_task(self._report(change.question.ref, change.report))
            self._later.add(task)
            task.add_done_callback(self._later.discard)
        return saved

    async def _report(self, ref: str, report: OutboxRow) -> None:
        await asyncio.sleep(_PUT_OFF)
        async with self._order:
            saved = False
            while not saved:
                question = await self._inner.load(ref)
                assert question is not None
                raised = replace(question, version=question.version + 1)
                saved = await self._inner.save(Change(question=raised, report=report))


def _approve_anybody() -> Replacements:
    compare = ciba._compare

    def anybody(*given: Any) -> Any:
        polled = compare(*given)
        is_other = polled.verdict is Verdict.OTHER_PERSON
        return replace(polled, verdict=Verdict.APPROVED) if is_other else polled

    return {(ciba, "_compare"): anybody}


def _take_unavailable_for_approved() -> Replacements:
    judge = factor_rules.judge

    def lenient(question: Any, attempt: Any, verdict: Verdict, *others: Any) -> Any:
        return judge(question, attempt, _LENIENT.get(verdict, verdict), *others)

    return {(factor_rules, "judge"): lenient}


_LENIENT: Final = {Verdict.UNAVAILABLE: Verdict.APPROVED, Verdict.TIMED_OUT: Verdict.APPROVED}


def _push_again() -> Replacements:
    return {(factor_rules, "lose"): factor_rules.record_not_sent}


def _limit_no_pushes() -> Replacements:
    return {(factor_rules, "find_wait"): lambda *_: None}


def _count_a_proof_after_another_answer() -> Replacements:
    return {
        (factor_rules, "_counts"): lambda _, attempt: attempt is not None,
        (factor_rules, "could_stand"): lambda *_: True,  # for a verdict; clicks are judged as before
    }


#: What breaks the second factor, by name.
FACTOR_SABOTAGES: Final[Mapping[str, Callable[[], Replacements]]] = {
    "approve anybody": _approve_anybody,
    "take unavailable for approved": _take_unavailable_for_approved,
    "push again": _push_again,
    "limit no pushes": _limit_no_pushes,
    "count a late proof": _count_a_proof_after_another_answer,
}
