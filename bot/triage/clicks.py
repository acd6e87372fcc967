"""What people do besides answering, as it arrives: before anybody has judged it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from bot.triage.model import Posted


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """What a person wrote about their answer."""

    ref: str
    text: str
    slack_id: str
    ours: bool
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Take:
    """Somebody of the security team takes an alert over."""

    ref: str
    slack_id: str
    slack_name: str
    ours: bool
    posted: Posted | None  #: the clicked card
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """An alert was taken over: what its card's thread tells of a `Take`."""

    slack_id: str
    slack_name: str
