"""The nouns of a second factor: what its provider says about a push, and what somebody was last asked."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

#: The letters of a code: without 0 and 1, which look like O and I.
CODE_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ23456789"


class Verdict(StrEnum):
    """What the provider says about a push. Only `PENDING` may be followed by another."""

    PENDING = "pending"
    APPROVED = "approved"  #: by the very person who was asked
    OTHER_PERSON = "other_person"  #: somebody else approved
    REFUSED = "refused"
    FRAUD = "fraud"  #: refused, and reported as not theirs
    TIMED_OUT = "timed_out"
    NO_DEVICE = "no_device"  #: there is nobody to ask
    LOST = "lost"  #: the provider does not know it, or has told its result already
    UNAVAILABLE = (
        "unavailable"  #: the provider does not say who approved, or gives a code that we do not know
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Push:
    """A request for a proof that the provider has accepted."""

    id: str = field(repr=False)  #: the provider's; with it anybody could poll
    lasts: timedelta  #: from now on; afterwards nobody can approve it
    interval: timedelta  #: between two polls, at least


@dataclass(frozen=True, kw_only=True, slots=True)
class Polled:
    """The answer to one poll."""

    verdict: Verdict
    detail: str = ""  #: for the log: a clause without an address
    who: str = ""  #: who approved, as the provider says; not for the log
    slower: timedelta = timedelta(0)  #: how much slower all further polls must be


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """The proof of a *yes*, as it is reported."""

    method: str  #: a word of ours
    provider: str  #: the name that people see
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """What somebody was last asked to prove, and what limits the next: one for each subject.

    It waits to be sent, is out, or is over: so nobody has two at a time.
    """

    subject: str  #: as the provider knows the person
    version: int = 0  #: increased by every save; saving an older version fails
    ref: str = ""  #: of the question
    code: str = ""  #: which the device shows
    started_at: datetime  #: when the person clicked
    due_at: datetime | None = None  #: when work on it is due; None: it is over
    sent_at: datetime | None = None  #: set before the push is sent, cleared if it definitely was not
    push_id: str = field(default="", repr=False)  #: the provider's; "": there is none, or it is lost
    interval: timedelta = timedelta(0)  #: between two polls
    dead_at: datetime | None = None  #: when the last push can no longer be approved
    pushes: tuple[datetime, ...] = ()  #: when the last ones were reserved
    refused_at: datetime | None = None  #: when the person last refused one

    @property
    def key(self) -> str:
        """The key under which it is stored: see `attempt_key`."""
        return attempt_key(self.subject)


def draw_code() -> str:
    """Return a new code of six characters, which message and device show: so a person can compare them."""
    return "".join(secrets.choice(CODE_LETTERS) for _ in range(6))


def attempt_key(subject: str) -> str:
    """Return the key of a subject's attempt: 32 hex digits. ASCII case makes no difference."""
    return hashlib.sha256(subject.encode().lower()).hexdigest()[:32]
