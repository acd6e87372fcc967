"""The plot of `triage-bot stats`: SVG written by hand, so that no plotting library is needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from bot.cli.files import write_whole
from bot.cli.output.statistics import readable_seconds, share_of
from bot.errors import TriageBotError
from bot.printable import make_printable
from bot.triage.outcomes import ENDINGS
from bot.worker.views import View

# In SVG user units.
_WIDTH, _MARGIN, _TOP, _ROW, _BAR = 960, 24, 104, 44, 18
_PLOT_LEFT, _PLOT_WIDTH = 300, 440

_FONT = 'font-family="system-ui, sans-serif" font-size="13" fill="#222222"'
_FAINT = 'fill="#555555"'
_BOLD = 'font-weight="600"'

#: Characters of an alert's label that fit next to its bar.
_LABEL_LENGTH = 32

#: A segment of a bar that is at least this wide shows its share as text.
_WRITTEN_WIDTH = 36


class PlotNotWritten(TriageBotError):
    """The file of the plot could not be written."""


def write_plot(path: Path, views: Sequence[View], *, title: str) -> None:
    """Write the plot to an SVG file in UTF-8. Raises `PlotNotWritten` if that fails."""
    try:
        with write_whole(path) as file:
            file.write(plot_statistics(views, title=title).encode())
    except OSError as error:
        raise PlotNotWritten(f"{path} cannot be written: {error.strerror or error}") from error


def plot_statistics(views: Sequence[View], *, title: str) -> str:
    """Return an SVG document: a bar for each alert, in the order given, with its numbers next to it."""
    height = _TOP + _ROW * max(len(views), 1) + _MARGIN
    rows = [part for number, view in enumerate(views) for part in _row(view, _TOP + number * _ROW)]
    size = f'viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size} {_FONT}>',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        _label(_MARGIN, 34, title, style='font-size="18" font-weight="600"'),
        *_legend(),
        *(rows or [_label(_MARGIN, _TOP + _BAR, "None.")]),
        "</svg>",
    ]
    return "".join(f"{part}\n" for part in parts)


def _legend() -> Iterator[str]:
    x = _MARGIN
    for ending in ENDINGS:
        yield f'<rect x="{x}" y="54" width="12" height="12" fill="{ending.colour}"/>'
        yield _label(x + 18, 65, ending.label)
        x += 18 + 8 * len(ending.label) + 24
    yield _label(_PLOT_LEFT + _PLOT_WIDTH + 16, 65, "time to answer: median, 90 %", style=_FAINT)


def _row(view: View, y: int) -> Iterator[str]:
    alert = make_printable(str(view["alert"]))
    asked = f"{view['asked']} asked" + (f", {view['open']} open" if view["open"] else "")
    yield "<g>"
    yield f"<title>{escape(alert)}: {escape(_describe_shares(view))}</title>"
    yield _label(_MARGIN, y + 10, _shorten(alert), style=_BOLD)
    yield _label(_MARGIN, y + 26, asked, style=_FAINT)
    yield from _bar(view, y + 4)
    times = f"{readable_seconds(view['medianSeconds'])}, {readable_seconds(view['p90Seconds'])}"
    yield _label(_PLOT_LEFT + _PLOT_WIDTH + 16, y + 18, times)
    yield "</g>"


def _bar(view: View, y: int) -> Iterator[str]:
    x = float(_PLOT_LEFT)
    yield f'<rect x="{x:g}" y="{y}" width="{_PLOT_WIDTH}" height="{_BAR}" fill="#f4f4f4"/>'
    for ending in ENDINGS:
        share = share_of(view, ending)
        width = share * _PLOT_WIDTH
        if width:
            yield f'<rect x="{x:.2f}" y="{y}" width="{width:.2f}" height="{_BAR}" fill="{ending.colour}"/>'
        if width >= _WRITTEN_WIDTH:
            yield _label(x + 6, y + 14, f"{share:.0%}")
        x += width


def _describe_shares(view: View) -> str:
    return ", ".join(f"{ending.label} {share_of(view, ending):.0%}" for ending in ENDINGS)


def _label(x: float, y: float, words: str, *, style: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" {style}>{escape(words)}</text>'


def _shorten(text: str) -> str:
    return text if len(text) <= _LABEL_LENGTH else f"{text[: _LABEL_LENGTH - 1]}…"
