"""Writes into the history what is in Slack."""

from __future__ import annotations

from bot.sandbox.fake_slack import Workspace

from .history import History
from .messages import INQUIRY_EVENT, is_burst_card, is_card, key_of, line_ref, reminded_key
from .orders import SECURITY_CHANNEL


def record_messages(workspace: Workspace, history: History) -> None:
    """Sort all messages that are in Slack now, oldest first in each conversation."""
    seen = [
        message
        for conversation in workspace.conversations
        for message in conversation.seen_by(conversation.person or "")
    ]
    history.messages = [message for message in seen if key_of(message)]
    history.asked_back = [message for message in seen if key_of(message, event=INQUIRY_EVENT)]
    history.reminders = [message for message in seen if reminded_key(message)]
    history.burst_lines = [message for message in seen if line_ref(message)]
    in_channel = [message for message in seen if message.channel == SECURITY_CHANNEL]
    history.cards = [message for message in in_channel if is_card(message)]
    history.burst_cards = [message for message in in_channel if is_burst_card(message)]
    history.lines = [message for message in in_channel if message.thread_ts]
