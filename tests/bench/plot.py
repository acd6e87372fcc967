"""The plot of the medians: an SVG of its own few lines, so that nothing must be installed for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Final

from .measures import MEASURES, Figures, Measure

#: Apart from each other for the colour-blind too (after Okabe and Ito).
_COLOURS: Final = {"ours": "#0072b2", "plain": "#e69f00", "floor": "#bbbbbb"}
_WORDS: Final = {
    "ours": "the triage bot",
    "plain": "a plain Bolt app",
    "floor": "the floor: nothing is stored",
}

# In units of the drawing.
_WIDTH, _MARGIN, _TOP = 960, 24, 88
_BAR, _GAP, _LEFT, _ROOM = 10, 14, 340, 480

_FONT: Final = 'font-family="system-ui, sans-serif" font-size="12" fill="#222222"'


def write_plot(path: Path, figures: Figures, *, title: str) -> None:
    """Write an SVG document: a bar for each contestant and measure, each measure to its own scale."""
    rows: list[str] = []
    y = _TOP
    for measure in MEASURES:
        medians = {name: figures.median(name, measure.name) for name in _COLOURS}
        shown = {name: figure for name, figure in medians.items() if figure is not None}
        if shown:
            rows += _row(measure, shown, y)
            y += _BAR * len(shown) + _GAP
    size = f'viewBox="0 0 {_WIDTH} {y + _MARGIN}" width="{_WIDTH}" height="{y + _MARGIN}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size} {_FONT}>',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{y + _MARGIN}" fill="#ffffff"/>',
        _label(_MARGIN, 30, title, style='font-size="11" fill="#555555"'),
        *_legend(),
        *rows,
        "</svg>",
    ]
    path.write_text("".join(f"{part}\n" for part in parts), encoding="utf-8")


def _legend() -> Iterator[str]:
    x = _MARGIN
    for name, colour in _COLOURS.items():
        yield f'<rect x="{x}" y="48" width="12" height="12" fill="{colour}"/>'
        yield _label(x + 18, 59, _WORDS[name])
        x += 18 + 7 * len(_WORDS[name]) + 24


def _row(measure: Measure, shown: Mapping[str, float], y: int) -> Iterator[str]:
    better = " (more is better)" if measure.more_is_better else ""
    yield _label(_MARGIN, y + _BAR * len(shown) / 2 + 4, measure.words + better)
    longest = max(shown.values()) or 1.0
    for place, (name, figure) in enumerate(shown.items()):
        top, width = y + place * _BAR, figure / longest * _ROOM
        yield f'<rect x="{_LEFT}" y="{top}" width="{width:.1f}" height="{_BAR - 1}" fill="{_COLOURS[name]}"/>'
        written = f"{figure:,.{measure.digits}f} {measure.unit}".strip()
        yield _label(_LEFT + width + 6, top + _BAR - 1, written, style='font-size="10"')


def _label(x: float, y: float, words: str, *, style: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" {style}>{escape(words)}</text>'
