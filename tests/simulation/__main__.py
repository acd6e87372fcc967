"""`python -m tests.simulation`: try seeds; if a promise is broken, show the smallest run that breaks it."""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from torture.promises import Promise

from .run import Plan, simulate
from .sabotages import SABOTAGES
from .shrinking import describe, shrink, tell

_HERE: Final = Path(__file__).resolve().parent
_STORES: Final = ("sqlite", "dynamodb")

#: Seeds of its own that CI tries: each store with and without a factor and a flood three times.
_CI_SEEDS: Final = 36


def main() -> int:
    """Try the seeds that are asked for, until one fails."""
    options = _parser().parse_args()
    if options.prove:
        return _prove([options.sabotage] if options.sabotage else SABOTAGES, most=options.seeds)
    first = Plan(seed=options.seed, store=options.store, sabotage=options.sabotage)
    first = replace(first, factor=options.factor, flood=options.flood)
    if options.sabotage:
        sabotage = SABOTAGES[options.sabotage]
        first = replace(first, store=sabotage.store, factor=sabotage.factor, flood=sabotage.flood)
    plans: Iterable[Plan] = (replace(first, seed=first.seed + number) for number in range(options.seeds))
    if options.ci:
        plans = _seeds_of_the_tree(_CI_SEEDS)
    began = time.process_time()
    runs = alerts = kills = failed = 0
    for plan in plans:
        outcome = simulate(plan)
        runs, alerts, kills = runs + 1, alerts + plan.count, kills + outcome.kills
        if options.log:
            print("\n".join(outcome.log))
        if outcome.violations:
            failed += 1
            print(f"seed {plan.seed} of the {plan.store} store fails", flush=True)
            if options.go_on:
                print("\n".join(map(describe, outcome.violations)), flush=True)
                continue
            print("\n".join(tell(outcome if options.as_it_is else shrink(outcome))))
            break
    took = time.process_time() - began
    counts = f"{runs} runs, {alerts} alerts, {kills} kills, {failed} runs with violations"
    print(f"{counts}, {took:.0f} s of CPU, {alerts / took:.0f} alerts a second", file=sys.stderr)
    return 1 if failed else 0


def _prove(names: Iterable[str], *, most: int) -> int:
    """Try each broken program until it is found; print after how many seeds."""
    is_proved = True
    for name in names:
        began = time.process_time()
        found = find_broken(name, most=most)
        is_proved = is_proved and found is not None
        verdict = f"{found[1]} (seed {found[0]}" if found else f"not found (in {most} seeds"
        took = time.process_time() - began
        print(f"{name:32}{SABOTAGES[name].store:10}{verdict}, {took:.0f} s of CPU)", flush=True)
    return 0 if is_proved else 1


def find_broken(name: str, *, most: int) -> tuple[int, Promise] | None:
    """Return the first of these seeds that detects a broken program, and the promise; None: none does."""
    sabotage = SABOTAGES[name]
    for seed in range(1, most + 1):
        plan = Plan(seed=seed, store=sabotage.store, sabotage=name)
        plan = replace(plan, factor=sabotage.factor, flood=sabotage.flood)
        for each in simulate(plan).violations:
            if each.promise in sabotage.promises:
                return seed, each.promise
    return None


def corpus() -> Iterator[Plan]:
    """Yield the runs that once failed."""
    for line in (_HERE / "corpus.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            seed, store, why = line.split(maxsplit=2)
            options = why.partition(",")[0].split()
            yield Plan(seed=int(seed), store=store, factor="factor" in options, flood="flood" in options)


def _seeds_of_the_tree(count: int) -> Iterator[Plan]:
    """Yield `count` runs whose seeds are derived from the source: each change of it tries others."""
    digest = hashlib.sha256()
    for path in sorted([*(_HERE.parents[1] / "bot").rglob("*.py"), *_HERE.parent.glob("[st]*/*.py")]):
        digest.update(path.read_bytes())
    start = int.from_bytes(digest.digest()[:5], "big")
    for number in range(count):
        yield Plan(
            seed=start + number, store=_STORES[number % 2], factor=number % 4 > 1, flood=number % 6 > 3
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1, help="how many, from --seed on")
    parser.add_argument("--store", choices=_STORES, default="sqlite")
    parser.add_argument(
        "--ci", action="store_true", help=f"{_CI_SEEDS} seeds that are derived from the source"
    )
    parser.add_argument("--sabotage", choices=SABOTAGES, default="", help="break the program first")
    parser.add_argument("--factor", action="store_true", help="let some alerts need a second factor")
    parser.add_argument("--flood", action="store_true", help="let two people get all alerts")
    parser.add_argument(
        "--prove", action="store_true", help="say which seed finds what is broken, of --seeds"
    )
    parser.add_argument("--log", action="store_true", help="print all that happens")
    parser.add_argument("--go-on", action="store_true", help="try all seeds, whatever fails; shrink nothing")
    parser.add_argument("--as-it-is", action="store_true", help="do not shrink what fails")
    return parser


if __name__ == "__main__":
    sys.exit(main())
