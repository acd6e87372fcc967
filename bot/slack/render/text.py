"""Text that an attacker may have written, made harmless for Slack. Pure."""

from __future__ import annotations

import re

from bot.triage.foreign_text import Cleaned, clean

#: Characters of what stands on one line: a label, an identifier, an address, a name. The longest that a
#: request may have is 255.
LINE_MAX = 255

#: An entity of ours that a cut has left without its end.
_BROKEN_ENTITY = re.compile(r"&[a-z]{0,3}$")


def escape(text: str) -> str:
    """Return the text with Slack's three control characters escaped: nothing in it can link or mention."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def truncate(escaped: str, limit: int, *, mark: str, is_whole: bool = True) -> str:
    """Return at most `limit` characters of an escaped text; a cut ends in `mark` and splits no entity.

    If the text is not whole as it comes, it ends in `mark` as well.
    """
    if is_whole and len(escaped) <= limit:
        return escaped
    return _BROKEN_ENTITY.sub("", escaped[: limit - len(mark)]) + mark


def sanitize(text: str, limit: int, *, mark: str, empty: str) -> str:
    """Return any text as Slack may show it: cleaned, escaped, then cut; `empty` where nothing is left."""
    return show(clean(text, limit), limit, mark=mark, empty=empty)


def show(cleaned: Cleaned, limit: int, *, mark: str, empty: str) -> str:
    """Return a cleaned text as Slack may show it: escaped, then cut; `empty` where nothing is left."""
    return truncate(escape(cleaned.text) or empty, limit, mark=mark, is_whole=cleaned.is_whole)


def to_line(text: str) -> str:
    """Return any text cleaned and on one line of at most 255 characters. It is not escaped."""
    cleaned = clean(text, LINE_MAX, one_line=True)
    return truncate(cleaned.text, LINE_MAX, mark="…", is_whole=cleaned.is_whole)
