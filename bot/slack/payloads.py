"""What Slack's payloads say, read with suspicion: whatever is not understood is None. Pure.

Their texts have come in through `received.storable`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bot.slack.render.question import ACTION_PREFIX
from bot.slack.render.windows import NOTE_BLOCK, NOTE_TEXT
from bot.triage.model import Answer, Choice, Note, Posted, Take

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.slack.identity import Identity

_UNREADABLE = (AttributeError, IndexError, KeyError, TypeError, ValueError)


def read_answer(body: Mapping[str, Any], identity: Identity, now: datetime) -> Answer | None:
    """Return the click of an answer button, in a message or in the person's own Home."""
    try:
        action = body["actions"][0]
        return Answer(
            ref=str(action["value"]),
            choice=Choice(action["action_id"].removeprefix(ACTION_PREFIX)),
            slack_id=str(body["user"]["id"]),
            ours=identity.is_home_of(body),
            posted=None if is_in_home(body) else _place(body),
            at=now,
            clicked_at=_clicked_at(action),
        )
    except _UNREADABLE:
        return None


def read_take(body: Mapping[str, Any], identity: Identity, now: datetime) -> Take | None:
    """Return the click with which somebody takes an alert."""
    try:
        user = body["user"]
        return Take(
            ref=str(body["actions"][0]["value"]),
            slack_id=str(user["id"]),
            slack_name=str(user.get("username") or user.get("name") or ""),
            ours=identity.is_home_of(body),
            posted=_place(body),
            at=now,
        )
    except _UNREADABLE:
        return None


def read_note(body: Mapping[str, Any], identity: Identity, now: datetime) -> Note | None:
    """Return what was written in the window for a note."""
    try:
        view = body["view"]
        return Note(
            ref=str(view["private_metadata"]),
            text=str(view["state"]["values"][NOTE_BLOCK][NOTE_TEXT]["value"] or ""),
            slack_id=str(body["user"]["id"]),
            ours=identity.is_home_of(body),
            at=now,
        )
    except _UNREADABLE:
        return None


def read_ref(body: Mapping[str, Any]) -> str:
    """Return the ref in a clicked button's value, or ""."""
    try:
        return str(body["actions"][0]["value"])
    except _UNREADABLE:
        return ""


def is_in_home(body: Mapping[str, Any]) -> bool:
    """Whether a click was made in somebody's Home: there is no message then, and nobody else can be there."""
    container = body.get("container")
    return isinstance(container, dict) and container.get("type") == "view"


def shape(event: str, body: Mapping[str, Any], **fields: object) -> dict[str, object]:
    """Return what may be logged of a payload: what it is, never what is in it; and these further fields."""
    actions = body.get("actions")
    first = actions[0] if isinstance(actions, list) and actions else {}
    action_id = first.get("action_id") if isinstance(first, dict) else None
    what = {"type": str(body.get("type")), "action_id": str(action_id)}
    return {"event": event, "fields": {**what, **fields}}


def _clicked_at(action: Mapping[str, Any]) -> datetime | None:
    """Return when Slack says that a button was clicked; None where it does not say so in seconds."""
    try:
        return datetime.fromtimestamp(float(action["action_ts"]), UTC)
    except (*_UNREADABLE, OverflowError, OSError):
        return None


def _place(body: Mapping[str, Any]) -> Posted:
    container = body["container"]
    channel, ts = container["channel_id"], container["message_ts"]
    if not channel or not ts:
        raise ValueError("no message was clicked")
    return Posted(channel=str(channel), ts=str(ts))
