"""`python -m tests.bench`: measure, print the table and the verdicts, exit 1 if a promise is broken."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .arena import BenchFailed
from .certificates import make_certificates
from .contestants import CONTESTANTS, cores
from .machine import binding, machine
from .measures import PARTS, judge
from .plot import write_plot
from .rounds import Plan, run_rounds
from .runs import ABREAST, Effort
from .table import describe, render

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .figures import Figures
    from .measures import Verdict

#: Of `--quick`: everything is done, nothing is measured well.
_QUICK: Final = Effort(cycles=20, flood=20, clicks=5, memory_cycles=40, idle_seconds=0.5)


def main() -> int:
    """Run the bench; 1: a promise is broken, or a contestant did not do its work."""
    options = _parser().parse_args()
    os.sched_setaffinity(0, cores()[1])
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        plan = _plan(options, Path(folder))
        try:
            figures = run_rounds(plan)
        except BenchFailed as error:
            print(f"bench: {error}", file=sys.stderr)
            return 1
    verdicts = [] if options.quick else judge(figures)
    print(render(figures, verdicts, notes=_notes(plan)))
    _write(options, figures, verdicts)
    return 0 if all(verdict.kept for verdict in verdicts) else 1


def _plan(options: argparse.Namespace, folder: Path) -> Plan:
    names = {each.name for each in CONTESTANTS} & set(options.only)
    effort = Effort(**{name: getattr(options, name) for name in Effort.__dataclass_fields__})
    return Plan(
        contestants=[each for each in CONTESTANTS if each.name in names or not names],
        parts=set(PARTS) & set(options.only) or set(PARTS),
        rounds=1 if options.quick else options.rounds,
        effort=_QUICK if options.quick else effort,
        certificates=make_certificates(folder),
    )


def _notes(plan: Plan) -> Sequence[str]:
    effort, small = plan.effort, [each for each in plan.contestants if each.share < 1]
    shares = "".join(f", {each.name} with {each.share:.0%} of the work" for each in small)
    runs = (
        f"Medians of {plan.rounds} interleaved rounds of {effort.cycles} cycles, {ABREAST} at a time, and floods of"
        f" {effort.flood} requests, each for another person{shares}. Memory after {effort.memory_cycles} cycles."
        f" Idle: {effort.idle_seconds:g} s, taken to the minute and the hour; all but the first line over TLS."
    )
    return [describe(machine()), binding(*cores()), runs]


def _write(options: argparse.Namespace, figures: Figures, verdicts: Sequence[Verdict]) -> None:
    if options.json:
        judged = [{**vars(verdict), "kept": verdict.kept} for verdict in verdicts]
        result = {
            "machine": machine(),
            "medians": figures.medians(),
            "samples": figures.samples,
            "verdicts": judged,
        }
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if options.plot:
        write_plot(options.plot, figures, title=describe(machine()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    words = [*(each.name for each in CONTESTANTS), *PARTS]
    parser.add_argument("--only", nargs="+", choices=words, default=[], help="contestants, parts, or both")
    parser.add_argument("--quick", action="store_true", help="see that it works; the figures mean nothing")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cycles", type=int, default=1000, help="of a round")
    parser.add_argument("--flood", type=int, default=2000, help="requests at once")
    parser.add_argument("--clicks", type=int, default=200, help="timed, idle and in a flood")
    parser.add_argument("--memory-cycles", type=int, default=10_000)
    parser.add_argument("--idle-seconds", type=float, default=65.0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw the medians")
    return parser


if __name__ == "__main__":
    sys.exit(main())
