"""What is done with the contestants, and what is read off them then: figures by the names of `measures`.

The runs are interleaved, so that whatever else the machine does affects all contestants alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean, quantiles
from typing import Final

from .arena import Arena
from .certificates import Certificates
from .contestants import Contestant
from .measures import Figures
from .report import tell

#: Cycles under way at a time, as in a busy hour: enough that batches fill, too few to be a flood.
CONCURRENCY: Final = 50

#: Cycles before anything is counted: connections are made, code is loaded that is loaded late.
WARM_UP: Final = 100

#: Seconds after the start before a contestant is called idle, and before its memory is looked at.
_SETTLED, _STARTED = 5.0, 0.3

#: Clicks that are timed of a contestant that gets less work than others.
_CLICKS_LEAST: Final = 50

_MS: Final = 1000.0


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much is measured in a run; of a contestant with a share, that much of it."""

    cycles: int
    flood: int
    clicks: int
    memory_cycles: int
    idle_seconds: float


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
            tell(f"round {number + 1} of {plan.rounds}: {contestant.name}")
            figures.add(contestant.name, _round(contestant, plan))
    _add_long_runs(figures, plan)
    return figures


def _round(contestant: Contestant, plan: Plan) -> Mapping[str, float]:
    measured: dict[str, float] = {}
    if "cycle" in plan.parts:
        with Arena(contestant) as arena:
            arena.start()
            measured["cycle_http"] = cycle_ms(arena, _share(contestant, plan.effort.cycles))
    if {"start", *_OVER_TLS} & set(plan.parts):
        with Arena(contestant, plan.certificates) as arena:
            measured |= _start(arena)
            for part, run in _OVER_TLS.items():
                if part in plan.parts:
                    measured |= run(arena, contestant, plan.effort)
    return measured


def _add_long_runs(figures: Figures, plan: Plan) -> None:
    """Do what takes too long for every round, and hardly varies."""
    if "memory" in plan.parts:
        for contestant in plan.contestants:
            tell(f"memory: {contestant.name}")
            figures.add(contestant.name, _memory(contestant, plan.effort, plan.certificates))
    if "idle" in plan.parts:
        tell(f"idle for {plan.effort.idle_seconds:g} s: all at once, since they mostly wait")
        with ThreadPoolExecutor(len(plan.contestants)) as threads:
            idle = threads.map(lambda each: _idle(each, plan.effort, plan.certificates), plan.contestants)
            for contestant, measured in zip(plan.contestants, idle, strict=True):
                figures.add(contestant.name, measured)


def _memory(contestant: Contestant, effort: Effort, certificates: Certificates) -> Mapping[str, float]:
    """Measure memory after many cycles, and when half of them were done."""
    count = _share(contestant, effort.memory_cycles) // 2
    with Arena(contestant, certificates) as arena:
        arena.start()
        arena.order("cycles", count=count, concurrency=CONCURRENCY)
        half, _ = arena.process.memory()
        arena.order("cycles", count=count, concurrency=CONCURRENCY)
        end, proportional = arena.process.memory()
    return {"memory_half": half, "memory_end": end, "memory_end_pss": proportional}


def _idle(contestant: Contestant, effort: Effort, certificates: Certificates) -> Mapping[str, float]:
    """Measure what it costs while nothing is to do."""
    seconds = effort.idle_seconds
    with Arena(contestant, certificates) as arena:
        arena.start()
        time.sleep(min(_SETTLED, seconds))
        before, used = arena.order("calls")["calls"], arena.process.cpu_seconds()
        time.sleep(seconds)
        used = arena.process.cpu_seconds() - used
        after = arena.order("calls")
    calls = {name: count - before.get(name, 0) for name, count in after["calls"].items()}
    return {"idle_cpu": used * _MS * 60 / seconds, "idle_calls": _hourly(calls, after["polls"], seconds)}


def cycle_ms(arena: Arena, count: int, *, concurrency: int = CONCURRENCY) -> float:
    """Return the milliseconds of processor that a whole cycle takes, when all is warm."""
    arena.order("cycles", count=min(WARM_UP, count), concurrency=concurrency)
    return arena.cpu_of("cycles", count=count, concurrency=concurrency) / count * _MS


def _start(arena: Arena) -> Mapping[str, float]:
    seconds, used = arena.start(), arena.process.cpu_seconds()
    time.sleep(_STARTED)  # the second link, and what is done right after the start
    resident, proportional = arena.process.memory()
    return {"ready": seconds, "ready_cpu": used, "memory_ready": resident, "memory_ready_pss": proportional}


def _cycle(arena: Arena, contestant: Contestant, effort: Effort) -> Mapping[str, float]:
    count = _share(contestant, effort.cycles)
    many = cycle_ms(arena, count)
    alone = cycle_ms(arena, max(count // 5, 4), concurrency=1)
    answered = arena.cpu_of("clicks", count=count, interval=0) / count * _MS
    return {"cycle_tls": many, "cycle_alone": alone, "cycle_answered": answered}


def _asked(arena: Arena, contestant: Contestant, effort: Effort) -> Mapping[str, float]:
    count = _share(contestant, effort.flood)
    measured, used = {}, arena.process.cpu_seconds()
    for latency in (0, 100):
        arena.order("set_latency", seconds=latency / _MS)
        measured[f"asked_{latency}"] = count / arena.order("flood", count=count)["seconds"]
    measured["asked_cpu"] = (arena.process.cpu_seconds() - used) / (2 * count) * _MS
    arena.order("set_latency", seconds=0)
    return measured


def _clicks(arena: Arena, contestant: Contestant, effort: Effort) -> Mapping[str, float]:
    count = max(_share(contestant, effort.clicks), min(_CLICKS_LEAST, effort.clicks))
    at_peace = arena.order("clicks", count=count)["acknowledged"]
    flood = _share(contestant, effort.flood)
    flooded = arena.order("clicks_in_flood", count=count, flood=flood)["acknowledged"]
    return {**percentiles("click_idle", at_peace), **percentiles("click_flood", flooded)}


#: What is measured in one run, in this order: clicks before the questions pile up that nobody answers.
_OVER_TLS: Final[Mapping[str, Callable[[Arena, Contestant, Effort], Mapping[str, float]]]] = {
    "cycle": _cycle,
    "clicks": _clicks,
    "asked": _asked,
}


def percentiles(name: str, seconds: Sequence[float]) -> Mapping[str, float]:
    """Return the p50 and the p99 of spans, in ms."""
    hundredths = quantiles(seconds, n=100, method="inclusive") if len(seconds) > 1 else [*seconds] * 99
    return {f"{name}_p50": hundredths[49] * _MS, f"{name}_p99": hundredths[98] * _MS}


def _hourly(calls: Mapping[str, int], polls: Sequence[float], seconds: float) -> float:
    """Return the calls an hour to the busiest queue; polls by the time between them, which is exact."""
    hourly: dict[str, float] = {}
    for name, count in calls.items():
        queue, action = name.split()
        rate = count / seconds
        if action == "ReceiveMessage" and len(polls) > 1:
            rate = 1 / mean(after - before for before, after in pairwise(polls))
        hourly[queue] = hourly.get(queue, 0.0) + rate * 3600
    return max(hourly.values(), default=0.0)


def _share(contestant: Contestant, count: int) -> int:
    return max(4, round(count * contestant.share))
