"""How the log speaks of questions: every line about an alert carries its identifier."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bot.triage.model import Question


def about(question: Question, event: str, **fields: object) -> dict[str, object]:
    """Return the `extra` of a log record: the event (noun.past) and its fields. No address, no alert text."""
    return {"event": event, "fields": {"identifier": question.request.identifier, **fields}}
