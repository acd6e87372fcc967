"""The table and the verdicts, as a terminal shows them: within 100 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from .figures import Figures
from .measures import MEASURES, Measure, PromiseResult

WIDTH: Final = 100

_NAMES: Final = ("ours", "plain", "floor")
_RATIOS: Final = (("ours", "floor"), ("plain", "ours"))
_WORDS, _FIGURE = 42, 11


def render(figures: Figures, verdicts: Sequence[PromiseResult], *, notes: Sequence[str]) -> str:
    """Return the table, what is to be said about it, and the verdicts."""
    blocks = ["\n".join(_table(figures)), "\n".join(filled(notes))]
    return "\n\n".join([*blocks, "\n".join(render_results(verdicts))]) + "\n"


def render_results(verdicts: Sequence[PromiseResult]) -> Iterator[str]:
    """Yield a line for each promise."""
    for each in verdicts:
        mark = "kept" if each.kept else "MISSED"
        bound = f"{'≥' if each.at_least else '≤'} {each.bound:g}"
        yield f"{mark:6}  {each.promise:68}{each.figure:>10.2f}  {bound}"


def describe(machine: Mapping[str, str]) -> str:
    """Return the machine in one sentence."""
    return "Measured on " + "; ".join(machine.values()) + "."


def filled(notes: Sequence[str]) -> Iterator[str]:
    """Yield each note in lines that fit."""
    for note in notes:
        yield textwrap.fill(note, WIDTH)


def _table(figures: Figures) -> Iterator[str]:
    head = [*_NAMES, *(f"{above}/{below}" for above, below in _RATIOS)]
    yield " " * _WORDS + "".join(f"{word:>{_FIGURE + 1 * ('/' in word)}}" for word in head)
    yield "─" * (_WORDS + _FIGURE * len(head) + len(_RATIOS))
    for measure in MEASURES:
        row = _row(figures, measure)
        if row.strip("- ") != measure.words:
            yield row


def _row(figures: Figures, measure: Measure) -> str:
    values = [_number(figures.median(name, measure.name), measure) for name in _NAMES]
    ratios = [_ratio(figures.ratio(measure.name, above, below)) for above, below in _RATIOS]
    cells = [f"{cell:>{_FIGURE}}" for cell in values] + [f"{cell:>{_FIGURE + 1}}" for cell in ratios]
    return f"{measure.words:{_WORDS}}" + "".join(cells)


def _number(figure: float | None, measure: Measure) -> str:
    return "-" if figure is None else f"{figure:,.{measure.digits}f} {measure.unit}".rstrip()


def _ratio(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.2f} x"
