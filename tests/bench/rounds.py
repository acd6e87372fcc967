"""The order of the runs: interleaved, so that whatever else the machine does hits all contestants alike."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from . import runs
from .certificates import Certificates
from .contestants import Contestant
from .figures import Figures
from .runs import Effort


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is measured, of whom. `parts` are those of `measures`."""

    contestants: Sequence[Contestant]
    parts: Collection[str]
    rounds: int
    effort: Effort
    certificates: Certificates


def run_rounds(plan: Plan) -> Figures:
    """Measure it all. `BenchFailed` if a contestant does not do its work."""
    figures = Figures()
    for number in range(plan.rounds):
        # Each is first, second and last in turn.
        turn = number % len(plan.contestants)
        for contestant in (*plan.contestants[turn:], *plan.contestants[:turn]):
            _tell(f"round {number + 1} of {plan.rounds}: {contestant.name}")
            figures.add(contestant.name, _round(contestant, plan))
    _add_long_runs(figures, plan)
    return figures


def _round(contestant: Contestant, plan: Plan) -> Mapping[str, float]:
    bare = runs.over_http(contestant, plan.effort) if "cycle" in plan.parts else {}
    over_tls = {"start", *runs.OVER_TLS} & set(plan.parts)
    return {
        **bare,
        **(runs.over_tls(contestant, plan.effort, plan.certificates, over_tls) if over_tls else {}),
    }


def _add_long_runs(figures: Figures, plan: Plan) -> None:
    """Do what takes too long for every round, and hardly varies."""
    if "memory" in plan.parts:
        for contestant in plan.contestants:
            _tell(f"memory: {contestant.name}")
            figures.add(contestant.name, runs.memory(contestant, plan.effort, plan.certificates))
    if "idle" in plan.parts:
        _tell(f"idle for {plan.effort.idle_seconds:g} s: all at once, since they mostly wait")
        with ThreadPoolExecutor(len(plan.contestants)) as threads:
            idle = threads.map(lambda each: runs.idle(each, plan.effort, plan.certificates), plan.contestants)
            for contestant, measured in zip(plan.contestants, idle, strict=True):
                figures.add(contestant.name, measured)


def _tell(words: str) -> None:
    print(words, file=sys.stderr, flush=True)
