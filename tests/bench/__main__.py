"""`python -m tests.bench`: measure, print the table and the verdicts, exit 1 if a promise is broken."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Final

from .arena import BenchFailed
from .certificates import make_certificates
from .contestants import CONTESTANTS, cores
from .growth import measure_growth
from .machine import Others, binding, machine
from .measures import PARTS, judge
from .options import read_options
from .plot import write_plot
from .profiling import profile_worker
from .runs import CONCURRENCY, Effort, Plan, run_rounds
from .table import comparison, conclude, describe
from .texts import measure_texts
from .workers import measure_workers


def main() -> int:
    """Do what the command line says; 1: a promise is broken, or a contestant did not do its work."""
    options = read_options()
    try:
        return _COMMANDS[options.command](options)
    except BenchFailed as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1


def _compare(options: argparse.Namespace) -> int:
    os.sched_setaffinity(0, cores()[1])
    others = Others()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        plan = _plan(options, Path(folder))
        figures = run_rounds(plan)
    verdicts = [] if options.quick else list(judge(figures))
    if options.json:
        result = {
            "machine": machine(),
            "medians": {
                whose: {measure: median(samples) for measure, samples in measured.items()}
                for whose, measured in figures.samples.items()
            },
            "samples": figures.samples,
            "verdicts": [{**verdict._asdict(), "kept": verdict.kept} for verdict in verdicts],
        }
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if options.plot:
        write_plot(options.plot, figures, title=describe(machine()))
    notes = (describe(machine()), binding(*cores()), _runs_of(plan), others.sentence())
    return conclude(comparison(figures), notes, verdicts)


_COMMANDS: Final[Mapping[str | None, Callable[[argparse.Namespace], int]]] = {
    None: _compare,
    "growth": measure_growth,
    "profile": profile_worker,
    "texts": measure_texts,
    "workers": measure_workers,
}


def _plan(options: argparse.Namespace, folder: Path) -> Plan:
    names = {each.name for each in CONTESTANTS} & set(options.only)
    effort = Effort(**{name: getattr(options, name) for name in Effort.__dataclass_fields__})
    return Plan(
        contestants=[each for each in CONTESTANTS if each.name in names or not names],
        parts=set(PARTS) & set(options.only) or set(PARTS),
        rounds=options.rounds,
        effort=effort,
        certificates=make_certificates(folder),
    )


def _runs_of(plan: Plan) -> str:
    effort, small = plan.effort, [each for each in plan.contestants if each.share < 1]
    shares = "".join(f", {each.name} with {each.share:.0%} of the work" for each in small)
    return (
        f"Medians of {plan.rounds} interleaved rounds of {effort.cycles} cycles, {CONCURRENCY} at a time, and"
        f" floods of {effort.flood} requests, each for another person{shares}."
        f" All the cycles: {effort.memory_cycles}. Idle: {effort.idle_seconds:g} s, taken to the minute and"
        " the hour. All but the first line is over TLS."
    )


if __name__ == "__main__":
    sys.exit(main())
