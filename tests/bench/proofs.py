"""`python -m tests.bench proofs`: what a thousand people in proof do to everybody else, and to the memory."""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from .alerts import PROVED_LABEL
from .arena import Arena
from .certificates import Certificates, make_certificates
from .contestants import OURS, ContestantProcess, cores
from .measures import Figures, PromiseResult
from .report import Others, binding, conclude, describe, tell
from .runs import percentiles

#: How often memory is looked at, in seconds.
_LOOK_INTERVAL: Final = 0.1

#: How much later a click may be acknowledged beside people in proof, and how much more memory may stay than
#: without them, and after they have come a second time.
_SLOWER: Final = 1.5
_MORE: Final = 1.1
_FLAT: Final = 1.1

_MEASURES: Final[Mapping[str, str]] = {
    "click_p50": "another's click acknowledged, p50, ms",
    "click_p99": "another's click acknowledged, p99, ms",
    "ended": "until all answers were reported, s",
    "unproven": "answers that were not proved in time",
    "before": "memory before (RSS), MiB",
    "peak": "memory at its most, MiB",
    "after": "memory after, MiB",
    "again": "memory after the same again, MiB",
}


def measure_proofs(options: argparse.Namespace) -> int:
    """Measure it, print the table and the verdicts; 1: a promise is broken."""
    os.sched_setaffinity(0, cores()[1])
    others, figures = Others(), Figures()
    with tempfile.TemporaryDirectory(prefix="bench-proofs-") as name:
        certificates = make_certificates(Path(name))
        for whose, factor in (("without", "off"), ("with", "required")):
            folder = Path(name, whose)
            folder.mkdir()
            (folder / "alerts.toml").write_text(f'[alert.{PROVED_LABEL}]\nfactor = "{factor}"\n')
            tell(f"{whose} a second factor")
            figures.add(whose, _measured(options, certificates, folder))
    notes = (describe(), binding(), others.sentence())
    return conclude(_table(figures, options), notes, [] if options.quick else list(_judged(figures)))


def _measured(options: argparse.Namespace, certificates: Certificates, folder: Path) -> Mapping[str, float]:
    contestant = replace(OURS, variables={"CONFIG_DIR": str(folder)}, needs_provider=True)
    work = {"proofs": options.proofs, "count": options.clicks, "interval": options.interval}
    with Arena(contestant, certificates) as arena:
        arena.start()
        arena.order("clicks", count=options.clicks)  # code is loaded, connections are made
        arena.order("set_provider_latency", seconds=options.latency)
        before, _ = arena.process.memory()
        with _peak_of(arena.process) as peak:
            done = arena.order("clicks_beside_proofs", **work)
        time.sleep(options.settled)
        after, _ = arena.process.memory()
        arena.order("clicks_beside_proofs", **work)
        time.sleep(options.settled)
        again, _ = arena.process.memory()
    memory = {"before": before, "peak": max(peak), "after": after, "again": again}
    return {
        **percentiles("click", done["acknowledged"]),
        "ended": done["seconds"],
        "unproven": done["unproven"],
        **memory,
    }


@contextlib.contextmanager
def _peak_of(process: ContestantProcess) -> Iterator[list[float]]:
    """Look at a process's memory again and again while the block runs; yield what was seen, in MiB."""
    seen, is_over = [process.memory()[0]], threading.Event()

    def look() -> None:
        while not is_over.wait(_LOOK_INTERVAL):
            seen.append(process.memory()[0])

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield seen
    finally:
        is_over.set()
        looking.join()


def _table(figures: Figures, options: argparse.Namespace) -> Iterator[str]:
    title = f"{options.proofs:,} yes at once, a provider at {options.latency:g} s"
    yield f"{title:46}{'without':>12}{'with':>12}{'ratio':>12}"
    yield "─" * (46 + 3 * 12)
    for measure, words in _MEASURES.items():
        cells = "".join(f"{figures.median(each, measure) or 0:>12.1f}" for each in ("without", "with"))
        yield f"{words:46}{cells}{figures.ratio(measure, 'with', 'without') or 0:>10.2f} x"


def _judged(figures: Figures) -> Iterator[PromiseResult]:
    slower = figures.ratio("click_p99", "with", "without") or 0
    yield PromiseResult("a click beside people in proof, p99: times without", _SLOWER, slower)
    more = figures.ratio("after", "with", "without") or 0
    yield PromiseResult("memory after people in proof: times without", _MORE, more)
    after, again = (figures.median("with", each) or 0 for each in ("after", "again"))
    yield PromiseResult("memory after a second thousand: times after the first", _FLAT, again / after)
