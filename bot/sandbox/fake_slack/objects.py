"""People, messages and blocks in the shapes of Slack's API."""

from __future__ import annotations

import secrets
from datetime import UTC
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, tzinfo

    from bot.sandbox.fake_slack.installation import Installation
    from bot.sandbox.fake_slack.workspace import Json, Message, Person


def user_object(person: Person, installation: Installation, *, with_email: bool) -> Json:
    """Return the user object of users.info; a deactivated user has fewer fields, as in Slack."""
    team_id = person.team_id or installation.workspace.team_id
    user: Json = {
        "id": person.id,
        "team_id": team_id,
        "name": person.name,
        "deleted": person.deleted,
        "profile": _profile(person, team_id, with_email=with_email),
        "is_bot": person.is_bot,
        "is_app_user": False,
        "updated": 1_700_000_000,
    }
    if person.is_stranger:
        user["is_stranger"] = True
    if person.enterprise_teams:
        user["enterprise_user"] = {"id": f"W{person.id[1:]}", "teams": list(person.enterprise_teams)}
    return user if person.deleted else {**user, **_active_fields(person, installation.clock())}


def _active_fields(person: Person, at: datetime) -> Json:
    offset = at.astimezone(_zone(person.tz)).utcoffset()
    return {
        "color": "4bbe2e",
        "real_name": person.real_name,
        "tz": person.tz,
        "tz_label": person.tz,
        "tz_offset": 0 if offset is None else int(offset.total_seconds()),
        "is_admin": False,
        "is_owner": False,
        "is_primary_owner": False,
        "is_restricted": person.is_restricted,
        "is_ultra_restricted": person.is_ultra_restricted,
        "is_email_confirmed": person.is_email_confirmed,
        "who_can_share_contact_card": "EVERYONE",
    }


def _zone(name: str) -> tzinfo:
    """Return a time zone; UTC for a name that is none, which a test may give somebody."""
    try:
        return ZoneInfo(name)
    except (ValueError, ZoneInfoNotFoundError):
        return UTC


def _profile(person: Person, team_id: str, *, with_email: bool) -> Json:
    profile = {
        "real_name": person.real_name,
        "real_name_normalized": person.real_name,
        "display_name": person.name,
        "display_name_normalized": person.name,
        "team": team_id,
    }
    return {**profile, "email": person.email} if with_email and person.email else profile


def message_object(message: Message, installation: Installation, *, with_metadata: bool = False) -> Json:
    """Return the message object of conversations.history."""
    shown: Json = {
        "user": message.user,
        "type": "message",
        "ts": message.ts,
        "bot_id": installation.app.bot_id,
        "app_id": installation.app.id,
        "text": message.text,
        "team": installation.workspace.team_id,
    }
    if message.blocks:
        shown["blocks"] = list(message.blocks)
    shown |= _thread_fields(message, installation)
    if message.is_broadcast:
        shown["subtype"] = "thread_broadcast"
    if message.edited_ts is not None:
        shown["edited"] = {"user": message.user, "ts": message.edited_ts}
    if with_metadata and message.metadata:
        shown["metadata"] = message.metadata
    return shown


def _thread_fields(message: Message, installation: Installation) -> Json:
    """Return the thread fields: a reply names its first message, and that message names itself."""
    if message.thread_ts is not None:
        return {"thread_ts": message.thread_ts}
    conversation = installation.workspace.conversation(message.channel)
    replies = conversation.replies(message.ts) if conversation else ()
    if not replies:
        return {}
    return {"thread_ts": message.ts, "reply_count": len(replies), "latest_reply": replies[-1]}


def text_of_block(block: Json) -> str:
    """Return what a person reads in a heading, a paragraph, a quote or small print; "" of other blocks."""
    if "text" in block:
        return str(block["text"]["text"])
    if block["type"] == "context":
        return "".join(element.get("text", "") for element in block["elements"])
    if block["type"] != "rich_text":
        return ""
    parts = [part for paragraph in block["elements"] for part in paragraph["elements"]]
    return "".join(part.get("text") or part.get("fallback", "") for part in parts)


def complete_blocks(blocks: Sequence[Json]) -> list[Json]:
    """Return the blocks as Slack stores them: with defaults, and an id for each block and button."""
    return [_complete_block(block) for block in blocks]


def _complete_block(block: Json) -> Json:
    stored = {key: _add_defaults(value) for key, value in block.items()}
    stored.setdefault("block_id", secrets.token_urlsafe(4))
    for element in [*stored.get("elements", ()), stored.get("accessory", {})]:
        if element.get("type") == "button":
            element.setdefault("action_id", secrets.token_urlsafe(4))
    if stored["type"] == "input":
        stored["element"].setdefault("action_id", secrets.token_urlsafe(4))
    return stored


def _add_defaults(value: Any) -> Any:
    if isinstance(value, list):
        return [_add_defaults(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    stored = {key: _add_defaults(inner) for key, inner in value.items()}
    if stored.get("type") == "plain_text":
        stored.setdefault("emoji", True)
    elif stored.get("type") == "mrkdwn":
        stored.setdefault("verbatim", False)
    return stored
