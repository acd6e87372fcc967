"""Block Kit, as far as this bot speaks it: plain dictionaries. Sentences are made by `rich_text`. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

Block = dict[str, Any]

#: Slack's limits, in characters: https://docs.slack.dev/reference/block-kit (2026-11).
SECTION_MAX = 3000
HEADER_MAX = 150
CONFIRM_TEXT_MAX = 300
BUTTON_MAX = 75
URL_MAX = 3000


def section(text: str, *, block_id: str) -> Block:
    """Return a paragraph without markup."""
    return {"type": "section", "block_id": block_id, "text": plain(text)}


def context(text: str, *, block_id: str) -> Block:
    """Return small print without markup."""
    return {"type": "context", "block_id": block_id, "elements": [plain(text)]}


def header(text: str, *, block_id: str) -> Block:
    """Return a heading, cut to what Slack takes."""
    return {"type": "header", "block_id": block_id, "text": plain(text[:HEADER_MAX])}


def actions(elements: Sequence[Block], *, block_id: str) -> Block:
    """Return a row of buttons. A block_id is unique in its message."""
    return {"type": "actions", "block_id": block_id, "elements": list(elements)}


def button(text: str, *, action_id: str, value: str) -> Block:
    """Return a button without a style."""
    return {"type": "button", "action_id": action_id, "value": value, "text": plain(text)}


def plain(text: str) -> Block:
    """Return a text without markup: not even emoji codes are read in it."""
    return {"type": "plain_text", "text": text, "emoji": False}


def format_time(moment: datetime, zone: ZoneInfo) -> str:
    """Return a moment as people say it: `Tue 24 Nov 2026, 17:30 (Europe/Berlin)`."""
    return f"{moment.astimezone(zone):%a %d %b %Y, %H:%M} ({zone.key})"
