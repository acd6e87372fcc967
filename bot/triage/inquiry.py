"""Nouns of follow-up questions: an inquiry of the security team about an alert, and the person's reply."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Delivery(StrEnum):
    """How far an inquiry got. It only moves forward, unless it was definitely not posted."""

    WAITING = "waiting"
    CLAIMED = "claimed"  #: in doubt until the result of its post is known
    ASKED = "asked"
    FAILED = "failed"  #: it cannot be put to the person


@dataclass(frozen=True, kw_only=True, slots=True)
class Inquiry:
    """A question that somebody on the security team asks the person about an alert: a message of its own."""

    identifier: str  #: of the alert
    number: int  #: from 1
    ref: str  #: the value of its button: the first part of the alert's ref, a dot, and a secret
    version: int = 1  #: increased by every save; saving an older version fails
    text: str
    slack_id: str  #: of who asks
    slack_name: str
    window: str  #: recognises the submission if Slack delivers it again: see `window_key`
    sequence: int  #: of the note that tells MozDef of it
    accepted_at: datetime
    delivery: Delivery = Delivery.WAITING
    due_at: datetime | None  #: when work on it is due; None: nothing is left to do
    attempts: int = 0  #: failures since the last success; determines the back-off
    claimed_at: datetime | None = None  #: the first claim; look-ups search from then on
    in_doubt_since: datetime | None = None  #: set by a claim, cleared by a definite result
    channel: str = ""
    ts: str = ""
    asked_at: datetime | None = None
    reason: str = ""  #: why it failed; see `outcomes.Reason`
    replies: tuple[str, ...] = ()  #: the `window_key` of each reply; the replies themselves are reports

    @property
    def key(self) -> str:
        """The first part of the alert's ref."""
        return self.ref.partition(".")[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class InquiryNote:
    """What the note to MozDef says about an inquiry."""

    text: str
    slack_id: str  #: of who asks
    slack_name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What a person wrote in the window of an inquiry."""

    ref: str  #: the inquiry's
    text: str
    slack_id: str
    same_workspace: bool
    at: datetime
    view_id: str  #: of the window


def window_key(view_id: str, text: str) -> str:
    """Return the key that recognises a redelivered submission: a digest of window and text, 16 hex digits."""
    return hashlib.sha256(f"{view_id}\n{text}".encode()).hexdigest()[:16]
