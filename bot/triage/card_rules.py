"""The decisions about the security team's cards: pure, like `asking_rules`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.triage.model import Step, changed

if TYPE_CHECKING:
    from datetime import datetime

    from bot.triage.model import Question


def claimed(question: Question, now: datetime, until: datetime) -> Step | None:
    """Take the card to show it, until then; None if it is not due, as when another worker is about to."""
    if question.card_due_at is None or question.card_due_at > now:
        return None
    return Step(question=changed(question, card_due_at=until))


def shown(question: Question, ts: str, *, told: int, again_at: datetime) -> Step:
    """Record where the security team's card is, and how many events are told; the rest is due again then."""
    due_at = None if told >= question.events else again_at
    return Step(question=changed(question, card_ts=ts, card_shown=told, card_due_at=due_at))


def later(question: Question, due_at: datetime | None, *, held: datetime | None) -> Step | None:
    """Try the card again later, or (None) never; None if it is not due as it was (`held`) any more."""
    if question.card_due_at is None or question.card_due_at != held:
        return None
    return Step(question=changed(question, card_due_at=due_at))
