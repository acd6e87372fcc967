"""The methods views.open, .push, .update and .publish: modals and the App Home."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.sandbox.fake_slack.calls import SlackError
from bot.sandbox.fake_slack.modals import StackFullError
from bot.sandbox.fake_slack.views import check_view, make_view, new_view_id

if TYPE_CHECKING:
    from bot.sandbox.fake_slack.calls import Call
    from bot.sandbox.fake_slack.views import Kind
    from bot.sandbox.fake_slack.workspace import Json


def open_view(call: Call) -> Json:
    """Show a modal to the person whose click the trigger_id belongs to.

    `SlackError` as Slack would return it, e.g. expired_trigger_id after 3 s, invalid_arguments.
    """
    given = _read_view(call, kind="modal")
    _check_external_id(call, given)
    user = _redeem_trigger(call)
    view = make_view(call.installation, given, view_id=new_view_id())
    call.installation.workspace.show_modal(user, view)
    return {"view": view}


def push_view(call: Call) -> Json:
    """Push a modal on top of the one that the trigger's person sees. `SlackError` as in `open_view`."""
    given = _read_view(call, kind="modal")
    _check_external_id(call, given)
    user = _redeem_trigger(call)
    modals = call.installation.workspace.modals
    below = modals.seen_by(user)
    if below is None:
        raise SlackError("not_found")
    view = make_view(call.installation, given, view_id=new_view_id(), below=below)
    try:
        modals.push(user, view)
    except StackFullError as error:
        raise SlackError("push_limit_reached") from error
    return {"view": view}


def update_view(call: Call) -> Json:
    """Replace an open modal, found by external_id or view_id. `SlackError` not_found or hash_conflict."""
    given = _read_view(call, kind="modal")
    modal = _find_modal(call)
    _check_external_id(call, given, own_id=modal["id"])
    _check_hash(call, modal)
    view = make_view(call.installation, given, view_id=modal["id"])
    view |= {key: modal[key] for key in ("root_view_id", "previous_view_id")}
    call.installation.workspace.modals.replace(view)
    return {"view": view}


def publish_view(call: Call) -> Json:
    """Show a view in a person's App Home. `SlackError` user_not_found or hash_conflict."""
    user = call.required("user_id")
    if call.installation.workspace.person(user) is None:
        raise SlackError("user_not_found")
    given = _read_view(call, kind="home")
    if len(given["blocks"]) > call.installation.quirks.home_blocks:
        raise SlackError("invalid_arguments")
    shown = call.installation.workspace.homes.get(user)
    if shown is not None:
        _check_hash(call, shown)
    view = make_view(call.installation, given, view_id=shown["id"] if shown else new_view_id())
    call.installation.workspace.publish_home(user, view)
    return {"view": view}


def _read_view(call: Call, *, kind: Kind) -> Json:
    return check_view(call.structure("view", otherwise="invalid_arguments"), kind=kind)


def _redeem_trigger(call: Call) -> str:
    """Return the person of the trigger_id, which is valid once and for three seconds."""
    trigger = call.installation.triggers.get(call.required("trigger_id"))
    if trigger is None:
        raise SlackError("invalid_trigger_id")
    if trigger.is_used:
        raise SlackError("exchanged_trigger_id")
    if call.installation.clock() > trigger.expires_at:
        raise SlackError("expired_trigger_id")
    trigger.is_used = True
    return trigger.user


def _find_modal(call: Call) -> Json:
    modals = call.installation.workspace.modals
    found = modals.of_external_id(call.text("external_id") or "")
    if found is not None:
        return found
    try:
        return modals.view(call.text("view_id") or "")
    except LookupError as error:
        raise SlackError("not_found") from error


def _check_external_id(call: Call, given: Json, *, own_id: str = "") -> None:
    """Refuse an external_id that another open view already has."""
    taken = call.installation.workspace.modals.of_external_id(given.get("external_id", ""))
    if taken is not None and taken["id"] != own_id:
        raise SlackError("duplicate_external_id")


def _check_hash(call: Call, view: Json) -> None:
    wanted = call.text("hash")
    if wanted and wanted != view["hash"]:
        raise SlackError("hash_conflict")
