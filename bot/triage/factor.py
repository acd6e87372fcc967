"""Nouns of the second factor: a push, what its provider says about it, and an attempt to prove a *yes*."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

#: The characters of a code: without 0 and 1, which look like O and I.
CODE_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ23456789"


class Verdict(StrEnum):
    """What the provider says about a push. Only after `PENDING` may another verdict follow."""

    PENDING = "pending"
    APPROVED = "approved"  #: by the person who was asked
    OTHER_PERSON = "other_person"  #: somebody else approved
    REFUSED = "refused"
    FRAUD = "fraud"  #: the person refused, and reported a fraud
    TIMED_OUT = "timed_out"
    NO_DEVICE = "no_device"  #: the provider knows no device of the person
    LOST = "lost"  #: the provider does not know the push, or has already given its result
    UNAVAILABLE = "unavailable"  #: it is not certain who approved, or the provider's code is unknown


@dataclass(frozen=True, kw_only=True, slots=True)
class Push:
    """A push: a request for a proof that the provider has accepted."""

    id: str = field(repr=False)  #: the provider's; a secret
    lifetime: timedelta  #: from now on; afterwards nobody can approve it
    interval: timedelta  #: the shortest time between two polls


@dataclass(frozen=True, kw_only=True, slots=True)
class PollResult:
    """What one poll found out."""

    verdict: Verdict
    detail: str = ""  #: for the log: a clause without an address
    who: str = ""  #: who approved, as the provider says; not for the log
    slower: timedelta = timedelta(0)  #: how much longer the interval must be from now on


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """The proof of a *yes*, as it is reported."""

    method: str  #: such as "ciba"
    provider: str  #: its name, as people see it
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """The last attempt of a subject to prove a *yes*, and what limits the next one.

    Its push waits to be sent, is out, or is over. There is one row per subject, so nobody has two at a time.
    """

    subject: str  #: as the provider knows the person
    version: int = 0  #: increased by every save; saving an older version fails
    ref: str = ""  #: of the question
    code: str = ""  #: shown by the message and on the device
    started_at: datetime  #: when the person clicked
    due_at: datetime | None = None  #: when work on it is due; None: the attempt is over
    sent_at: datetime | None = None  #: set before the push is sent, cleared if it definitely was not sent
    push_id: str = field(default="", repr=False)  #: the provider's; "": there is none yet, or it is lost
    interval: timedelta = timedelta(0)  #: the time between two polls
    dead_at: datetime | None = None  #: when the last push can no longer be approved
    pushes: tuple[datetime, ...] = ()  #: when the pushes of the last hour were reserved
    refused_at: datetime | None = None  #: when the person last refused a push

    @property
    def key(self) -> str:
        """The key of its row: see `attempt_key`."""
        return attempt_key(self.subject)


def draw_code() -> str:
    """Return a new code of six characters, which the person compares between message and device."""
    return "".join(secrets.choice(CODE_LETTERS) for _ in range(6))


def attempt_key(subject: str) -> str:
    """Return the key of a subject's attempt: 32 hex digits, the same for either ASCII case."""
    return hashlib.sha256(subject.encode().lower()).hexdigest()[:32]
