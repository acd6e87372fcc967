"""How Slack checks and stores views, whether they come with a method call or an acknowledgement."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any, Final, Literal

from bot.sandbox.fake_slack import limits
from bot.sandbox.fake_slack.calls import SlackError, invalid_arguments
from bot.sandbox.fake_slack.objects import complete_blocks

if TYPE_CHECKING:
    from bot.sandbox.fake_slack.installation import Installation
    from bot.sandbox.fake_slack.workspace import Json

#: Largest view, in bytes of JSON (docs.slack.dev, views.open, `view_too_large`).
VIEW_LIMIT: Final = 250_000

Kind = Literal["modal", "home"]


def check_view(given: Any, *, kind: Kind) -> Json:
    """Return the view that the app sent; `SlackError` if Slack would refuse it, or if its kind is wrong."""
    problems = limits.problems_of_view(given)
    if not problems and given["type"] != kind:
        problems = [f"[ERROR] must be a valid enum value ({kind}) [json-pointer:/view/type]"]
    if problems:
        raise invalid_arguments("invalid_arguments", problems)
    if len(json.dumps(given).encode()) > VIEW_LIMIT:
        raise SlackError("view_too_large")
    view: Json = given
    return view


def new_view_id() -> str:
    """Return a new, unique view id."""
    return f"V{secrets.token_hex(5).upper()}"


def make_view(installation: Installation, given: Json, *, view_id: str, below: Json | None = None) -> Json:
    """Return a checked view as Slack stores it and sends it in payloads; `below` is the view under it."""
    return {
        "private_metadata": "",
        "callback_id": "",
        "external_id": "",
        "title": None,
        "submit": None,
        "close": None,
        "clear_on_close": False,
        "notify_on_close": False,
        **given,
        "blocks": complete_blocks(given["blocks"]),
        "previous_view_id": below["id"] if below else None,
        "id": view_id,
        "root_view_id": below["root_view_id"] if below else view_id,
        "team_id": installation.workspace.team_id,
        "app_id": installation.app.id,
        "app_installed_team_id": installation.workspace.team_id,
        "bot_id": installation.app.bot_id,
        "state": {"values": {}},
        "hash": f"{installation.next_ts()}.{secrets.token_hex(4)}",
    }
