"""Text for a terminal and for one line of a log: untrusted text made safe, our own in colour."""

from __future__ import annotations

#: What a terminal calls its colours.
RED, GREEN, YELLOW, GREY = 31, 32, 33, 90


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


def paint(text: str, colour: int) -> str:
    """Return text in a colour of the terminal."""
    return f"\x1b[{colour}m{text}\x1b[0m"
