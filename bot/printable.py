"""Makes untrusted text safe for a terminal and for one line of a log."""

from __future__ import annotations


def make_printable(text: str) -> str:
    r"""Return `text` with every character escaped that could move the cursor, or hide or reorder others.

    These are control, format (bidi, zero-width), surrogate, private-use and unassigned characters, and all
    separators except the space: `\n`, `\x1b`, `\u202e` … Backslashes are not escaped.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
