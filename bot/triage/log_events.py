"""Log records: the closed list of events, and the functions that write them.

`bot.worker.log` makes lines of the records; docs/reference.md says when each event happens.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Final, Literal, get_args

from bot.triage.model import Question

#: Every event: what it happens to, a dot, and what happened. mypy accepts no other at a call of `log_event`.
Event = Literal[
    "alert.handed_over",
    "alert.released",
    "alert.taken",
    "asking.halted",
    "asking.resumed",
    "batch.left",
    "burst.began",
    "burst.ended",
    "burst.shown",
    "burst.taken",
    "burst.told",
    "burst_line.delayed",
    "burst_line.refused",
    "burst_line.unconfirmed",
    "card.delayed",
    "card.refused",
    "card.shown",
    "click.failed",
    "click.refused",
    "clock.compared",
    "clock.recovered",
    "clock.wrong",
    "connection.refused",
    "control.abandoned",
    "control.failed",
    "dead_letter_queue.missing",
    "descriptors.exhausted",
    "follow_up.failed",
    "inquiry.accepted",
    "inquiry.asked",
    "inquiry.closed",
    "inquiry.delayed",
    "inquiry.failed",
    "inquiry.replied",
    "inquiry.unconfirmed",
    "link.crowded",
    "link.exclusive",
    "link.lost",
    "link.opened",
    "link.refused",
    "link.replaced",
    "link.shared",
    "metrics.served",
    "note.added",
    "notice.lost",
    "payload.ignored",
    "payload.unread",
    "permalink.missing",
    "poll.failed",
    "poll.recovered",
    "probe.failed",
    "proof.accepted",
    "proof.delayed",
    "proof.failed",
    "proof.ignored",
    "proof.lost",
    "proof.mismatched",
    "proof.recovered",
    "proof.requested",
    "proof.unavailable",
    "publishing.failed",
    "publishing.recovered",
    "question.answered",
    "question.asked",
    "question.called",
    "question.closed",
    "question.delayed",
    "question.deleted",
    "question.expired",
    "question.failed",
    "question.given_up",
    "question.not_found",
    "question.recovered",
    "question.reminded",
    "question.unconfirmed",
    "question.unread",
    "question.unsure",
    "question.waiting",
    "questions.removed",
    "queue.delayed",
    "receiver.unknown",
    "redraw.delayed",
    "redraw.refused",
    "reminder.delayed",
    "reminder.unconfirmed",
    "reply.failed",
    "report.overtaken",
    "report.parked",
    "report.refused",
    "report.sent",
    "request.accepted",
    "request.conflict",
    "request.known",
    "request.left",
    "request.reduced",
    "request.rejected",
    "request.reopened",
    "response_url.refused",
    "retention.failed",
    "scope.missing",
    "settings.questionable",
    "shutdown.timed_out",
    "slack.authenticated",
    "slack.delayed",
    "start.failed",
    "store.damaged",
    "store.delayed",
    "store.failed",
    "store.mismatched",
    "store.opened",
    "store.replaced",
    "store.rescue_failed",
    "store.restored",
    "sweep.failed",
    "sweep.recovered",
    "thread_line.refused",
    "token.delayed",
    "worker.stalled",
    "worker.started",
    "worker.stopped",
    "worker.stopping",
]

EVENTS: Final[tuple[str, ...]] = get_args(Event)


def log_event(
    write: Callable[..., None], event: Event, message: str = "", /, *values: object, **fields: object
) -> None:
    """Write one record by a method of a logger: `log.info`, or `log.exception` for one with a traceback.

    `message` is a constant that `values` fill in; without one, it is the event in words. Whatever a program
    looks for is a field. Above DEBUG no field holds an e-mail address or the text of an alert.
    """
    write(message or _to_words(event), *values, extra={"event": event, "fields": fields})


@cache
def _to_words(event: Event) -> str:
    return re.sub("[._]", " ", event)


def log_question(
    write: Callable[..., None],
    event: Event,
    question: Question,
    message: str = "",
    /,
    *values: object,
    **fields: object,
) -> None:
    """Write one record about a question: as `log_event`, with the alert's `identifier` as the first field."""
    log_event(write, event, message, *values, identifier=question.identifier, **fields)
