"""`python -m tests.bench growth`: what many alerts in the store cost.

A store as it is after months is made of alerts that the worker itself went through, many times over.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Final

from bot.store import OpenStore, open_store
from bot.triage.asking_rules import row_key
from bot.triage.model import Work, utc_now

from .arena import Arena
from .certificates import Certificates, make_certificates
from .contestants import OURS, cores
from .measures import Figures, PromiseResult
from .report import Others, binding, conclude, describe, tell
from .runs import cycle_ms

_STORE: Final = "triage-bot.db"

#: Alerts of the pattern: answered ones, and such as wait for their answer.
_ANSWERED, _OPEN = 98, 2

#: The oldest is as old as the worker keeps them, but for two days: nothing is to be removed meanwhile.
_SPREAD_SECONDS: Final = 28 * 24 * 3600

#: How many people there are for each person of the pattern.
_PEOPLE: Final = 50

_MOMENT_ENDINGS: Final = ("_at", "_since")

_COPY_NUMBERS: Final = """WITH RECURSIVE number(n) AS
    (SELECT 1 WHERE :copies > 0 UNION ALL SELECT n + 1 FROM number WHERE n < :copies)"""

_SOURCES: Final = {
    "question": "pattern.question AS question",
    "report": "pattern.question AS question JOIN pattern.report AS report ON report.key = question.key",
}

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

#: Alerts of a run have numbers of their own, lest they be known already.
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
    certificates, pattern = make_certificates(folder), _make_pattern(folder / "pattern")
    homes = {size: folder / str(size) for size in options.sizes}
    for size, home in homes.items():
        tell(f"making a store of {size:,} alerts")
        home.mkdir()
        _multiply(pattern, home / _STORE, alerts=size)
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
    sweep = asyncio.run(_sweep_ms(home / _STORE))
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


def _make_pattern(folder: Path) -> Path:
    """Let the worker go through some alerts, and stop it; return its store."""
    folder.mkdir()
    with Arena(OURS, folder=folder) as arena:
        arena.start()
        arena.order("cycles", count=_ANSWERED, concurrency=_ANSWERED)
        arena.order("flood", count=_OPEN)
        arena.process.stop()
    return folder / _STORE


def _multiply(pattern: Path, target: Path, *, alerts: int) -> None:
    """Write a store that has so many alerts, each like one of the pattern."""
    shutil.copyfile(pattern, target)
    with contextlib.closing(sqlite3.connect(target, isolation_level=None)) as store:
        store.create_function("key_of", 1, row_key, deterministic=True)
        # Nobody is hurt if this one is lost.
        for pragma in ("journal_mode=MEMORY", "synchronous=OFF", "cache_size=-400000"):
            store.execute(f"PRAGMA {pragma}")
        store.execute("ATTACH ? AS pattern", (str(pattern),))
        store.execute("BEGIN")
        for statement in _statements(store):
            store.execute(statement, {"copies": alerts // (_ANSWERED + _OPEN)})
        store.execute("COMMIT")
    os.sync()  # or the worker's first commits wait until all of this is on the disk


def _statements(store: sqlite3.Connection) -> Iterator[str]:
    """Yield what empties both tables and fills them again: the pattern's own identifiers come once more."""
    yield "DELETE FROM main.report"
    yield "DELETE FROM main.question"
    for table, source in _SOURCES.items():
        columns = [row[1] for row in store.execute(f"PRAGMA main.table_info({table})")]
        values = ", ".join(_copied(table, column) for column in columns)
        into = f"INSERT INTO main.{table} ({', '.join(columns)})"
        yield f"{into} {_COPY_NUMBERS} SELECT {values} FROM number JOIN {source}"


def _copied(table: str, column: str) -> str:
    """Return the SQL of a column of the n-th copy: another alert, another person, another time."""
    identifier = "'kept-' || question.identifier || '-' || n"
    if column == "key":
        return f"key_of({identifier})"
    if column == "identifier":
        return identifier
    if column == "event_id":
        return "report.event_id || '-' || n"
    if column in ("user", "slack_id"):
        return f"question.{column} || (n % {_PEOPLE})"
    if column.endswith(_MOMENT_ENDINGS):
        # What is open is of today: it must not fall due while it is measured.
        age = f"n * {_SPREAD_SECONDS * 1_000_000} / :copies"
        return f"{table}.{column} - iif(question.standing = '', 0, {age})"
    return f"{table}.{column}"
