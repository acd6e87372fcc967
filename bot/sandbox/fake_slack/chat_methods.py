"""The methods chat.postMessage, .update and .getPermalink, and the checks of a message's content."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.sandbox.fake_slack import limits
from bot.sandbox.fake_slack.calls import SlackError, invalid_arguments
from bot.sandbox.fake_slack.conversation_methods import find_direct_message, require_joined
from bot.sandbox.fake_slack.objects import complete_blocks, message_object
from bot.sandbox.fake_slack.workspace import Message

if TYPE_CHECKING:
    from bot.sandbox.fake_slack.calls import Call
    from bot.sandbox.fake_slack.workspace import Conversation, Json


def post_message(call: Call) -> Json:
    """Post to a person (U…), a direct message (D…) or a channel; the answer names the conversation.

    `SlackError` as Slack would return it, e.g. channel_not_found, no_text, msg_too_long, thread_not_found.
    """
    conversation = _find_target(call)
    text, blocks, metadata = check_content(call, limits.POST_TEXT_LIMIT)
    if not blocks and not text.strip():
        raise SlackError("no_text")
    thread = _find_thread(call, conversation)
    message = Message(
        channel=conversation.id,
        ts=call.installation.next_ts(),
        user=call.installation.workspace.bot.id,
        text=text,
        blocks=complete_blocks(blocks or []),
        metadata=metadata or None,
        thread_ts=thread,
        # Outside of a thread there is nothing to broadcast.
        is_broadcast=thread is not None and call.flag("reply_broadcast"),
    )
    call.installation.workspace.post(message)
    return _answer(call, message)


def update_message(call: Call) -> Json:
    """Change one of the bot's own messages. Blocks and metadata stay unless new ones are given.

    `SlackError` as Slack would return it, e.g. message_not_found, cant_update_message.
    """
    conversation = _require_writable(require_joined(call, call.required("channel")))
    message = _find_own_message(call, conversation, call.required("ts"))
    text, blocks, metadata = check_content(call, limits.UPDATE_TEXT_LIMIT)
    if not text.strip() and not blocks:
        raise SlackError("no_text")
    changed = call.installation.workspace.change(
        message,
        text=text,
        blocks=message.blocks if blocks is None else complete_blocks(blocks),
        metadata=message.metadata if metadata is None else metadata or None,
        edited_ts=call.installation.next_ts(),
    )
    return {**_answer(call, changed), "text": changed.text}


def find_permalink(call: Call) -> Json:
    """Return a message's permalink; that of a reply includes its thread. `SlackError` message_not_found."""
    channel, ts = call.required("channel"), call.required("message_ts")
    message = require_joined(call, channel).message(ts)
    is_gone = message is None and not call.installation.quirks.links_to_deleted
    if is_gone or (message and message.ephemeral_for is not None):
        raise SlackError("message_not_found")
    domain = call.installation.workspace.domain
    link = f"https://{domain}.slack.com/archives/{channel}/p{ts.replace('.', '')}"
    thread = f"?thread_ts={message.thread_ts}&cid={channel}" if message and message.thread_ts else ""
    return {"channel": channel, "permalink": link + thread}


def check_content(call: Call, text_limit: int) -> tuple[str, list[Any] | None, Json | None]:
    """Return text, blocks and metadata (None: not given); `SlackError` if Slack would refuse one of them.

    `text_limit` is in characters.
    """
    text = call.text("text") or ""
    if len(text) > text_limit:
        raise SlackError("msg_too_long")
    blocks = call.structure("blocks", otherwise="invalid_blocks_format")
    if blocks is not None:
        _check_blocks(blocks)
    metadata = call.structure("metadata", otherwise="invalid_metadata_format")
    problem = limits.problem_of_metadata(metadata) if metadata else None
    if problem is not None:
        raise SlackError(problem)
    return text, blocks, metadata


def _check_blocks(blocks: Any) -> None:
    if not isinstance(blocks, list):
        raise SlackError("invalid_blocks_format")
    problems = limits.problems_of_blocks(blocks)
    if problems:
        raise invalid_arguments("invalid_blocks", problems)
    if limits.length_of_text(blocks) > limits.BLOCKS_TEXT_LIMIT:
        raise SlackError("msg_blocks_too_long")


def _find_target(call: Call) -> Conversation:
    """Find the conversation to post to. Slack accepts posts to deactivated people, which nobody reads."""
    channel = call.text("channel") or ""
    if channel.startswith(("U", "W")):
        if not call.installation.quirks.opens_by_posting:
            raise SlackError("channel_not_found")
        return find_direct_message(call, channel, unknown="channel_not_found")
    return _require_writable(require_joined(call, channel))


def _require_writable(conversation: Conversation) -> Conversation:
    if conversation.is_archived:
        raise SlackError("is_archived")
    return conversation


def _find_thread(call: Call, conversation: Conversation) -> str | None:
    thread = call.text("thread_ts")
    if thread and conversation.message(thread) is None:
        if call.installation.quirks.replies_to_deleted == "refused":
            raise SlackError("thread_not_found")
        return None
    return thread or None


def _find_own_message(call: Call, conversation: Conversation, ts: str) -> Message:
    message = conversation.message(ts)
    if message is None or message.ephemeral_for is not None:
        raise SlackError("message_not_found")
    if message.user != call.installation.workspace.bot.id:
        raise SlackError("cant_update_message")
    return message


def _answer(call: Call, message: Message) -> Json:
    shown = message_object(message, call.installation)
    return {"channel": message.channel, "ts": message.ts, "message": shown}
