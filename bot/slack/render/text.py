"""Text that an attacker may have written, cleaned and cut to what is shown of it. Pure."""

from __future__ import annotations

from functools import lru_cache

from bot.triage.untrusted_text import clean

#: Characters of what stands on one line: a label, an identifier, an address, a name. The longest that a
#: request may have is 255.
LINE_MAX = 255


def shorten(text: str, limit: int, *, mark: str, empty: str = "", lines: int | None = None) -> str:
    """Return any text, cleaned and cut to `limit` characters and, unless None, to a number of `lines`.

    With one line, line breaks become spaces. A text that was cut ends in `mark`; `empty` is returned if
    nothing is left. Nothing is escaped.
    """
    shown, is_whole = clean(text, limit, one_line=lines == 1)
    if lines is not None and shown.count("\n") >= lines:
        shown, is_whole = "\n".join(shown.split("\n", lines)[:lines]), False
    shown = shown or empty
    return shown if is_whole else shown[: limit - len(mark)] + mark


@lru_cache(maxsize=256)  # a message has the same address and title at several places
def to_line(text: str) -> str:
    """Return any text cleaned and on one line of at most `LINE_MAX` characters. It is not escaped."""
    return shorten(text, LINE_MAX, mark="…", lines=1)


def to_handle(name: str, slack_id: str) -> str:
    """Return what somebody is called: their name, or else their id, because a name may show nothing."""
    shown = to_line(name)
    return to_line(f"@{shown}" if shown else slack_id)


def escape(text: str) -> str:
    """Return the text with Slack's three control characters escaped: nothing in it can link or mention."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
