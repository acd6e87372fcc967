"""Makes text of unknown origin fit for a terminal and for one line of a log."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Return `text` with every character escaped that could move the cursor, hide or reorder others.

    Those are the control, format (bidi, zero-width), surrogate, private and unassigned characters, and all
    separators but the plain space: `\n`, `\x1b`, `\u202e` … A backslash stays as it is.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
