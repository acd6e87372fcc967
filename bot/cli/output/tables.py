"""Text tables for a terminal, where some characters take two columns and some take none."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

#: In terminal columns. A longer value shifts only its own row, and can still be copied whole.
_WIDEST_CELL = 40


def align_table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of printable cells, aligned in columns. Raises `ValueError` if rows differ in length."""
    widths = [min(_WIDEST_CELL, max(map(_count_columns, column))) for column in zip(*rows, strict=True)]
    return "\n".join(_align(row, widths) for row in rows)


def _count_columns(text: str) -> int:
    """Return how many terminal columns a printable text takes."""
    shown = (char for char in text if not unicodedata.combining(char))
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in shown)


def _align(row: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell + " " * (width - _count_columns(cell)) for cell, width in zip(row, widths, strict=True))
    return "  ".join(padded).rstrip()


def pluralize(number: int, noun: str) -> str:
    """Return a number with its noun, such as "1 alert" and "2,000 alerts"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
