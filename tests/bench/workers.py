"""`python -m tests.bench workers`: what three workers on one table do that one alone does not."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from .contestants import OURS, Contestant, cores
from .crew import Crew
from .dynamodb import TABLE
from .figures import Figures
from .machine import Others, binding, machine
from .measures import PromiseResult
from .table import describe, filled, render_results

#: Seconds that each call to Slack takes.
_LATENCY: Final = 0.1

#: Requests for each worker before anything is counted: code is loaded, connections are made.
_WARM_UP: Final = 10

#: Seconds after the last question in which somebody who would be asked twice is.
_SETTLED: Final = 1.0

#: What each of them asks at the least, of what one alone does: three ask 2.5 times as much.
_SCALES: Final = 2.5 / 3

_SHARED: Final = {"STORE_URL": f"dynamodb://{TABLE}"}


def measure_workers(options: argparse.Namespace) -> int:
    """Measure it, print the table and the verdicts; 1: a promise is broken."""
    os.sched_setaffinity(0, cores()[1])
    others, figures, counts = Others(), Figures(), (1, options.workers)
    for number in range(options.rounds):
        for count in counts:
            _tell(f"round {number + 1} of {options.rounds}: {count} at work")
            figures.add(str(count), {**_asked(count, options), **_flood(count, options)})
    few, many = map(str, counts)
    print("\n".join(_table(figures, _words(options), few, many)))
    print("\n" + "\n".join(filled([describe(machine()), binding(*cores()), others.sentence()])) + "\n")
    verdicts = [] if options.quick else list(_judged(figures, few, many))
    print("\n".join(render_results(verdicts)))
    return 0 if all(verdict.kept for verdict in verdicts) else 1


def _asked(count: int, options: argparse.Namespace) -> Mapping[str, float]:
    """Return the questions a second of workers that are limited to so many at a time."""
    program = ("-m", "tests.bench.narrow_app", str(options.concurrency))
    narrow = Contestant(name="narrow", words="a worker", program=program, variables=_SHARED)
    with Crew(narrow, count) as crew:
        crew.order("set latency", seconds=_LATENCY)
        crew.order("flood", count=_WARM_UP * count)
        requests = options.requests * count
        flood = crew.order("flood", count=requests)
        _settle(crew)
    return {"asked": requests / flood["seconds"], "load": flood["load"] * 100}


def _flood(count: int, options: argparse.Namespace) -> Mapping[str, float]:
    """Return how long a flood takes that Slack takes slowly, and how many posts it refuses."""
    messages, seconds = options.limit
    with Crew(replace(OURS, variables=_SHARED), count) as crew:
        crew.order("set latency", seconds=_LATENCY)
        crew.order("set limit", messages=int(messages), seconds=seconds)
        taken = crew.order("flood", count=options.flood)["seconds"]
        refused = _settle(crew)
    return {"flood": taken, "refused": refused}


def _settle(crew: Crew) -> float:
    """Wait a little; return how many posts were refused. `BenchFailed` if somebody was asked twice."""
    time.sleep(_SETTLED)
    return float(crew.order("refused")["refused"])


def _words(options: argparse.Namespace) -> Mapping[str, str]:
    messages, seconds = options.limit
    return {
        "asked": f"asked, Slack at 100 ms, {options.concurrency} at a time, /s",
        "load": "the stand-ins' load meanwhile, % of a core",
        "flood": f"flood of {options.flood}, Slack takes {messages:g} in {seconds:g} s, s",
        "refused": "posts of that flood refused with 429",
    }


def _table(figures: Figures, words: Mapping[str, str], few: str, many: str) -> Iterator[str]:
    yield f"{'workers':46}{few:>12}{many:>12}{'ratio':>12}"
    yield "─" * (46 + 3 * 12)
    for measure, line in words.items():
        medians = "".join(f"{figures.median(each, measure) or 0:>12.1f}" for each in (few, many))
        yield f"{line:46}{medians}{figures.ratio(measure, many, few) or 0:>10.2f} x"


def _judged(figures: Figures, few: str, many: str) -> Sequence[PromiseResult]:
    asked, flood = (figures.ratio(measure, many, few) or 0 for measure in ("asked", "flood"))
    bound = _SCALES * int(many)
    return [
        PromiseResult(
            promise=f"asked a second by {many}: times one's", bound=bound, figure=asked, at_least=True
        ),
        PromiseResult(promise=f"a flood shared by {many}: times one's seconds", bound=1.0, figure=flood),
    ]


def _tell(words: str) -> None:
    print(words, file=sys.stderr, flush=True)
