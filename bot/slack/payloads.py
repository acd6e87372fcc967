"""Parses Slack's payloads. Nothing in them is trusted: what cannot be read is returned as None. Pure.

Their texts have passed `input_cleaning.clean_json`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bot.slack.identity import Identity
from bot.slack.input_cleaning import read_name, read_text
from bot.slack.render.marks import ACTION_PREFIX
from bot.slack.render.modals import NOTE_BLOCK, NOTE_TEXT, RECEIVER, RECEIVER_BLOCK
from bot.triage.assignments import CardClick
from bot.triage.inquiry import Reply
from bot.triage.model import Answer, Choice, MessageRef, Note

#: The id of somebody in Slack.
_PERSON = re.compile("[UW][A-Z0-9]{2,30}")

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


def read_card_click(body: Mapping[str, Any], identity: Identity, now: datetime) -> CardClick | None:
    """Return the click on a button of a card."""
    try:
        action, place = body["actions"][0], _read_message_ref(body)
        elsewhere = "channel" in body and body["channel"]["id"] != place.channel
        return CardClick(
            card=_require_text(action["value"]),
            channel="" if elsewhere else place.channel,
            ts=place.ts,
            key=read_name(action.get("action_ts")),
            is_carried=_carries(body.get("message"), action["value"]),
            **_read_responder(body, identity),
            at=now,
        )
    except _UNREADABLE:
        return None


def read_card_window(body: Mapping[str, Any], identity: Identity, now: datetime) -> CardClick | None:
    """Return what was sent in a window that a card opened, as a click on that card."""
    try:
        view = body["view"]
        card, channel, ts = _require_text(view["private_metadata"]).split(" ")
        return CardClick(
            card=card,
            channel=channel,
            ts=ts,
            key=read_name(view.get("id")),
            **_read_responder(body, identity),
            at=now,
        )
    except _UNREADABLE:
        return None


def read_receiver(body: Mapping[str, Any]) -> str:
    """Return the Slack id of the person chosen in the window for a hand-over; "" if nobody was chosen."""
    try:
        chosen = body["view"]["state"]["values"][RECEIVER_BLOCK][RECEIVER]["selected_user"]
        return chosen if _PERSON.fullmatch(chosen) else ""
    except _UNREADABLE:
        return ""


def _carries(message: Any, value: str) -> bool:
    """Whether a message, which is Slack's own copy, has a button with this value."""
    try:
        return value in [
            each.get("value") for block in message["blocks"] for each in block.get("elements", ())
        ]
    except _UNREADABLE:
        return False


def _read_responder(body: Mapping[str, Any], identity: Identity) -> dict[str, Any]:
    user = body["user"]
    name = read_name(user.get("username")) or read_name(user.get("name"))
    return {**_read_clicker(body, identity), "slack_name": name}


def _read_clicker(body: Mapping[str, Any], identity: Identity) -> dict[str, Any]:
    return {
        "slack_id": _require_text(body["user"]["id"]),
        "same_workspace": identity.is_home_of_clicker(body),
    }


def read_note(body: Mapping[str, Any], identity: Identity, now: datetime) -> Note | None:
    """Return what was written in the window for a note."""
    try:
        view = body["view"]
        return Note(
            ref=_require_text(view["private_metadata"]),
            text=_read_said(view),
            slack_id=_require_text(body["user"]["id"]),
            same_workspace=identity.is_home_of(body),
            at=now,
            view_id=read_text(view.get("id")),
        )
    except _UNREADABLE:
        return None


def read_said(body: Mapping[str, Any]) -> str:
    """Return the text that was written in a window; "" if there is none."""
    try:
        return _read_said(body["view"])
    except _UNREADABLE:
        return ""


def read_reply_click(body: Mapping[str, Any], identity: Identity, now: datetime) -> Reply | None:
    """Return the click with which somebody wants to reply, without a text yet."""
    try:
        return Reply(
            ref=_require_text(body["actions"][0]["value"]),
            text="",
            view_id="",
            **_read_clicker(body, identity),
            at=now,
        )
    except _UNREADABLE:
        return None


def read_reply(body: Mapping[str, Any], identity: Identity, now: datetime) -> Reply | None:
    """Return what was written in the window for a reply."""
    try:
        view = body["view"]
        return Reply(
            ref=_require_text(view["private_metadata"]),
            text=_read_said(view),
            view_id=_require_text(view["id"]),
            **_read_clicker(body, identity),
            at=now,
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


def _read_said(view: Mapping[str, Any]) -> str:
    return read_text(view["state"]["values"][NOTE_BLOCK][NOTE_TEXT]["value"])


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
