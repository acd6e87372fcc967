"""Parses Slack's payloads, of which nothing is trusted: what cannot be read is returned as None. Pure.

Their texts have passed `input_cleaning.clean_json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bot.slack.identity import Identity
from bot.slack.input_cleaning import read_name, read_text
from bot.slack.render.marks import ACTION_PREFIX
from bot.slack.render.modals import NOTE_BLOCK, NOTE_TEXT
from bot.triage.model import Answer, Choice, MessageRef, Note, Take

_UNREADABLE = (AttributeError, IndexError, KeyError, TypeError, ValueError)

#: The most characters of a payload's type or action id that are logged.
_WORD_MAX = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Clicker:
    """The person who clicked, and how to reply to them privately. A field that the payload lacks is ""."""

    slack_id: str
    response_url: str = ""
    trigger_id: str = ""  #: opens a window
    in_home: bool = False  #: the click was made in their Home
    ref: str = ""  #: of what was clicked
    message_ref: MessageRef | None = None  #: the message with it; None: there is none


def read_clicker(body: Mapping[str, Any]) -> Clicker:
    """Return who clicked, as far as a payload says."""
    user = body.get("user")
    return Clicker(
        slack_id=read_text(user.get("id") if isinstance(user, dict) else None),
        response_url=read_text(body.get("response_url")),
        trigger_id=read_text(body.get("trigger_id")),
        in_home=is_in_home(body),
        ref=read_ref(body),
        message_ref=_find_message_ref(body),
    )


def read_answer(body: Mapping[str, Any], identity: Identity, now: datetime) -> Answer | None:
    """Return the click on an answer button, in a message or in the person's own Home."""
    try:
        action = body["actions"][0]
        return Answer(
            ref=_require_text(action["value"]),
            choice=Choice(action["action_id"].removeprefix(ACTION_PREFIX)),
            slack_id=_require_text(body["user"]["id"]),
            same_workspace=identity.is_home_of(body),
            message_ref=None if is_in_home(body) else _read_message_ref(body),
            at=now,
            clicked_at=_read_clicked_at(action),
        )
    except _UNREADABLE:
        return None


def read_take(body: Mapping[str, Any], identity: Identity, now: datetime) -> Take | None:
    """Return the click with which somebody takes an alert over."""
    try:
        user = body["user"]
        return Take(
            ref=_require_text(body["actions"][0]["value"]),
            slack_id=_require_text(user["id"]),
            slack_name=read_name(user.get("username")) or read_name(user.get("name")),
            same_workspace=identity.is_home_of(body),
            message_ref=_read_message_ref(body),
            at=now,
        )
    except _UNREADABLE:
        return None


def read_note(body: Mapping[str, Any], identity: Identity, now: datetime) -> Note | None:
    """Return what was written in the window for a note."""
    try:
        view = body["view"]
        return Note(
            ref=_require_text(view["private_metadata"]),
            text=read_text(view["state"]["values"][NOTE_BLOCK][NOTE_TEXT]["value"]),
            slack_id=_require_text(body["user"]["id"]),
            same_workspace=identity.is_home_of(body),
            at=now,
            view_id=read_text(view.get("id")),
        )
    except _UNREADABLE:
        return None


def read_ref(body: Mapping[str, Any]) -> str:
    """Return the ref of the clicked button or of the submitted window; "" if there is none."""
    try:
        if body.get("type") == "view_submission":
            return _require_text(body["view"]["private_metadata"])
        return _require_text(body["actions"][0]["value"])
    except _UNREADABLE:
        return ""


def is_in_home(body: Mapping[str, Any]) -> bool:
    """Whether a click was made in somebody's Home: there is no message then, and nobody else can see it."""
    container = body.get("container")
    return isinstance(container, dict) and container.get("type") == "view"


def describe_payload(body: Mapping[str, Any]) -> dict[str, str]:
    """Return what may be logged of a payload: its type and action id, never its content."""
    actions = body.get("actions")
    first = actions[0] if isinstance(actions, list) and actions else {}
    action_id = first.get("action_id") if isinstance(first, dict) else None
    return {"type": _word(body.get("type")), "action_id": _word(action_id)}


def _word(value: object) -> str:
    """Return a string, cut; of anything else only the name of its type."""
    return value[:_WORD_MAX] if isinstance(value, str) else type(value).__name__


def _require_text(value: object) -> str:
    """Return a text. `ValueError` if it is missing or empty."""
    text = read_text(value)
    if not text:
        raise ValueError("the payload has no text here")
    return text


def _read_clicked_at(action: Mapping[str, Any]) -> datetime | None:
    """Return when a button was clicked, by Slack's clock; None if the payload has no valid time."""
    try:
        return datetime.fromtimestamp(float(action["action_ts"]), UTC)
    except (*_UNREADABLE, OverflowError, OSError):
        return None


def _find_message_ref(body: Mapping[str, Any]) -> MessageRef | None:
    try:
        return _read_message_ref(body)
    except _UNREADABLE:
        return None


def _read_message_ref(body: Mapping[str, Any]) -> MessageRef:
    container = body["container"]
    return MessageRef(
        channel=_require_text(container["channel_id"]), ts=_require_text(container["message_ts"])
    )
