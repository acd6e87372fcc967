"""Halves what a failing run is made of, as long as the same rule still fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from torture.promises import Violation

from .run import Outcome, Plan, simulate


def shrink(found: Outcome) -> Outcome:
    """Return the outcome of the smallest plan that was tried."""
    rule = found.violations[0].promise

    def attempt(plan: Plan) -> Outcome | None:
        outcome = simulate(plan)
        return outcome if any(each.promise is rule for each in outcome.violations) else None

    def with_alerts(left: Sequence[int]) -> Outcome | None:
        return attempt(replace(found.plan, alerts=frozenset(left)))

    fewer = _halve(found, list(range(found.plan.count)), with_alerts)

    def with_faults(left: Sequence[int]) -> Outcome | None:
        return attempt(replace(fewer.plan, faults=frozenset(left)))

    return _halve(fewer, [number for number, _ in fewer.faults], with_faults)


def _halve(
    found: Outcome, whole: Sequence[int], attempt: Callable[[Sequence[int]], Outcome | None]
) -> Outcome:
    """Drop half of what is left, a quarter where neither half will do, and so on down to single ones."""
    size = (len(whole) + 1) // 2
    while size:
        for start in range(0, len(whole), size):
            left = [*whole[:start], *whole[start + size :]]
            smaller = attempt(left)
            if smaller is not None:
                found, whole = smaller, left
                break
        else:
            size //= 2
            continue
        size = min(size, (len(whole) + 1) // 2)
    return found


def describe(violation: Violation) -> str:
    """Return what was broken in a line."""
    return f"  {violation.promise}: {violation.identifier} {violation.evidence}"


def tell(outcome: Outcome) -> Iterator[str]:
    """Yield what was broken, what is left of the run, and the story of the alert."""
    first = outcome.violations[0]
    yield from map(describe, outcome.violations)
    plan = outcome.plan
    factor = (" --factor" if plan.factor else "") + (" --flood" if plan.flood else "")
    yield f"--seed {plan.seed} --store {plan.store}{factor}, which leaves:"
    yield f"  alerts: {'all' if plan.alerts is None else sorted(plan.alerts)}"
    yield f"  faults: {[f'{number} {name}' for number, name in outcome.faults]}"
    told = (first.identifier or "worker", "worker")
    yield from (f"  {line}" for line in outcome.log if any(word in line for word in told))
