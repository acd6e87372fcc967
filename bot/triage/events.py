"""How the log speaks of questions: every line about an alert carries its identifier."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from bot.errors import StoreError

if TYPE_CHECKING:
    from bot.triage.model import Question, Step

log = logging.getLogger(__name__)


def about(question: Question, event: str, **fields: object) -> dict[str, object]:
    """Return the `extra` of a log record: the event (noun.past) and its fields. No address, no alert text."""
    return {"event": event, "fields": {"identifier": question.request.identifier, **fields}}


def log_receipt(step: Step, verdict: bool | StoreError) -> bool:  # noqa: FBT001 - it is a verdict
    """Tell what became of a request; return whether it may be deleted from the queue."""
    alert = step.question.request.alert
    if isinstance(verdict, StoreError):
        log.error("not stored: %s", verdict, extra=about(step.question, "request.left", alert=alert))
        return False
    if verdict and step.report:
        log.info(
            "question closed", extra=about(step.question, "question.closed", reason=step.question.reason)
        )
    elif verdict:
        log.info("request accepted", extra=about(step.question, "request.accepted", alert=alert))
    else:
        log.info("request known", extra=about(step.question, "request.known", alert=alert))
    return True


def log_answer(question: Question) -> None:
    """Tell of an answer that is stored."""
    fields = {"said": question.said, "standing": question.standing, "sequence": question.reports - 1}
    log.info("question answered", extra=about(question, "question.answered", **fields))


def log_note(question: Question) -> None:
    """Tell of a note that is stored."""
    log.info("note added", extra=about(question, "note.added", sequence=question.reports - 1))


def log_take(question: Question) -> None:
    """Tell who of the security team took an alert over."""
    log.info("alert taken", extra=about(question, "alert.taken", slack_id=question.taken_by))
