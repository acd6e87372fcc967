"""The Slack part of the page's state: people, conversations, App Homes and modals, as JSON. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bot.sandbox.fake_slack.workspace import Conversation, Message, Person, Workspace

Json = dict[str, Any]

#: The page shows this many messages of a conversation; older ones stay in the workspace.
SHOWN: Final = 150


def slack_state(workspace: Workspace) -> Json:
    """Return everything in the workspace that somebody can see, in display order, as JSON."""
    analysts = {user for channel in _channels(workspace) for user in channel.members}
    return {
        "domain": workspace.domain,
        "bot": {"id": workspace.bot.id, "name": workspace.bot.real_name},
        "people": [_person(person, is_analyst=person.id in analysts) for person in workspace.people],
        "messages": [each for one in workspace.conversations if one.person for each in _messages(one)],
        "channels": [_channel(channel) for channel in _channels(workspace)],
        "homes": {user: _view(home) for user, home in workspace.homes.items()},
        "modals": dict(_modals(workspace)),
    }


def unreachable_because(person: Person) -> str | None:
    """Return in a word or two why the bot does not ask this person; None if it does."""
    reasons = {
        "deactivated": person.deleted,
        "a bot": person.is_bot,
        "guest": person.is_restricted or person.is_ultra_restricted,
        "other organisation": person.is_stranger,
        "unconfirmed address": not person.is_email_confirmed,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _channels(workspace: Workspace) -> list[Conversation]:
    return [one for one in workspace.conversations if one.person is None]


def _person(person: Person, *, is_analyst: bool) -> Json:
    note = unreachable_because(person)
    return {
        "id": person.id,
        # The note replaces the hint in brackets that some names have.
        "name": person.real_name.split(" (")[0],
        "email": person.email,
        "note": note,
        "reachable": note is None,
        "looks": not (person.deleted or person.is_bot),
        "analyst": is_analyst,
    }


def _channel(channel: Conversation) -> Json:
    return {
        "id": channel.id,
        "name": channel.name,
        "members": list(channel.members),
        "messages": _messages(channel),
    }


def _messages(conversation: Conversation) -> list[Json]:
    return [_message(message, conversation.person) for message in conversation.newest(SHOWN)]


def _message(message: Message, person: str | None) -> Json:
    return {
        "person": person,
        "channel": message.channel,
        "ts": message.ts,
        "text": message.text,
        "blocks": list(message.blocks),
        "edited": message.edited_ts is not None,
        "only_for": message.ephemeral_for,
        "thread": message.thread_ts,
        "broadcast": message.is_broadcast,
    }


def _modals(workspace: Workspace) -> Iterator[tuple[str, Json]]:
    """Yield each person who has a modal open, with the view that they see."""
    for person in workspace.people:
        view = workspace.modals.seen_by(person.id)
        if view is not None:
            yield person.id, _view(view)


def _view(view: Json) -> Json:
    words = {key: view[key]["text"] if view.get(key) else None for key in ("title", "submit", "close")}
    return {"id": view["id"], "hash": view.get("hash"), "blocks": view["blocks"], **words}
