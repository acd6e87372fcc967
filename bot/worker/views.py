"""The JSON-able objects that `list`, `show` and `stats` return.

They travel over the control socket, `--json` prints them, and `bot.cli.output` formats its text from them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from bot.sqs.wire import category_of, read_report
from bot.triage.inquiry import Inquiry
from bot.triage.model import OutboxRow, Question, Trail, TrailEvent, TriageRequest
from bot.triage.statistics import AlertStatistics
from bot.triage.trail import find_breaks

#: A question or a report: strings, numbers, lists, objects, and None for what is not known, or not yet.
View = dict[str, Any]


def question_view(question: Question, reports: Sequence[OutboxRow] | None = None) -> View:
    """Return a question's facts; with its `reports` if given, and then with what few questions have.

    `dueAt` is when its `work` (redraw, ask or remind) is due. Times are ISO 8601 in UTC.
    """
    view = {
        "identifier": question.request.identifier,
        "alert": question.request.alert,
        "summary": question.request.summary,
        "user": question.request.user,
        "identityConfidence": question.request.confidence.value,
        "acceptedAt": format_time(question.accepted_at),
        "state": question.state.value,
        "work": question.work.value if question.work else None,
        "dueAt": format_time(question.due_at),
        "attempts": question.attempts,
        "deadline": format_time(question.deadline),
        "reminders": question.reminders,
        "askedSlack": question.slack_id or None,
        "askedSlackName": question.slack_name or None,
        "timeZone": question.time_zone or None,
        "offered": [choice.value for choice in question.offered],
        "claimedAt": format_time(question.claimed_at),
        "inDoubtSince": format_time(question.in_doubt_since),
        "waitedSince": format_time(question.waited_since),
        "askedAt": format_time(question.asked_at),
        "channel": question.channel or None,
        "ts": question.ts or None,
        "outcome": question.standing.value if question.standing else None,
        "reason": question.reason or None,
        "said": question.said.value if question.said else None,
        "retracted": question.retracted,
        "firstAnsweredAt": format_time(question.first_answered_at),
        "answeredAt": format_time(question.answered_at),
        "answers": question.answers,
        "proofAwaited": bool(question.proof_code),
        "note": question.note or None,
        "notes": question.notes,
        "cardTs": question.card_ts or None,
        "cardDueAt": format_time(question.card_due_at),
        "takenBy": question.taken_by or None,
        "takenName": question.taken_name or None,
        "takenAt": format_time(question.taken_at),
    }
    if reports is None:
        return view
    told = [report_view(report) for report in reports]
    return {**view, **_rare_view(question), **_evidence_view(question.request), "reports": told}


def _rare_view(question: Question) -> View:
    return {
        "foundBy": question.found_by or None,
        "askedSlackOther": question.other_slack_id or None,
        "unsure": question.is_unsure,
        "needsFactor": question.needs_factor,
        "proofs": question.proofs,
        "provedAt": format_time(question.proved_at),
        "retryAt": format_time(question.retry_at),
    }


def event_view(event: TrailEvent) -> View:
    """Return all fields of an event, with its hash."""
    return {
        "version": event.version,
        "at": format_time(event.at),
        "event": event.kind.value,
        "facts": dict(event.facts),
        "previous": event.previous or None,
        "hash": event.hash,
    }


def trail_view(trail: Trail) -> View:
    """Return an alert's events in order, where their chain is broken, how many clicks were refused, and the
    follow-up questions.
    """
    return {
        "askedBack": [inquiry_view(inquiry) for inquiry in trail.inquiries],
        "events": [event_view(event) for event in trail.events],
        "breaks": list(find_breaks(trail)),
        "refusals": trail.question.refusals,
    }


def inquiry_view(inquiry: Inquiry) -> View:
    """Return an inquiry, and how far it got; `sequence` is that of its report."""
    return {
        "number": inquiry.number,
        "text": inquiry.text,
        "by": inquiry.slack_id,
        "byName": inquiry.slack_name or None,
        "sequence": inquiry.sequence,
        "acceptedAt": format_time(inquiry.accepted_at),
        "delivery": inquiry.delivery.value,
        "reason": inquiry.reason or None,
        "inDoubtSince": format_time(inquiry.in_doubt_since),
        "askedAt": format_time(inquiry.asked_at),
        "ts": inquiry.ts or None,
    }


def report_view(row: OutboxRow) -> View:
    """Return a report's facts. `body` is the exact text sent to the queue; times are ISO 8601 in UTC."""
    report = read_report(row)
    return {
        "sequence": row.sequence,
        "eventId": row.event_id,
        "category": category_of(report),
        "response": None if report.note else report.response,
        "outcome": report.outcome.value,
        "comment": report.comment or None,
        "inReplyTo": report.in_reply_to,
        "timestamp": format_time(report.at),
        "dueAt": format_time(row.due_at),
        "sentAt": format_time(row.sent_at),
        "parkedAt": format_time(row.parked_at),
        "body": row.body,
    }


def statistics_view(statistics: AlertStatistics) -> View:
    """Return one alert's statistics. Shares (0 to 1) are of the ended questions; durations are in seconds."""
    counts = statistics.endings
    ended = sum(counts.values())
    return {
        "alert": statistics.alert,
        "asked": statistics.asked,
        "open": statistics.open,
        **counts,
        "shares": {name: round(count / ended, 4) if ended else None for name, count in counts.items()},
        "medianSeconds": _round_seconds(statistics.median),
        "p90Seconds": _round_seconds(statistics.p90),
    }


def render_json(view: View | Sequence[View]) -> str:
    """Return JSON for programs, in pure ASCII, so that no control character can reach a terminal."""
    return json.dumps(view, indent=2).replace("\x7f", "\\u007f")


def _evidence_view(request: TriageRequest) -> View:
    return {
        "summaryCut": request.is_cut,
        "occurredAt": format_time(request.occurred_at),
        "facts": [{"name": fact.name, "value": fact.value} for fact in request.facts],
        "leftOut": list(request.left_out),
    }


def format_time(moment: datetime | None) -> str | None:
    """Return a time as ISO 8601 in UTC, or None."""
    return moment.isoformat() if moment else None


def _round_seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else round(duration.total_seconds(), 3)
