"""The kinds of events of a trail."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class EventKind(StrEnum):
    """The kind of an event. docs/reference.md explains each."""

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


#: What an event says besides its kind: the bot's own words, Slack's ids, counts and hashes.
EventFacts = Mapping[str, str | int]
