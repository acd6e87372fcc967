"""What a message in Slack is: a question, a reminder, a card. Told by what everybody can see of it."""

from __future__ import annotations

import re
from typing import Any, Final

from bot.sandbox.fake_slack import Message
from bot.sandbox.fake_slack.objects import text_of_block

#: The event type in the metadata of a follow-up question's message.
INQUIRY_EVENT: Final = "triage_inquiry"

#: How the summary of every alert begins.
_IDENTIFIER: Final = re.compile(r"alert-\d+")


def ref_of(message: Message, *, event: str = "triage_question") -> str:
    """Return the reference that a question (or what else has this metadata) carries, "" if it is none."""
    metadata = message.metadata or {}
    if metadata.get("event_type") != event:
        return ""
    return str(_payload(message).get("ref") or "")


def key_of(message: Message, *, event: str = "triage_question") -> str:
    """Return the first part of the reference, by which the alert is known."""
    return ref_of(message, event=event).partition(".")[0]


def reminded_key(message: Message) -> str:
    """Return the key of the alert of which a message reminds, "" if of none."""
    return key_of(message, event="triage_reminder")


def line_ref(message: Message) -> str:
    """Return the reference of the line about waiting questions; "" if it is none."""
    return ref_of(message, event="triage_line")


def is_burst_card(message: Message) -> bool:
    """Whether it is the card of a burst."""
    return message.thread_ts is None and bool(block_of(message, "burst"))


def number_of(reminder: Message) -> int:
    """Return which reminder of its question it is; the first is 1."""
    return int(_payload(reminder).get("n") or 0)


def is_card(message: Message) -> bool:
    """Whether it is a card for the security team, and no line in the thread of one."""
    return message.thread_ts is None and bool(block_of(message, "outcome"))


def identifier_of(card: Message) -> str:
    """Return the identifier of the alert that a card shows."""
    found = _IDENTIFIER.search(text_of(card, "summary"))
    return found[0] if found else ""


def text_of(message: Message, block_id: str) -> str:
    """Return what a person reads in a block, "" if there is none."""
    return text_of_block(block_of(message, block_id) or {"type": "divider"})


def block_of(message: Message, block_id: str) -> dict[str, Any]:
    """Return a block, an empty one if there is none."""
    return next((block for block in message.blocks if block.get("block_id") == block_id), {})


def _payload(message: Message) -> dict[str, Any]:
    return (message.metadata or {}).get("event_payload") or {}
