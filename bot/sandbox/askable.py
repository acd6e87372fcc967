"""Whom of the stand-in workspace the bot asks, for the page and the self-test."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bot.sandbox.fake_slack.workspace import Person


def unreachable_because(person: Person) -> str | None:
    """Say in a word or two why the bot asks this person nothing; None if it does."""
    reasons = {
        "deactivated": person.deleted,
        "a bot": person.is_bot,
        "guest": person.is_restricted or person.is_ultra_restricted,
        "other organisation": person.is_stranger,
        "unconfirmed address": not person.is_email_confirmed,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)
