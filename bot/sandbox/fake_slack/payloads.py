"""The payloads that Slack sends for a button press, a submitted or closed modal, and an event."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NotRequired, TypedDict

from bot.sandbox.fake_slack.objects import message_object
from bot.sandbox.fake_slack.timestamps import microseconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bot.sandbox.fake_slack.installation import Installation
    from bot.sandbox.fake_slack.workspace import Json, Message


class PressFields(TypedDict):
    """The keyword arguments of `Press`."""

    user: str
    action_id: str
    channel: NotRequired[str]
    ts: NotRequired[str]
    block_id: NotRequired[str]
    value: NotRequired[str | None]
    team: NotRequired[str | None]
    via: NotRequired[Literal["message", "home"]]


@dataclass(frozen=True, kw_only=True)
class Press:
    """A press of a button by `user`, on the message `ts` of `channel` or in the person's App Home.

    `block_id` distinguishes buttons with the same `action_id`; if empty, the first one is pressed. `value`
    and `team` override those of the button and the person, as a forger would.
    """

    user: str
    action_id: str
    channel: str = ""
    ts: str = ""
    block_id: str = ""
    value: str | None = None
    team: str | None = None
    via: Literal["message", "home"] = "message"


def block_actions(installation: Installation, press: Press) -> Json:
    """Return the payload of a press; `LookupError` if the person, message or view does not exist."""
    user = _user(installation, press.user, press.team)
    place = _on_message(installation, press) if press.via == "message" else _in_home(installation, press)
    blocks = place.pop("blocks")
    return {
        "type": "block_actions",
        "user": user,
        **_surroundings(installation, press.team),
        "trigger_id": installation.new_trigger(press.user),
        **place,
        "actions": [_action(blocks, press, installation.next_ts())],
    }


def view_submission(installation: Installation, user: str, *, view: Json, values: Json) -> Json:
    """Return the payload of a submitted modal; `values` maps block to action to value.

    `LookupError` if the person does not exist.
    """
    return {
        "type": "view_submission",
        "user": _user(installation, user),
        **_surroundings(installation),
        "trigger_id": installation.new_trigger(user),
        "view": {**view, "state": {"values": values}},
        "response_urls": [],
    }


def view_closed(installation: Installation, user: str, *, view: Json) -> Json:
    """Return the payload of a modal closed without submitting; it has no trigger_id.

    `LookupError` if the person does not exist.
    """
    return {
        "type": "view_closed",
        "user": _user(installation, user),
        **_surroundings(installation),
        "view": view,
        "is_cleared": bool(view.get("clear_on_close")),
    }


def app_home_opened(installation: Installation, user: str, *, tab: str) -> Json:
    """Return the event of a person who opens a tab of the app, with the view that they see there."""
    workspace = installation.workspace
    event: Json = {
        "type": "app_home_opened",
        "user": user,
        "channel": workspace.direct_message(user).id,
        "tab": tab,
        "event_ts": installation.next_ts(),
    }
    view = workspace.homes.get(user) if tab == "home" else None
    return {**event, "view": view} if view else event


def event_callback(installation: Installation, event: Json) -> Json:
    """Return the payload of an event; its event_id stays the same when it is sent again."""
    workspace = installation.workspace
    return {
        "token": installation.app.verification,
        "team_id": workspace.team_id,
        "context_team_id": workspace.team_id,
        "context_enterprise_id": None,
        "api_app_id": installation.app.id,
        "event": event,
        "type": "event_callback",
        "event_id": f"Ev{secrets.token_hex(5).upper()}",
        "event_time": microseconds(installation.next_ts()) // 1_000_000,
        "authorizations": [
            {
                "enterprise_id": None,
                "team_id": workspace.team_id,
                "user_id": workspace.bot.id,
                "is_bot": True,
                "is_enterprise_install": False,
            }
        ],
        "is_ext_shared_channel": False,
        "event_context": f"4-{secrets.token_hex(12)}",
    }


def _user(installation: Installation, user: str, team: str | None = None) -> Json:
    person = installation.workspace.person(user)
    if person is None:
        raise LookupError(f"there is no user {user}")
    team_id = team or person.team_id or installation.workspace.team_id
    return {"id": person.id, "username": person.name, "name": person.name, "team_id": team_id}


def _surroundings(installation: Installation, team: str | None = None) -> Json:
    workspace = installation.workspace
    return {
        "api_app_id": installation.app.id,
        "token": installation.app.verification,
        "team": {"id": team or workspace.team_id, "domain": workspace.domain},
        "enterprise": None,
        "is_enterprise_install": False,
    }


def _on_message(installation: Installation, press: Press) -> Json:
    message = installation.workspace.message(press.channel, press.ts)
    if message is None:
        raise LookupError(f"there is no message {press.ts} in {press.channel}")
    is_ephemeral = message.ephemeral_for is not None
    thread = {"thread_ts": message.thread_ts} if message.thread_ts else {}
    place: Json = {
        "container": {
            "type": "message",
            "message_ts": message.ts,
            "channel_id": message.channel,
            "is_ephemeral": is_ephemeral,
            **thread,
        },
        "channel": {"id": message.channel, "name": _channel_name(installation, message)},
        "state": {"values": {}},
        "blocks": message.blocks,
    }
    if installation.quirks.gives_response_urls:
        place["response_url"] = installation.new_response_url(press.user, message)
    # Slack does not keep ephemeral messages, so it cannot show the app what was pressed on.
    return place if is_ephemeral else {**place, "message": message_object(message, installation)}


def _channel_name(installation: Installation, message: Message) -> str:
    conversation = installation.workspace.conversation(message.channel)
    return (conversation.name if conversation is not None else None) or "directmessage"


def _in_home(installation: Installation, press: Press) -> Json:
    view = installation.workspace.homes.get(press.user)
    if view is None:
        raise LookupError(f"{press.user} has no App Home yet")
    container = {"type": "view", "view_id": view["id"]}
    return {"container": container, "view": view, "blocks": view["blocks"]}


def _action(blocks: Sequence[Json], press: Press, action_ts: str) -> Json:
    """Return the pressed button in Slack's form; one that does not exist is made up, for forgeries."""
    made_up = {"text": {"type": "plain_text", "text": press.action_id, "emoji": True}, "block_id": "none"}
    button = next((each for each in _buttons(blocks) if _is_pressed(each, press)), made_up)
    action: Json = {
        "action_id": press.action_id,
        "block_id": button["block_id"],
        "text": button["text"],
        "value": button.get("value") if press.value is None else press.value,
        "style": button.get("style"),
        "type": "button",
        "action_ts": action_ts,
    }
    return {key: value for key, value in action.items() if value is not None}


def _is_pressed(button: Json, press: Press) -> bool:
    return button["action_id"] == press.action_id and press.block_id in ("", button["block_id"])


def _buttons(blocks: Sequence[Json]) -> Iterator[dict[str, Any]]:
    for block in blocks:
        for element in [*block.get("elements", ()), block.get("accessory") or {}]:
            if element.get("type") == "button":
                yield {"action_id": "", **element, "block_id": block["block_id"]}
