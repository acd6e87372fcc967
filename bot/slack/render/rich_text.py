"""Sentences as `rich_text`: only our own templates have markup; a value is always shown literally. Pure.

A template may use `*bold*`, `_italic_` and placeholders. What fills a placeholder never passes through a
parser of markup, neither here nor at Slack.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from string import Formatter
from typing import TYPE_CHECKING, Any, NamedTuple

from bot.slack.render.blocks import format_time
from bot.slack.render.text import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime
    from zoneinfo import ZoneInfo

Element = dict[str, Any]

#: What fills a placeholder: a text, or elements (a date, a link, a sentence of ours).
Value = str | Sequence[Element]

#: The little markup of the templates, and the style it stands for.
_MARKUP = (
    (re.compile(r"(?<!\w)\*(?=\S)([^*]*[^*\s])\*(?!\w)"), "bold"),
    (re.compile(r"(?<!\w)_(?=\S)([^_]*[^_\s])_(?!\w)"), "italic"),
)


def fill(template: str, **values: Value) -> list[Element]:
    """Return a template as elements. Without values it has no placeholder, and braces stand for themselves.

    Raises `KeyError` if a placeholder has no value.
    """
    elements: list[Element] = []
    for text, placeholder, styles in _parse(template, has_placeholders=bool(values)):
        if text:
            elements.append(literal(text, *styles))
        if placeholder is not None:
            value = values[placeholder]
            given = [{"type": "text", "text": value}] if isinstance(value, str) else value
            elements += [_add_style(each, styles) for each in given if each.get("text") != ""]
    return elements


def literal(text: str, *styles: str) -> Element:
    """Return a text that is shown literally."""
    return _add_style({"type": "text", "text": text}, styles)


def link(url: str, label: str) -> Element:
    """Return a link to a configured https address."""
    return {"type": "link", "url": url, "text": label}


def date(moment: datetime, zone: ZoneInfo) -> Element:
    """Return a moment, which Slack shows in the reader's own time zone; `zone` is for clients that cannot."""
    return {
        "type": "date",
        "timestamp": int(moment.timestamp()),
        "format": "{date_long_pretty}, {time}",
        "fallback": format_time(moment, zone),
    }


def sentence(elements: Sequence[Element], *, block_id: str) -> Element:
    """Return a block that shows these elements as a paragraph."""
    return _rich_text("rich_text_section", elements, block_id)


def quote(elements: Sequence[Element], *, block_id: str) -> Element:
    """Return a block that shows these elements as a quote: as somebody else's words."""
    return _rich_text("rich_text_quote", elements, block_id)


def as_text(elements: Sequence[Element]) -> str:
    """Return elements as the `text` of a message: escaped, without style; a date as its fallback."""
    return escape(as_plain(elements))


def as_plain(elements: Sequence[Element]) -> str:
    """Return elements as Slack shows them where it knows no markup at all. It is not escaped."""
    return "".join(each.get("text") or each.get("fallback", "") for each in elements)


def _rich_text(kind: str, elements: Sequence[Element], block_id: str) -> Element:
    return {
        "type": "rich_text",
        "block_id": block_id,
        "elements": [{"type": kind, "elements": list(elements)}],
    }


class _Piece(NamedTuple):
    """Of a template: a text, then a placeholder (None: there is none), and the styles of both."""

    text: str
    placeholder: str | None
    styles: tuple[str, ...]


@lru_cache(maxsize=512)  # more than there are texts
def _parse(template: str, *, has_placeholders: bool) -> tuple[_Piece, ...]:
    parse: Callable[[str], Iterable[tuple[str, str | None, Any, Any]]] = Formatter().parse
    return tuple(
        _Piece(text, placeholder, styles)
        for piece, styles in _split(template, _MARKUP)
        for text, placeholder, _, _ in (parse(piece) if has_placeholders else [(piece, None, None, None)])
    )


def _split(
    template: str, markup: Sequence[tuple[re.Pattern[str], str]], *styles: str
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the pieces of a template without their markup, each with its styles."""
    if not markup:
        yield template, styles
        return
    (pattern, style), *others = markup
    for number, piece in enumerate(pattern.split(template)):
        yield from _split(piece, others, *styles, *((style,) if number % 2 else ()))


def _add_style(element: Element, styles: Sequence[str]) -> Element:
    if not styles:
        return element
    return {**element, "style": {**element.get("style", {}), **dict.fromkeys(styles, True)}}
