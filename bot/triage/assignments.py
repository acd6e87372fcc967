"""Nouns, like those of `model`: clicks on a card, and who has had an alert."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class AssignmentKind(StrEnum):
    """What the security team did with an alert. Each kind is also an event of the trail."""

    TAKEN = "taken"
    HANDED_OVER = "handedOver"
    RELEASED = "released"


@dataclass(frozen=True, kw_only=True, slots=True)
class CardClick:
    """A click on a card, or the submission of a window that a card opened: by whom, where and when."""

    card: str  #: the value of its button: see `Question.card`
    channel: str  #: of the card; for a window, of the card that opened it
    ts: str  #: of that card
    slack_id: str
    slack_name: str
    same_workspace: bool  #: whether the person belongs to this workspace or its organisation
    at: datetime
    key: str = ""  #: recognises the click if Slack delivers it again; "": it cannot be recognised
    is_carried: bool = False  #: whether Slack's copy of the message carries `card`, so that it is that card

    @property
    def own_ts(self) -> str:
        """The card's `ts`; "" unless the message is known to be that card: no other may be overwritten."""
        return self.ts if self.is_carried else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Assignment:
    """Somebody on the security team took an alert, handed it over or released it."""

    kind: AssignmentKind
    by: str  #: a Slack id; "": the bot released it, because the alert is about the person who had it
    by_name: str
    to: str = ""  #: the Slack id of who has it from now on; "": nobody
    to_name: str = ""
    at: datetime
    key: str = ""  #: see `CardClick.key`


def first_assignment(taken_by: str, taken_name: str, taken_at: datetime | None) -> tuple[Assignment, ...]:
    """Return the one assignment that a row of the previous release implies; () if nobody took the alert."""
    if taken_at is None:
        return ()
    who = {"by": taken_by, "by_name": taken_name, "to": taken_by, "to_name": taken_name}
    return (Assignment(kind=AssignmentKind.TAKEN, at=taken_at, **who),)
