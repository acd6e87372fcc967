"""No *yes* is reported without the record of an approval, whatever fails; and a broken program is found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from proving_storm import Storm, judge
from scripted_factor import ScriptedFactor

from bot.triage import answer_rules, factor_rules, proving
from bot.triage.factor import PollResult, Verdict

#: A few each time, and more in the slow run.
SEEDS = [*range(8), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(8, 60))]


def verdict_on(seed: int) -> list[str]:
    storm = Storm(seed)
    storm.run()
    return list(judge(storm))


@pytest.mark.parametrize("seed", SEEDS)
def test_in_no_storm_is_a_promise_broken(seed: int) -> None:
    assert verdict_on(seed) == []


def _believe_anybody() -> Mapping[tuple[Any, str], Any]:
    poll = ScriptedFactor.poll

    async def careless(factor: ScriptedFactor, push_id: str, subject: str) -> PollResult:
        polled = await poll(factor, push_id, subject)
        is_other = polled.verdict is Verdict.OTHER_PERSON
        return replace(polled, verdict=Verdict.APPROVED) if is_other else polled

    return {(ScriptedFactor, "poll"): careless}


def _take_unavailable_for_approved() -> Mapping[tuple[Any, str], Any]:
    judge_it = factor_rules.judge

    def lenient(question: Any, attempt: Any, verdict: Verdict, *others: Any) -> Any:
        is_nothing = verdict is Verdict.UNAVAILABLE
        return judge_it(question, attempt, Verdict.APPROVED if is_nothing else verdict, *others)

    return {(factor_rules, "judge"): lenient}


def _push_again() -> Mapping[tuple[Any, str], Any]:
    return {(factor_rules, "lose"): factor_rules.record_not_sent}


def _count_a_proof_after_another_answer() -> Mapping[tuple[Any, str], Any]:
    return {
        (factor_rules, "_counts"): lambda _, attempt: attempt is not None,
        (factor_rules, "could_stand"): lambda *_: True,  # for a verdict; clicks are judged as before
    }


def _limit_nothing() -> Mapping[tuple[Any, str], Any]:
    return {(factor_rules, "find_wait"): lambda *_: None}


def _believe_every_yes() -> Mapping[tuple[Any, str], Any]:
    return {(answer_rules, "could_stand"): lambda *_: False}


def _forget_what_a_dead_worker_left() -> Mapping[tuple[Any, str], Any]:
    async def find(_: Any) -> bool:
        return False

    return {(proving.Prover, "_find"): find}


@pytest.mark.parametrize(
    ("sabotage", "found", "seed"),
    [
        (_believe_anybody, "yes without an approval", 23),
        (_take_unavailable_for_approved, "yes without an approval", 2),
        (_push_again, "was pushed 2 times", 5),
        (_count_a_proof_after_another_answer, ": yes after ", 5),
        (_limit_nothing, "s after the last was dead", 0),
        (_believe_every_yes, "yes without an approval", 0),
        (_forget_what_a_dead_worker_left, "still waits for a proof", 2),
    ],
)
def test_a_program_that_is_broken_is_found(
    monkeypatch: pytest.MonkeyPatch,
    sabotage: Callable[[], Mapping[tuple[Any, str], Any]],
    found: str,
    seed: int,
) -> None:
    """Try the seed first by which it was found last."""
    for (where, name), instead in sabotage().items():
        monkeypatch.setattr(where, name, instead)

    assert any(found in fault for each in (seed, *range(60)) for fault in verdict_on(each))
