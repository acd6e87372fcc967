"""The methods auth.test, apps.connections.open and users.*."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bot.sandbox.fake_slack.calls import SlackError
from bot.sandbox.fake_slack.objects import user_object

if TYPE_CHECKING:
    from bot.sandbox.fake_slack.calls import Call
    from bot.sandbox.fake_slack.workspace import Json, Person

#: The organisation, where the app is installed for one.
ENTERPRISE: Final = "E0SANDBOX01"


def show_identity(call: Call) -> Json:
    """Return the identity that the token belongs to."""
    workspace = call.installation.workspace
    org_wide = call.installation.quirks.org_wide
    enterprise: Json = {"enterprise_id": ENTERPRISE} if org_wide else {}
    return {
        "url": f"https://{workspace.domain}.slack.com/",
        "team": workspace.name,
        "user": workspace.bot.name,
        "team_id": {"": workspace.team_id, "unnamed": None, "named": ENTERPRISE}[org_wide],
        "user_id": workspace.bot.id,
        "bot_id": call.installation.app.bot_id,
        "is_enterprise_install": bool(org_wide),
        **enterprise,
    }


def open_connection(call: Call) -> Json:
    """Return the URL of a websocket, which can be opened once."""
    installation = call.installation
    ticket = installation.new_ticket()
    return {"url": f"ws://{installation.address}/link/?ticket={ticket}&app_id={installation.app.id}"}


def look_up_by_email(call: Call) -> Json:
    """Find an active person by e-mail address. `SlackError` users_not_found, also for deactivated ones."""
    person = call.installation.workspace.person_of_email(call.required("email"))
    if person is None or person.deleted:
        raise SlackError("users_not_found")
    return {"user": _show_person(person, call)}


def show_user(call: Call) -> Json:
    """Return a person by id, including deactivated ones. `SlackError` user_not_found."""
    person = call.installation.workspace.person(call.required("user"))
    if person is None:
        raise SlackError("user_not_found")
    return {"user": _show_person(person, call)}


def _show_person(person: Person, call: Call) -> Json:
    with_email = "users:read.email" in call.installation.app.scopes
    return user_object(person, call.installation, with_email=with_email)
