"""The people of the sandbox: colleagues, one of each kind that is never asked, and the security team."""

from __future__ import annotations

from typing import Final

from bot.sandbox.fake_slack.workspace import Person, Workspace

_BOT = Person(id="U0TRIAGEBOT", name="triagebot", real_name="Triage bot", is_bot=True, tz="Etc/UTC")

_PEOPLE = (
    Person(id="U0ADALOVE01", name="ada", real_name="Ada Lovelace", email="ada@example.com"),
    Person(
        id="U0GRACEH002",
        name="grace",
        real_name="Grace Hopper",
        email="grace@example.com",
        tz="America/New_York",
    ),
    Person(
        id="U0KATHER003",
        name="katherine",
        real_name="Katherine Johnson",
        email="katherine@example.com",
        tz="America/New_York",
    ),
    Person(
        id="U0ALANTU004", name="alan", real_name="Alan Turing", email="alan@example.com", tz="Europe/Berlin"
    ),
    Person(
        id="U0CHARLE005",
        name="charles",
        real_name="Charles Babbage",
        email="charles@example.com",
        deleted=True,
    ),
    Person(
        id="U0DEPLOY006", name="deploybot", real_name="Deploy bot", email="deploybot@example.com", is_bot=True
    ),
    Person(
        id="U0HEDYLA007",
        name="hedy",
        real_name="Hedy Lamarr (guest)",
        email="hedy@guest.example.net",
        is_restricted=True,
    ),
    Person(
        id="U0STRANG008",
        name="mallory",
        real_name="Mallory (partner company)",
        email="mallory@partner.example.org",
        is_stranger=True,
        team_id="T0PARTNER01",
    ),
    Person(id="U0RADIAP009", name="radia", real_name="Radia Perlman", email="radia@example.com"),
    Person(id="U0DOROTH010", name="dorothy", real_name="Dorothy Denning", email="dorothy@example.com"),
)

#: The security team's channel and its members.
SECURITY_CHANNEL: Final = "C0SECURITY1"
_ANALYSTS: Final = ("U0RADIAP009", "U0DOROTH010")


def default_workspace() -> Workspace:
    """Return a new workspace: four members, one of each kind that is not asked, and two analysts."""
    workspace = Workspace(team_id="T0SANDBOX01", name="Sandbox", bot=_BOT, people=_PEOPLE)
    workspace.add_channel(SECURITY_CHANNEL, name="security", members=_ANALYSTS)
    return workspace
