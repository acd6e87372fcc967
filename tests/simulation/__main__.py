"""`python -m tests.simulation`: try seeds, and exit 1 if a promise was broken."""

from __future__ import annotations

import argparse
import sys
import time

from .run import Plan, simulate


def main() -> int:
    """Try the seeds."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1, help="so many, from --seed on")
    parser.add_argument("--log", action="store_true", help="print all that happens")
    parser.add_argument("--store", choices=("sqlite", "dynamodb"), default="sqlite")
    options = parser.parse_args()
    began = time.process_time()
    kills = alerts = failures = 0
    for seed in range(options.seed, options.seed + options.seeds):
        outcome = simulate(Plan(seed=seed, store=options.store))
        kills += outcome.kills
        alerts += outcome.plan.count
        if options.log:
            print("\n".join(outcome.log))
        if outcome.violations:
            failures += 1
            print(f"seed {seed}")
            for each in outcome.violations:
                print(f"  {each.promise}: {each.identifier} {each.evidence}")
    took = time.process_time() - began
    print(f"{alerts} alerts, {kills} kills, {alerts / took:.0f} alerts a second", file=sys.stderr)
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main())
