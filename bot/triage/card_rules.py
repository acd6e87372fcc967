"""The decisions about the security team's cards. Pure, except for `draw_secret`."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import datetime

from bot.triage.model import Question, Step, change_question


def draw_secret() -> str:
    """Return a new secret for a card: 128 random bits in hex."""
    return secrets.token_hex(16)


def give_secret(step: Step) -> Step:
    """Add a secret for the card to the first step of a new question."""
    return replace(step, question=change_question(step.question, card_secret=draw_secret()))


def claim(question: Question, now: datetime, until: datetime, secret: str) -> Step | None:
    """Claim the card until `until`, before it is shown; None if it is not due, or claimed by another worker.

    `secret` becomes the card's if it has none, because the previous release wrote the row, or it was
    recreated.
    """
    if question.card_due_at is None or question.card_due_at > now:
        return None
    secret = question.card_secret or secret
    return Step(question=change_question(question, card_due_at=until, card_secret=secret))


def record_shown(question: Question, ts: str, *, told_events: int, again_at: datetime) -> Step:
    """Record the card's `ts` and how many events its thread has; the others are due at `again_at`."""
    due_at = None if told_events >= question.events else again_at
    return Step(question=change_question(question, card_ts=ts, card_shown=told_events, card_due_at=due_at))


def postpone(question: Question, due_at: datetime | None, *, held: datetime | None) -> Step | None:
    """Show the card at `due_at` (None: never). Returns None if its due time is not `held` any more."""
    if question.card_due_at is None or question.card_due_at != held:
        return None
    return Step(question=change_question(question, card_due_at=due_at))
