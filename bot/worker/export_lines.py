"""The lines of an export, as objects. docs/reference.md documents them; `cli.verification` reads them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from bot.sqs.wire import read_told
from bot.triage.model import OutboxRow, Trail
from bot.triage.trail import seal
from bot.worker.views import event_view, format_time

#: The number of the format: raised when a line's meaning changes.
FORMAT = 1

Line = dict[str, Any]


def first_line(since: datetime, until: datetime) -> Line:
    """Return the line that says which time an export is about."""
    return seal(
        {"line": "export", "format": FORMAT, "since": format_time(since), "until": format_time(until)}
    )


def alert_lines(trail: Trail) -> Iterator[Line]:
    """Yield an alert's own line, those of its events, and those of its reports."""
    question = trail.question
    yield seal(
        {
            "line": "alert",
            "identifier": question.identifier,
            "acceptedAt": format_time(question.accepted_at),
            "events": len(trail.events),
            "lastEvent": question.trail_hash or None,
            "reports": question.reports,
            "lastReport": question.report_hash or None,
            "refusals": question.refusals,
        }
    )
    for event in trail.events:
        yield {"line": "event", "identifier": event.identifier, **event_view(event)}
    yield from map(_report_line, trail.reports)


def last_line(count: int, digest: str) -> Line:
    """Return the line that ends an export: how many lines come before, and the SHA-256 of their bytes."""
    return {"line": "end", "lines": count, "sha256": digest}


def _report_line(row: OutboxRow) -> Line:
    return seal(
        {
            "line": "report",
            "identifier": row.identifier,
            "sequence": row.sequence,
            "sentAt": format_time(row.sent_at),
            "parkedAt": format_time(row.parked_at),
            "replays": row.replays,
            "triagebot": read_told(row),
        }
    )
