"""`python -m tests.bench growth`: what many alerts in the store cost."""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Final

from bot.clock import utc_now
from bot.store import OpenStore, open_store
from bot.triage.model import Work

from .arena import Arena
from .certificates import Certificates, make_certificates
from .contestants import OURS, cores
from .kept_alerts import STORE, make_pattern, multiply
from .measures import Figures, PromiseResult
from .report import Others, binding, conclude, describe, tell
from .runs import cycle_ms

#: Measure → what it is called, and how much more it may be than with an empty store (None: not promised).
_MEASURES: Final[Mapping[str, tuple[str, float | None]]] = {
    "cycle": ("CPU a cycle, ms", 1.2),
    "ready": ("start to ready, s", 1.5),
    "ready_after_kill": ("start to ready after a kill, s", None),
    "memory": ("memory after cycles (RSS), MiB", 1.1),
    "sweep": ("one sweep, ms", None),
}

#: Sweeps that are timed.
_SWEEPS: Final = 50

#: Questions that a sweep asks for, of each kind of work.
_ROOM: Final = 128

#: Each run numbers its alerts differently, so that none is known already.
_NUMBERS: Final = 100_000


def measure_growth(options: argparse.Namespace) -> int:
    """Measure it, print the table and the verdicts; 1: a promise is broken."""
    os.sched_setaffinity(0, cores()[1])
    others = Others()
    with tempfile.TemporaryDirectory(prefix="bench-growth-", dir=options.folder) as folder:
        figures = _measured(options, Path(folder))
    names = [str(size) for size in options.sizes]
    notes = (describe(), binding(), others.sentence())
    verdicts = [] if options.quick else list(_judged(figures, names))
    return conclude(_table(figures, names), notes, verdicts)


def _measured(options: argparse.Namespace, folder: Path) -> Figures:
    certificates, pattern = make_certificates(folder), make_pattern(folder / "pattern")
    homes = {size: folder / str(size) for size in options.sizes}
    for size, home in homes.items():
        tell(f"making a store of {size:,} alerts")
        home.mkdir()
        multiply(pattern, home / STORE, alerts=size)
    figures = Figures()
    for number in range(options.rounds):
        for size, home in homes.items():
            tell(f"round {number + 1} of {options.rounds}: {size:,} alerts")
            first = (2 * number + 1) * _NUMBERS
            figures.add(str(size), _round(home, certificates, first=first, cycles=options.cycles))
    return figures


def _round(home: Path, certificates: Certificates, *, first: int, cycles: int) -> Mapping[str, float]:
    with Arena(OURS, certificates, folder=home, first=first) as arena:
        ready, cost = arena.start(), cycle_ms(arena, cycles)
        resident, _ = arena.process.memory()
        # It leaves its log behind, and the next one looks the whole store over.
        arena.process.kill()
    with Arena(OURS, certificates, folder=home, first=first + _NUMBERS) as arena:
        after_kill = arena.start()
        arena.process.stop()
    sweep = asyncio.run(_sweep_ms(home / STORE))
    again = {"ready_after_kill": after_kill, "sweep": sweep}
    return {"cycle": cost, "ready": ready, "memory": resident, **again}


async def _sweep_ms(path: Path) -> float:
    """Return the milliseconds in which the store says what is due to the sweeper and the publisher."""
    store = await open_store(f"sqlite:///{path}", create=False)
    try:
        return median([await _one_sweep_ms(store) for _ in range(_SWEEPS)])
    finally:
        await store.close()


async def _one_sweep_ms(store: OpenStore) -> float:
    now, began = utc_now(), time.perf_counter()
    await store.overdue(now, limit=_ROOM)
    for work in Work:
        await store.due(work, now, limit=_ROOM)
    await store.next_due(now)
    await store.sendable(now, limit=10)
    await store.next_sendable(now)
    return (time.perf_counter() - began) * 1000


def _table(figures: Figures, names: Sequence[str]) -> Iterator[str]:
    yield f"{'alerts in the store':34}" + "".join(f"{int(name):>13,}{'':9}" for name in names)
    yield "─" * (34 + 22 * len(names))
    for measure, (words, _) in _MEASURES.items():
        medians = [figures.median(name, measure) or 0 for name in names]
        ratios = [figures.ratio(measure, name, names[0]) or 0 for name in names]
        cells = (f"{each:>13.2f}{ratio:>7.2f} x" for each, ratio in zip(medians, ratios, strict=True))
        yield f"{words:34}" + "".join(cells)


def _judged(figures: Figures, names: Sequence[str]) -> Iterator[PromiseResult]:
    empty, *_, full = names
    for measure, (words, bound) in _MEASURES.items():
        figure = figures.ratio(measure, full, empty)
        if bound is not None and figure is not None:
            promise = f"{words.partition(',')[0]}: with {int(full):,} alerts, times with {int(empty):,}"
            yield PromiseResult(promise, bound, figure)
