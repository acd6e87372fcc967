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
from typing import Any, Final

from .arena import BenchFailed
from .certificates import make_certificates
from .contestants import CONTESTANTS, cores
from .growth import measure_growth
from .measures import PARTS, judge
from .plot import write_plot
from .profiling import profile_worker
from .proofs import measure_proofs
from .report import Others, binding, comparison, conclude, describe, machine
from .runs import CONCURRENCY, Effort, Plan, run_rounds
from .texts import measure_texts
from .workers import measure_workers

#: Command → what `--quick` makes of it: everything is done, nothing is measured well.
_QUICKLY: Final[Mapping[str | None, Mapping[str, Any]]] = {
    None: {"rounds": 1, "cycles": 8, "flood": 8, "clicks": 5, "memory_cycles": 16, "idle_seconds": 0.5},
    "growth": {"rounds": 1, "cycles": 20, "sizes": [0, 1000]},
    "workers": {"rounds": 1, "workers": 2, "requests": 10, "flood": 30, "limit": [20.0, 1.0]},
    "texts": {"texts": 20},
    "proofs": {"proofs": 20, "clicks": 10, "latency": 0.5, "settled": 0.5},
}


def main() -> int:
    """Do what the command line says; 1: a promise is broken, or a contestant did not do its work."""
    options = _read_options()
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
        write_plot(options.plot, figures, title=describe())
    notes = (describe(), binding(), _runs_of(plan), others.sentence())
    return conclude(comparison(figures), notes, verdicts)


_COMMANDS: Final[Mapping[str | None, Callable[[argparse.Namespace], int]]] = {
    None: _compare,
    "growth": measure_growth,
    "profile": profile_worker,
    "proofs": measure_proofs,
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


def _read_options() -> argparse.Namespace:
    """Read the command line; exits 2 if it is wrong. `command` is None or one of `_COMMANDS`."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Measure the worker beside a plain Bolt app and the floor; 1: a promise is broken.",
    )
    commands = parser.add_subparsers(dest="command", title="other measurements")
    growth = commands.add_parser("growth", help="what many alerts in the store cost")
    workers = commands.add_parser("workers", help="what three workers on one table do")
    texts = commands.add_parser("texts", help="what hostile texts cost")
    profile = commands.add_parser("profile", help="where the worker's time goes, by py-spy")
    proofs = commands.add_parser("proofs", help="what many people in proof do to everybody else")
    for each in (parser, growth, workers, texts, proofs):
        each.add_argument("--quick", action="store_true", help="see that it works; the figures mean nothing")
    _add_comparison(parser)
    growth.add_argument("--sizes", type=int, nargs="+", default=[0, 10_000, 1_000_000], help="ascending")
    growth.add_argument("--rounds", type=int, default=3)
    growth.add_argument("--cycles", type=int, default=500, help="of a round")
    growth.add_argument("--folder", type=Path, help="where there is room for the stores (2 GB a million)")
    _add_workers(workers)
    proofs.add_argument("--proofs", type=int, default=1000, help="people who press yes at once")
    proofs.add_argument("--latency", type=float, default=30.0, help="seconds that each answer takes")
    proofs.add_argument("--clicks", type=int, default=1000, help="of others meanwhile")
    proofs.add_argument("--interval", type=float, default=0.1, help="seconds between two of those")
    proofs.add_argument(
        "--settled",
        type=float,
        default=35.0,
        help="seconds until memory is read; connections are kept for 15 after their last use",
    )
    texts.add_argument("--texts", type=int, default=1000)
    texts.add_argument("--seed", type=int, default=2026)
    profile.add_argument("--output", type=Path, default=Path("profile"), metavar="FOLDER")
    profile.add_argument("--cycles", type=int, default=2000)
    profile.add_argument("--flood", type=int, default=2000)
    options = parser.parse_args()
    if options.quick:
        vars(options).update(_QUICKLY.get(options.command, {}))
    return options


def _add_comparison(parser: argparse.ArgumentParser) -> None:
    words = [*(each.name for each in CONTESTANTS), *PARTS]
    parser.add_argument("--only", action="append", choices=words, default=[], help="a contestant or a part")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cycles", type=int, default=1000, help="of a round")
    parser.add_argument("--flood", type=int, default=2000, help="requests at once")
    parser.add_argument("--clicks", type=int, default=200, help="timed, idle and in a flood")
    parser.add_argument("--memory-cycles", type=int, default=10_000)
    parser.add_argument("--idle-seconds", type=float, default=65.0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw the medians")


def _add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=3, help="that are measured beside one")
    parser.add_argument("--requests", type=int, default=100, help="for each worker, to see how many it asks")
    parser.add_argument("--concurrency", type=int, default=2, help="that each may have under way meanwhile")
    parser.add_argument("--flood", type=int, default=300, help="requests at once, for all of them together")
    parser.add_argument(
        "--limit",
        type=float,
        nargs=2,
        default=[100.0, 10.0],
        metavar=("MESSAGES", "SECONDS"),
        help="what Slack takes then",
    )


if __name__ == "__main__":
    sys.exit(main())
