"""What the events of a trail are about."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class EventKind(StrEnum):
    """What an event of a trail tells. docs/reference.md says what each means."""

    ACCEPTED = "accepted"
    REOPENED = "reopened"
    WAITED = "waited"
    CLAIMED = "claimed"
    NOT_POSTED = "notPosted"
    ASKED = "asked"
    REMINDED = "reminded"
    NOT_REMINDED = "notReminded"
    ANSWERED = "answered"
    NOTED = "noted"
    TAKEN = "taken"
    ASKED_BACK = "askedBack"
    NOT_ASKED_BACK = "notAskedBack"
    REPLIED = "replied"
    HANDED_OVER = "handedOver"
    RELEASED = "released"
    ENDED = "ended"
    GIVEN_UP = "givenUp"
    REFUSED = "refused"
    PROVED = "proved"
    NOT_PROVED = "notProved"
    PROOF_IGNORED = "proofIgnored"
    SENT = "sent"
    PARKED = "parked"
    REPLAYED = "replayed"


#: What an event says besides its kind: our own words, Slack's ids, counts and hashes.
EventFacts = Mapping[str, str | int]
