"""The methods views.open, .update and .publish: modals and the App Home."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from bot.sandbox.slack import limits
from bot.sandbox.slack.calls import SlackError, refused_arguments
from bot.sandbox.slack.objects import completed_blocks

if TYPE_CHECKING:
    from bot.sandbox.slack.calls import Call
    from bot.sandbox.slack.workspace import Json


def open_view(call: Call) -> Json:
    """Show a modal to whoever's click the trigger belongs to."""
    view = _stored_view(call, kind="modal", view_id=f"V{secrets.token_hex(5).upper()}")
    user = _redeem_trigger(call)
    call.installation.workspace.show_modal(user, {**view, "shown_to": user})
    return {"view": view}


def update_view(call: Call) -> Json:
    """Replace a modal that is open."""
    modal = _modal(call)
    _check_hash(call, modal)
    view = _stored_view(call, kind="modal", view_id=modal["id"])
    call.installation.workspace.show_modal(modal["shown_to"], {**view, "shown_to": modal["shown_to"]})
    return {"view": view}


def publish_view(call: Call) -> Json:
    """Show a view in a person's App Home."""
    user = call.required("user_id")
    if call.installation.workspace.person(user) is None:
        raise SlackError("user_not_found")
    shown = call.installation.workspace.homes.get(user)
    if shown is not None:
        _check_hash(call, shown)
    view_id = shown["id"] if shown is not None else f"V{secrets.token_hex(5).upper()}"
    view = _stored_view(call, kind="home", view_id=view_id)
    call.installation.workspace.publish_home(user, view)
    return {"view": view}


def _stored_view(call: Call, *, kind: str, view_id: str) -> Json:
    """Return the view as Slack keeps it and shows it in payloads."""
    given = call.structure("view", otherwise="invalid_arguments")
    problems = limits.problems_of_view(given)
    if not problems and given["type"] != kind:
        problems = [f"[ERROR] must be a valid enum value ({kind}) [json-pointer:/view/type]"]
    if problems:
        raise refused_arguments("invalid_arguments", problems)
    installation = call.installation
    return {
        "private_metadata": "",
        "callback_id": "",
        "external_id": "",
        "previous_view_id": None,
        **given,
        "blocks": completed_blocks(given["blocks"]),
        "id": view_id,
        "root_view_id": view_id,
        "team_id": installation.workspace.team_id,
        "app_id": installation.app.id,
        "app_installed_team_id": installation.workspace.team_id,
        "bot_id": installation.app.bot_id,
        "state": {"values": {}},
        "hash": f"{installation.next_ts()}.{secrets.token_hex(4)}",
    }


def _redeem_trigger(call: Call) -> str:
    """Return the person of the trigger_id, which serves once and for three seconds."""
    trigger = call.installation.triggers.get(call.required("trigger_id"))
    if trigger is None:
        raise SlackError("invalid_trigger_id")
    if trigger.is_used:
        raise SlackError("exchanged_trigger_id")
    if call.installation.clock() > trigger.expires_at:
        raise SlackError("expired_trigger_id")
    trigger.is_used = True
    return trigger.user


def _modal(call: Call) -> dict[str, Any]:
    modals = call.installation.workspace.modals
    external_id = call.text("external_id")
    for view in modals.values():
        if view["id"] == call.text("view_id") or (external_id and view["external_id"] == external_id):
            return view
    raise SlackError("not_found")


def _check_hash(call: Call, view: Json) -> None:
    wanted = call.text("hash")
    if wanted and wanted != view["hash"]:
        raise SlackError("hash_conflict")
