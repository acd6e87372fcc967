"""What a measurement says in the end, as a terminal shows it: within 100 columns."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from .measures import MEASURES, Figures, Measure, PromiseResult

WIDTH: Final = 100

_NAMES: Final = ("ours", "plain", "floor")
_RATIOS: Final = (("ours", "floor"), ("plain", "ours"))
_WORDS, _FIGURE = 42, 11


def conclude(table: Iterable[str], notes: Iterable[str], verdicts: Sequence[PromiseResult]) -> int:
    """Print the table, what is to be said about it, and the verdicts; return 1 if a promise is broken."""
    filled = (textwrap.fill(note, WIDTH) for note in notes)
    print("\n\n".join("\n".join(block) for block in (table, filled, map(_result, verdicts))))
    return 0 if all(each.kept for each in verdicts) else 1


def tell(words: str) -> None:
    """Say how far a measurement is."""
    print(words, file=sys.stderr, flush=True)


def describe(machine: Mapping[str, str]) -> str:
    """Return the machine in one sentence."""
    return "Measured on " + "; ".join(machine.values()) + "."


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
