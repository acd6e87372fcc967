"""Text tables for a terminal, where some characters take two columns and some take none."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Sequence
from typing import Any

#: In terminal columns. A longer value shifts only its own row, and can still be copied whole.
_WIDEST_CELL = 40

#: In place of a column's least width: the column is cut last.
WHOLE = 10_000

#: What is left of each column at least, in terminal columns.
_NARROWEST_CELL = 9

_GAP = "  "

#: Precedes each wide character while lines are wrapped. No printable text contains it.
_FILLER = "\0"
_CUT = "…"


def align_table(rows: Sequence[Sequence[str]], *, width: int | None = None, least: Sequence[int] = ()) -> str:
    """Return rows of printable cells, aligned in columns. Raises `ValueError` if rows differ in length.

    At `width` columns it fits: the widest cells are cut in their middle, down to what is `least` for their
    column, then further, and last those of columns that are to stay `WHOLE`. None: nothing is cut.
    """
    if width is None:
        widths = [min(_WIDEST_CELL, each) for each in _widths_of(rows)]
    else:
        widths = _narrow(_widths_of(rows), width - _gaps_of(rows), least)
        rows = [[_cut(cell, room) for cell, room in zip(row, widths, strict=True)] for row in rows]
    return "\n".join(_align(row, widths) for row in rows)


def count_table(rows: Sequence[Sequence[str]]) -> int:
    """Return how many terminal columns a table takes if nothing is cut."""
    return sum(_widths_of(rows)) + _gaps_of(rows)


def _widths_of(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(count_columns, column)) for column in zip(*rows, strict=True)]


def _gaps_of(rows: Sequence[Sequence[str]]) -> int:
    return len(_GAP) * (len(rows[0]) - 1)


def _narrow(widths: Sequence[int], room: int, least: Sequence[int]) -> list[int]:
    """Take columns from the widest ones until they fit into the room, or are all as narrow as may be."""
    narrowed = list(widths)
    narrowest = [_NARROWEST_CELL] * len(widths)
    for floors in (least, [WHOLE if each == WHOLE else _NARROWEST_CELL for each in least], narrowest):
        while sum(narrowed) > room:
            wide = [place for place, floor in enumerate(floors) if narrowed[place] > floor]
            if not wide:
                break
            narrowed[max(wide, key=narrowed.__getitem__)] -= 1
    return narrowed


def _cut(text: str, width: int) -> str:
    """Return two thirds of what fits from the beginning of a printable text, and the rest from its end."""
    if count_columns(text) <= width:
        return text
    end = _begin_of(text[::-1], (width - 1) // 3)[::-1]
    return f"{_begin_of(text, width - 1 - count_columns(end))}{_CUT}{end}"


def _begin_of(text: str, width: int) -> str:
    """Return the longest beginning of a text that fits into `width` columns."""
    taken = 0
    for place, char in enumerate(text):
        taken += count_columns(char)
        if taken > width:
            return text[:place]
    return text


def count_columns(text: str) -> int:
    """Return how many terminal columns a printable text takes."""
    if text.isascii():
        return len(text)
    shown = (char for char in text if not unicodedata.combining(char))
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in shown)


def wrap_columns(text: str, width: int, **options: Any) -> list[str]:
    """Return a printable text in lines of at most `width` terminal columns. `options`: of `textwrap.wrap`."""
    # textwrap counts characters. A wide one counts twice with a filler, and once more if the two are parted.
    wide = {ord(char): f"{_FILLER}{char}" for char in set(text) if count_columns(char) > 1}
    lines = textwrap.wrap(text.translate(wide), width - bool(wide), **options)
    return [line.replace(_FILLER, "") for line in lines]


def _align(row: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell + " " * (width - count_columns(cell)) for cell, width in zip(row, widths, strict=True))
    return _GAP.join(padded).rstrip()


def pluralize(number: int, noun: str) -> str:
    """Return a number with its noun, such as "1 alert" and "2,000 alerts"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
