"""Text that an attacker may have written, made harmless for Slack. Pure."""

from __future__ import annotations

import re
import unicodedata

#: Controls, formats (bidi, zero-width), surrogates, private use and unassigned: none of them is for a person.
_DROPPED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})

_LINE_ENDS = re.compile("\r\n|[\r\u2028\u2029]")
_EMPTY_LINES = re.compile(r"\n\s*\n")  # spaces of any width

#: An entity of ours that a cut has left without its end.
_BROKEN_ENTITY = re.compile(r"&[a-z]{0,3}$")


def clean(text: str) -> str:
    """Return the text in NFC with nothing in it but visible characters, spaces and newlines.

    Runs of empty lines become one, so that nothing can be pushed out of sight.
    """
    # What most texts are made of may stay: found out at once, instead of character by character.
    is_plain = text.isascii() and text.replace("\n", "").isprintable()
    visible = text if is_plain else _drop_invisible(text)
    return (_EMPTY_LINES.sub("\n\n", visible) if "\n" in visible else visible).strip()


def _drop_invisible(text: str) -> str:
    lines = _LINE_ENDS.sub("\n", text).replace("\t", " ")
    visible = "".join(
        character
        for character in lines
        if character == "\n" or unicodedata.category(character) not in _DROPPED
    )
    return unicodedata.normalize("NFC", visible)


def escape(text: str) -> str:
    """Return the text with Slack's three control characters escaped: nothing in it can link or mention."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def truncate(escaped: str, limit: int, *, mark: str) -> str:
    """Return at most `limit` characters of an escaped text; a cut ends in `mark` and splits no entity."""
    if len(escaped) <= limit:
        return escaped
    return _BROKEN_ENTITY.sub("", escaped[: limit - len(mark)]) + mark


def sanitize(text: str, limit: int, *, mark: str, empty: str) -> str:
    """Return any text as Slack may show it: cleaned, escaped, then cut; `empty` where nothing is left."""
    return truncate(escape(clean(text)) or empty, limit, mark=mark)
