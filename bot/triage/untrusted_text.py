"""Cleans text that an attacker may have written before it is shown: visible, normalised, and short enough.

All steps take linear time. The text is cut before it is normalised, because normalising a crafted text takes
time that grows with the square of its length. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

#: The most characters of a text that are read; the rest is ignored.
READ_MAX = 50_000

#: How much of a text is read at first, in what may be shown of it.
_AHEAD = 4

#: Combining marks on one character. Written languages need fewer than ten; more of them reach over other
#: lines, and sorting a long run of them is what makes normalising slow.
MARKS_MAX = 30

#: Default_Ignorable_Code_Point as far as Python calls it printable (Unicode 15, DerivedCoreProperties), the
#: braille blank, the Khitan filler and the null notehead: they show nothing.
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U00016fe4\U0001d159"
    "\U000e0100-\U000e01ef]"
)

#: Stands for any mark: a private-use character, which no visible text contains.
_MARK = "\ue000"
_LONG_RUN = re.compile(f"{_MARK}{{{MARKS_MAX + 1},}}")

_LINE_ENDS = re.compile("\r\n|[\r\u2028\u2029]")
_SPACES = re.compile(r"[^\S\n ]")  # tabs, and spaces of any width
_EMPTY_LINES = re.compile(r"\n\s*\n")


class Cleaned(NamedTuple):
    """A text that can be shown. `is_whole` is false if its end was cut off."""

    text: str
    is_whole: bool


def _to_nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def clean(
    text: str,
    limit: int = READ_MAX,
    *,
    one_line: bool = False,
    normalize: Callable[[str], str] = _to_nfc,
) -> Cleaned:
    """Return at most `limit` characters of any text, in NFC: only visible ones, spaces and newlines.

    Runs of empty lines become one, so that nothing can be pushed out of sight; with `one_line`, all white
    space becomes single spaces. `normalize` gets at most `limit` characters, and no long run of marks.
    """
    # What is shown is mostly found at the beginning of what may be read.
    taken, is_plain = _read(text[: _AHEAD * limit], limit + 1, one_line=one_line)
    if len(taken) <= limit and len(text) > _AHEAD * limit:
        taken, is_plain = _read(text[:READ_MAX], limit + 1, one_line=one_line)
    normal = taken[:limit] if is_plain else normalize(taken[:limit])
    if normal == taken[:limit]:
        return Cleaned(normal, len(text) <= READ_MAX and len(taken) <= limit)
    # The normal form may be longer, by whole characters and by marks.
    normal = _take(normal, limit + 1)
    return Cleaned(normal[:limit], len(text) <= READ_MAX and max(len(taken), len(normal)) <= limit)


def _read(text: str, count: int, *, one_line: bool) -> tuple[str, bool]:
    """Return the first `count` characters that can be shown of a text, and whether all of it is plain."""
    # Most texts are of what may stay: that is found out at once.
    is_plain = text.isascii() and text.replace("\n", "").isprintable()
    visible = _collapse_space(text if is_plain else _drop_invisible(text), one_line=one_line)
    return (visible[:count] if is_plain else _take(visible, count)), is_plain


def _drop_invisible(text: str) -> str:
    spaced = _BLANK.sub("", _SPACES.sub(" ", _LINE_ENDS.sub("\n", text)))
    return "\n".join(map(_drop_unprintable, spaced.split("\n")))


def _drop_unprintable(line: str) -> str:
    """Drop controls, formats (bidi, zero-width), surrogates, private use and unassigned characters."""
    return line if line.isprintable() else "".join(filter(str.isprintable, line))


def _collapse_space(text: str, *, one_line: bool) -> str:
    if one_line:
        return " ".join(text.split())
    return (_EMPTY_LINES.sub("\n\n", text) if "\n" in text else text).strip()


def _take(text: str, count: int) -> str:
    """Return the first `count` characters, without the marks beyond `MARKS_MAX` on one character."""
    beginning = text[:count]
    marks = sum(map(beginning.count, filter(_is_mark, set(beginning))))
    if marks <= MARKS_MAX or not _LONG_RUN.search(_show_marks(beginning)):
        return beginning
    return _cap_marks(text)[:count]


def _cap_marks(text: str) -> str:
    kept, end = [], 0
    for run in _LONG_RUN.finditer(_show_marks(text)):
        kept.append(text[end : run.start() + MARKS_MAX])
        end = run.end()
    return "".join(kept) + text[end:]


def _show_marks(text: str) -> str:
    """Return the text with `_MARK` in place of each mark."""
    return text.translate(dict.fromkeys(map(ord, filter(_is_mark, set(text))), _MARK))


@lru_cache(maxsize=4096)
def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] == "M"
