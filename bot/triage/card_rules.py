"""The decisions about the security team's cards: pure functions, like those of `asking_rules`, and a draw."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import datetime

from bot.triage.model import Question, Step, change_question


def draw_secret() -> str:
    """Return a new secret for a card: 128 random bits in hex."""
    return secrets.token_hex(16)


def give_secret(step: Step) -> Step:
    """Return the first step of a new question with a secret for its card."""
    return replace(step, question=change_question(step.question, card_secret=draw_secret()))


def claim(question: Question, now: datetime, until: datetime, secret: str) -> Step | None:
    """Claim the card until then, to show it; None if it is not due, as when another worker has claimed it.

    `secret` becomes the card's if it has none: the previous release wrote the row, or it was recreated.
    """
    if question.card_due_at is None or question.card_due_at > now:
        return None
    secret = question.card_secret or secret
    return Step(question=change_question(question, card_due_at=until, card_secret=secret))


def record_shown(question: Question, ts: str, *, told_events: int, again_at: datetime) -> Step:
    """Record the card's `ts` and how many events were told; the rest is due at `again_at`."""
    due_at = None if told_events >= question.events else again_at
    return Step(question=change_question(question, card_ts=ts, card_shown=told_events, card_due_at=due_at))


def postpone(question: Question, due_at: datetime | None, *, held: datetime | None) -> Step | None:
    """Show the card later, or never (None); returns None if it is no longer due when it was (`held`)."""
    if question.card_due_at is None or question.card_due_at != held:
        return None
    return Step(question=change_question(question, card_due_at=due_at))
