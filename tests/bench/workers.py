"""`python -m tests.bench workers`: what three workers on one table do that one alone does not."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from .arena import Arena
from .contestants import OURS, Contestant, cores
from .measures import Figures, PromiseResult
from .report import Others, binding, conclude, describe, tell
from .stand_ins import TABLE

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
            tell(f"round {number + 1} of {options.rounds}: {count} at work")
            figures.add(str(count), {**_asked(count, options), **_flood(count, options)})
    few, many = map(str, counts)
    notes = (describe(), binding(), others.sentence())
    verdicts = [] if options.quick else _judged(figures, few, many)
    return conclude(_table(figures, _words(options), few, many), notes, verdicts)


def _asked(count: int, options: argparse.Namespace) -> Mapping[str, float]:
    """Return the questions a second of workers that are limited to this many at a time."""
    program = ("-m", "tests.bench.narrow_app", str(options.concurrency))
    narrow = Contestant(name="narrow", program=program, variables=_SHARED)
    with Arena(narrow, count=count) as crew:
        _begin(crew, count)
        crew.order("flood", count=_WARM_UP * count)
        requests = options.requests * count
        flood = crew.order("flood", count=requests)
        _settle(crew)
    return {"asked": requests / flood["seconds"], "load": flood["load"] * 100}


def _flood(count: int, options: argparse.Namespace) -> Mapping[str, float]:
    """Return how long a flood takes that Slack takes slowly, and how many posts it refuses."""
    messages, seconds = options.limit
    with Arena(replace(OURS, variables=_SHARED), count=count) as crew:
        _begin(crew, count)
        crew.order("set_limit", messages=int(messages), seconds=seconds)
        taken = crew.order("flood", count=options.flood)["seconds"]
        refused = _settle(crew)
    return {"flood": taken, "refused": refused}


def _begin(crew: Arena, count: int) -> None:
    crew.start()
    crew.order("await_workers", count=count)
    crew.order("set_latency", seconds=_LATENCY)


def _settle(crew: Arena) -> float:
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
        PromiseResult(f"asked a second by {many}: times one's", bound, asked, at_least=True),
        PromiseResult(f"a flood shared by {many}: times one's seconds", 1.0, flood),
    ]
