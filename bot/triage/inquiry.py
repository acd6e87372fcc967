"""The noun of asking back: a question that the security team has for the person, next to the alert's own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Delivery(StrEnum):
    """How far an inquiry got: forward only, but for one that was definitely not posted."""

    WAITING = "waiting"
    CLAIMED = "claimed"  #: it is in doubt until the result of its post is known
    ASKED = "asked"
    FAILED = "failed"  #: it cannot be asked


@dataclass(frozen=True, kw_only=True, slots=True)
class Inquiry:
    """A question that somebody on the security team asks the person about an alert: a message of its own."""

    identifier: str  #: of the alert
    number: int  #: from 1 on
    ref: str  #: what its button carries: the first part of the alert's ref, a dot, and a secret of its own
    version: int = 1  #: increased by every save; saving an older version fails
    text: str
    slack_id: str  #: of who asks
    slack_name: str
    window: str  #: identifies it if Slack delivers it again: see `window_key`
    sequence: int  #: of the note to MozDef that tells of it
    accepted_at: datetime
    delivery: Delivery = Delivery.WAITING
    due_at: datetime | None  #: when work on it is due; None: there is none
    attempts: int = 0  #: failures since the last success; determines the back-off
    claimed_at: datetime | None = None  #: the first claim; look-ups search from then on
    in_doubt_since: datetime | None = None  #: set by a claim, cleared by a definite result
    channel: str = ""
    ts: str = ""
    asked_at: datetime | None = None
    reason: str = ""  #: why it failed; see `outcomes.Reason`
    replies: tuple[str, ...] = ()  #: the windows of its replies, which are reports

    @property
    def key(self) -> str:
        """The first part of the alert's ref."""
        return self.ref.partition(".")[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class Inquired:
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
    """Return a text's key, by which a redelivery is recognised: a digest of its window and of the text."""
    return hashlib.sha256(f"{view_id}\n{text}".encode()).hexdigest()[:16]
