"""What a measurement says in the end: its table, its verdicts, and the machine that they belong to.

It fits into 100 columns of a terminal.
"""

from __future__ import annotations

import os
import platform
import sqlite3
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

from .contestants import cores
from .measures import MEASURES, Figures, Measure, PromiseResult

WIDTH: Final = 100

_NAMES: Final = ("ours", "plain", "floor")
_RATIOS: Final = (("ours", "floor"), ("plain", "ours"))
_WORDS, _FIGURE = 42, 11

#: Other processes that use more of the machine than this are mentioned.
_DISTURBED: Final = 0.05

_LIBRARIES: Final = ("slack-bolt", "slack-sdk", "aiohttp", "boto3")


def conclude(table: Iterable[str], notes: Iterable[str], verdicts: Sequence[PromiseResult]) -> int:
    """Print the table, the remarks about it, and the verdicts; return 1 if a promise is broken."""
    filled = (textwrap.fill(note, WIDTH) for note in notes)
    print("\n\n".join("\n".join(block) for block in (table, filled, map(_result, verdicts))))
    return 0 if all(each.kept for each in verdicts) else 1


def tell(words: str) -> None:
    """Say how far a measurement is."""
    print(words, file=sys.stderr, flush=True)


def comparison(figures: Figures) -> Iterator[str]:
    """Yield the table of the contestants: a line for each measure of which there are figures."""
    head = [*_NAMES, *(f"{above}/{below}" for above, below in _RATIOS)]
    yield " " * _WORDS + "".join(f"{word:>{_FIGURE + 1 * ('/' in word)}}" for word in head)
    yield "─" * (_WORDS + _FIGURE * len(head) + len(_RATIOS))
    for measure in MEASURES:
        medians = [figures.median(name, measure.name) for name in _NAMES]
        ratios = [figures.ratio(measure.name, above, below) for above, below in _RATIOS]
        cells = [f"{_number(each, measure):>{_FIGURE}}" for each in medians]
        cells += [f"{_ratio(each):>{_FIGURE + 1}}" for each in ratios]
        if any(each is not None for each in medians):
            yield f"{measure.words:{_WORDS}}" + "".join(cells)


def _number(figure: float | None, measure: Measure) -> str:
    return "-" if figure is None else f"{figure:,.{measure.digits}f} {measure.unit}".rstrip()


def _ratio(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.2f} x"


def _result(each: PromiseResult) -> str:
    mark = "kept" if each.kept else "MISSED"
    bound = f"{'≥' if each.at_least else '≤'} {each.bound:g}"
    return f"{mark:6}  {each.promise:68}{each.figure:>10.2f}  {bound}"


def machine() -> Mapping[str, str]:
    """Return what a reader must know to compare figures."""
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.release()}",
        "libraries": f"{libraries}, SQLite {sqlite3.sqlite_version}",
    }


def describe() -> str:
    """Return the machine in one sentence."""
    return "Measured on " + "; ".join(machine().values()) + "."


def binding() -> str:
    """Say which cores were whose."""
    contestant, others = cores()
    if contestant == others:
        return "There is one core only: the stand-ins take their part of it, so that rates are too low."
    return f"Each contestant ran on core {_list(contestant)}, stand-ins and bench on core {_list(others)}."


class Others:
    """What else the machine does from now on."""

    def __init__(self) -> None:
        self._total, self._busy = _jiffies()
        self._own = _own_seconds()

    def sentence(self) -> str:
        """Say how much of the machine others took since then, which slows down what the clock measures."""
        total, busy = _jiffies()
        own = (_own_seconds() - self._own) * os.sysconf("SC_CLK_TCK")
        share = max(0.0, busy - self._busy - own) / max(total - self._total, 1)
        advice = ": times and rates are worse for it, CPU hardly" if share > _DISTURBED else ""
        return f"Meanwhile other processes took {share:.0%} of the machine{advice}."


def _jiffies() -> tuple[int, int]:
    """Return the ticks of all cores so far, and those of them in which something ran."""
    first, *_ = Path("/proc/stat").read_text(encoding="ascii").splitlines()
    ticks = [int(word) for word in first.split()[1:9]]  # what follows is in the first two already
    return sum(ticks), sum(ticks) - ticks[3] - ticks[4]


def _own_seconds() -> float:
    """Return the processor time of this process and of those of its children that have ended."""
    return sum(os.times()[:4])


def _list(numbers: set[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))


def _processor() -> str:
    lines: Sequence[str] = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
