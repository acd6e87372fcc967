"""What a restored backup cannot know, made up for: which deadlines were met since, and what was asked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bot.triage.model import State, Work

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from bot.triage.model import Question


def restored(question: Question, now: datetime, *, longest: timedelta | None) -> Question:
    """Return a question as it is to be after a restoring; see `store.OpenStore.treat_as_restored`."""
    since = question.asked_at or question.accepted_at
    if question.deadline is not None:
        span = question.deadline - since
        question = replace(question, deadline=now + min(span, longest or span))
    if question.work is Work.REMIND and question.due_at is not None:
        question = replace(question, due_at=now + (question.due_at - since))
    if question.state in (State.ACCEPTED, State.POSTING):
        question = replace(question, in_doubt_since=now, due_at=now, paced=False)
    return question
