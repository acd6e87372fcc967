"""The methods conversations.open, .history and .replies."""

from __future__ import annotations

import base64
import sys
from itertools import islice
from typing import TYPE_CHECKING, Final

from bot.sandbox.fake_slack.calls import SlackError
from bot.sandbox.fake_slack.objects import message_object
from bot.sandbox.fake_slack.timestamps import microseconds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bot.sandbox.fake_slack.calls import Call
    from bot.sandbox.fake_slack.workspace import Conversation, Json, Message

_DEFAULT_PAGE: Final = 100
_LARGEST_PAGE: Final = 1000
_CURSOR: Final = "next_ts:"


def require_scope(call: Call, scope: str) -> None:
    """Raise `SlackError` missing_scope if the bot token lacks a scope that this conversation needs."""
    if scope not in call.installation.app.scopes:
        provided = ",".join(sorted(call.installation.app.scopes))
        raise SlackError("missing_scope", needed=scope, provided=provided)


def find_direct_message(call: Call, user: str, *, unknown: str) -> Conversation:
    """Return the direct message with a person; `SlackError` `unknown` or cannot_dm_bot if there is none."""
    person = call.installation.workspace.person(user)
    if person is None:
        raise SlackError(unknown)
    if person.is_bot:
        raise SlackError("cannot_dm_bot")
    return call.installation.workspace.direct_message(user)


def require_joined(call: Call, channel: str) -> Conversation:
    """Return a conversation that the bot is in; `SlackError` channel_not_found or not_in_channel."""
    conversation = call.installation.workspace.conversation(channel)
    if conversation is None:
        raise SlackError("channel_not_found")
    if not conversation.has_bot:
        raise SlackError("not_in_channel")
    return conversation


def open_conversation(call: Call) -> Json:
    """Open the direct message with one person; groups are not supported. `SlackError` as in Slack."""
    if call.text("channel"):
        conversation = require_joined(call, call.required("channel"))
        return {"channel": {"id": conversation.id}}
    require_scope(call, "im:write")
    users = [user for user in (call.text("users") or "").split(",") if user]
    if len(users) != 1:
        raise SlackError("users_list_not_supplied" if not users else "method_not_supported_for_channel_type")
    person = call.installation.workspace.person(users[0])
    if person is not None and person.deleted:
        raise SlackError("user_disabled")
    return {"channel": {"id": find_direct_message(call, users[0], unknown="user_not_found").id}}


def read_history(call: Call) -> Json:
    """Return a page of a conversation, newest first, without replies that are only in threads."""
    conversation = _find_readable(call)
    after, before = _window(call)
    before = min(before, _cursor(call, otherwise=before))
    visible = (
        each
        for each in conversation.newest_first(after, before)
        if each.thread_ts in (None, each.ts) or each.is_broadcast
    )
    return {**_page(call, visible, most=call.installation.quirks.history_page), "pin_count": 0}


def read_replies(call: Call) -> Json:
    """Return a page of a thread, oldest first, including its first message. `SlackError` thread_not_found."""
    conversation = _find_readable(call)
    thread = call.required("ts")
    if conversation.message(thread) is None:
        raise SlackError("thread_not_found")
    after, before = _window(call)
    after = max(after, _cursor(call, otherwise=after))
    visible = [
        each for each in conversation.newest_first(after, before) if thread in (each.ts, each.thread_ts)
    ]
    return _page(call, reversed(visible))


def _find_readable(call: Call) -> Conversation:
    conversation = require_joined(call, call.required("channel"))
    require_scope(call, "im:history" if conversation.person else "channels:history")
    return conversation


def _window(call: Call) -> tuple[int, int]:
    """Return the first and the last moment to show, both inclusive, in microseconds since 1970."""
    ends = 0 if call.flag("inclusive") else 1
    after = _moment(call, "oldest", otherwise=0) + ends
    before = _moment(call, "latest", otherwise=sys.maxsize) - ends
    if call.installation.history_lag:
        before = min(before, call.installation.newest_visible())
    return after, before


def _moment(call: Call, name: str, *, otherwise: int) -> int:
    ts = call.text(name)
    if not ts or ts == "now":
        return otherwise
    try:
        return microseconds(ts)
    except ValueError as error:
        raise SlackError(f"invalid_ts_{name}") from error


def _cursor(call: Call, *, otherwise: int) -> int:
    cursor = call.text("cursor")
    if not cursor:
        return otherwise
    try:
        return int(base64.b64decode(cursor, validate=True).decode().removeprefix(_CURSOR))
    except ValueError as error:
        raise SlackError("invalid_cursor") from error


def _page(call: Call, messages: Iterable[Message], *, most: int = _LARGEST_PAGE) -> Json:
    size = min(_page_size(call), most)
    found = list(islice(messages, size + 1))
    with_metadata = call.flag("include_all_metadata")
    shown = [message_object(each, call.installation, with_metadata=with_metadata) for each in found[:size]]
    if len(found) <= size:
        return {"messages": shown, "has_more": False}
    cursor = base64.b64encode(f"{_CURSOR}{microseconds(found[size].ts)}".encode()).decode()
    return {"messages": shown, "has_more": True, "response_metadata": {"next_cursor": cursor}}


def _page_size(call: Call) -> int:
    size = call.text("limit") or str(_DEFAULT_PAGE)
    if not size.isdecimal() or not 1 <= int(size) <= _LARGEST_PAGE:
        raise SlackError("invalid_limit")
    return int(size)
