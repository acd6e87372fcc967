"""The alerts of a run: one person each, numbered, so that every part of the bench knows which is which."""

from __future__ import annotations

import json
from typing import Any, Final

TEAM: Final = "T0BENCH0001"

_SUMMARY: Final = (
    "An SSH session to the sensitive host bastion{n}.example.com was opened with the account p{n}"
    " from 198.51.100.{last}, an address that this account has not used in the last 90 days."
)


def identifier(number: int) -> str:
    return f"bench-{number:010}"


def number_in(identifier_or_id: str) -> int:
    """Return the number of an alert by its identifier, or by any id of its person's."""
    return int(identifier_or_id[-8:])


def address(number: int) -> str:
    return f"p{number:08}@example.com"


def number_of(email: str) -> int:
    return int(email[1:9])


def slack_id(number: int) -> str:
    return f"U0P{number:08}"


def channel_id(number: int) -> str:
    return f"D0P{number:08}"


#: The kind of alert that the bench sends, and the one whose *yes* may need a proof.
LABEL: Final = "sensitive_host_session"
PROVED_LABEL: Final = "proved"


def request_body(number: int, label: str = LABEL) -> str:
    """Return the request, as MozDef sends it."""
    request = {
        "identifier": identifier(number),
        "alert": label,
        "summary": _SUMMARY.format(n=number, last=number % 250),
        "user": address(number),
        "identityConfidence": "lowest",
    }
    return json.dumps(request)


_NO: Final = (
    *("deleted", "is_admin", "is_owner", "is_primary_owner", "is_restricted", "is_ultra_restricted"),
    *("is_bot", "is_app_user"),
)


def user_object(number: int) -> dict[str, Any]:
    """Return the person as users.lookupByEmail shows an active member."""
    name = f"p{number:08}"
    return {
        "id": slack_id(number),
        "team_id": TEAM,
        "name": name,
        "color": "4bbe2e",
        "real_name": f"Person {number}",
        "tz": "Europe/Amsterdam",
        "tz_label": "Central European Time",
        "tz_offset": 3600,
        "profile": _profile(number, name),
        **dict.fromkeys(_NO, False),
        "updated": 1_700_000_000,
        "is_email_confirmed": True,
        "who_can_share_contact_card": "EVERYONE",
    }


def _profile(number: int, name: str) -> dict[str, Any]:
    images = {f"image_{size}": f"https://avatars.example.com/{name}_{size}.png" for size in (24, 48, 72, 192)}
    return {
        "title": "Engineer",
        **dict.fromkeys(("real_name", "real_name_normalized"), f"Person {number}"),
        **dict.fromkeys(("display_name", "display_name_normalized"), name),
        **dict.fromkeys(("phone", "status_text", "status_emoji"), ""),
        "status_expiration": 0,
        "avatar_hash": "ge3b51ca72de",
        "email": address(number),
        "first_name": "Person",
        "last_name": str(number),
        "team": TEAM,
        **images,
    }
