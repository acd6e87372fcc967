"""What the security team clicks, who has an alert, and how it came to them: nouns, like those of `model`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class AssignmentKind(StrEnum):
    """What somebody did with an alert. Each is also an event of the trail."""

    TAKEN = "taken"
    HANDED_OVER = "handedOver"
    RELEASED = "released"


@dataclass(frozen=True, kw_only=True, slots=True)
class CardClick:
    """A click on a card, or what was sent in a window that one opened: by whom, where and when."""

    card: str  #: what its button carried: see `Question.card`
    channel: str  #: that of the card; in a window, of the card that opened it
    ts: str  #: of the same card
    slack_id: str
    slack_name: str
    same_workspace: bool  #: whether the person belongs to this workspace or its organisation
    at: datetime
    key: str = ""  #: identifies it if Slack delivers it again; "": nothing does
    is_carried: bool = False  #: whether the message, as Slack has it, carries `card`: it is that card

    @property
    def own_ts(self) -> str:
        """The card's `ts`; "" if the message is not known to be that card: none may be drawn over another."""
        return self.ts if self.is_carried else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Assignment:
    """Somebody on the security team took an alert, handed it over or released it."""

    kind: AssignmentKind
    by: str  #: a Slack id; "": the bot released it, because the alert is about the person who had it
    by_name: str
    to: str = ""  #: the Slack id of the person who has it now; "": nobody has it
    to_name: str = ""
    at: datetime
    key: str = ""  #: see `CardClick.key`


def first_assignment(taken_by: str, taken_name: str, taken_at: datetime | None) -> tuple[Assignment, ...]:
    """Return the take that a row of the previous release records; () if nobody took the alert."""
    if taken_at is None:
        return ()
    who = {"by": taken_by, "by_name": taken_name, "to": taken_by, "to_name": taken_name}
    return (Assignment(kind=AssignmentKind.TAKEN, at=taken_at, **who),)
