"""The alerts of a run, and how each must end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

from bot.sandbox.fake_slack import Person, Workspace

from .orders import SECURITY_CHANNEL, subject_of

_BOT: Final = Person(id="U0TRIAGEBOT", name="triagebot", real_name="Triage bot", is_bot=True)
_LABELS: Final = ("sensitive_host_session", "duo_bypass_codes_used", "ssh_access_sign_releng", "brand_new")
_CONFIDENCES: Final = ("highest", "high", "moderate", "low", "lowest")
_SURE: Final = frozenset({"highest", "high"})

#: The alerts whose *yes* must be proved, where a run has a second factor.
FACTORED_LABEL: Final = "brand_new"

#: What every summary says.
SUMMARY_WORDS: Final = "a login from"

#: What some of the facts say.
HOST: Final = "db1 & <db2>"

#: How many of the members belong to the security team.
_TEAM: Final = 5


#: What some requests carry besides the five fields: a quarter of them facts, a quarter such as are left out.
_OPTIONAL: Final[Sequence[Mapping[str, object]]] = (
    {"occurredAt": "2026-11-24T03:00:00+00:00", "facts": [{"name": "Host", "value": HOST}]},
    {"occurredAt": "yesterday", "facts": [5, {"name": "Device", "value": "phone"}, {"name": "Host"}]},
    {},
    {},
)
_TOLD: Final = (f"Host: {HOST}", "Device: phone", "", "")


class Kind(StrEnum):
    """What is special about an alert."""

    ASKABLE = "askable"
    UNKNOWN = "unknown"  #: nobody has that address
    DEACTIVATED = "deactivated"
    INVALID = "invalid"  #: breaks the contract, but its identifier can be read
    UNREADABLE = "unreadable"  #: is no JSON


_MIX: Final = {Kind.ASKABLE: 94, Kind.UNKNOWN: 2, Kind.DEACTIVATED: 1, Kind.INVALID: 2, Kind.UNREADABLE: 1}


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One request. `person` is the Slack id of the person to be asked, empty if nobody may be."""

    identifier: str
    label: str
    body: str
    kind: Kind
    person: str
    choices: tuple[str, ...]  #: the buttons that the question must have
    facts: str = ""  #: what must be next to the summary
    address: str = ""  #: of the person who must be asked
    subject: str = ""  #: as whom the provider of a second factor knows them

    @property
    def key(self) -> str:
        """The first part of every ref of this alert."""
        return hashlib.sha256(self.identifier.encode()).hexdigest()[:32]


def make_workspace(people: int) -> Workspace:
    """Return a workspace: members who can be asked, one who has left, a security channel."""
    members = [
        Person(id=f"U0P{n:07}", name=f"p{n}", real_name=f"Person {n}", email=f"p{n}@example.com")
        for n in range(people)
    ]
    gone = Person(id="U0GONE00001", name="gone", real_name="Gone", email="gone@example.com", deleted=True)
    workspace = Workspace(team_id="T0TORTURE01", name="Torture", bot=_BOT, people=[*members, gone])
    team = [member.id for member in members[:_TEAM]]
    workspace.add_channel(SECURITY_CHANNEL, name="security", members=team)
    return workspace


def make_alerts(count: int, workspace: Workspace, random: Random) -> list[Alert]:
    """Return alerts of every kind, for people drawn by lot."""
    members = [person for person in workspace.people if not person.deleted]
    kinds = random.choices(list(_MIX), weights=list(_MIX.values()), k=count)
    return [_alert(f"alert-{n:06}", kind, members, random) for n, kind in enumerate(kinds)]


def _alert(identifier: str, kind: Kind, members: Sequence[Person], random: Random) -> Alert:
    person = random.choice(members)
    confidence = random.choice(_CONFIDENCES)
    label = random.choice(_LABELS)
    addresses = {
        Kind.UNKNOWN: f"{identifier}@nowhere.example.com",
        Kind.DEACTIVATED: "gone@example.com",
        Kind.INVALID: "N/A",
    }
    fields: dict[str, object] = {
        "identifier": identifier,
        "alert": label,
        "identityConfidence": confidence,
        "summary": f"{identifier}: {SUMMARY_WORDS} <somewhere> & elsewhere",
        "user": addresses.get(kind, person.email),
    }
    turn = int(identifier.rpartition("-")[2]) % len(_OPTIONAL)
    fields |= _OPTIONAL[turn]
    body = f"{{no JSON: {identifier}" if kind is Kind.UNREADABLE else json.dumps(fields)
    return Alert(
        identifier=identifier,
        label=label,
        body=body,
        kind=kind,
        person=person.id if kind is Kind.ASKABLE else "",
        facts=_TOLD[turn],
        address=person.email or "",
        subject=subject_of(person.email or ""),
        choices=("yes", "no", "notSure", *(() if confidence in _SURE else ("wrongUser",))),
    )
