"""Trails in one SQLite file: an event that changes nothing else, and an alert with its whole story."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from bot.store.records.rows import (
    COLUMNS,
    event_row,
    events_of,
    inquiry_of,
    microseconds,
    question_of,
    report_of,
)
from bot.store.sqlite import statements as sql
from bot.triage.event_kinds import EventFacts, EventKind
from bot.triage.model import Question, Trail
from bot.triage.ports import SelectReport
from bot.triage.trail import make_event


def append_event(
    connection: sqlite3.Connection, key: str, kind: EventKind, facts: EventFacts, at: datetime
) -> None:
    """Add an event to the trail of a question that nothing else changes in, except its version."""
    identifier, version, trail_hash = connection.execute(sql.HEAD, (key,)).fetchone()
    event = make_event(identifier, version + 1, trail_hash, kind=kind, facts=facts, at=at)
    connection.execute(sql.INSERT_EVENT, event_row(event))
    connection.execute(sql.MOVE_HEAD, (event.version, event.hash, key))


def replay(
    connection: sqlite3.Connection, *, keys: Sequence[str], now: datetime, select: SelectReport
) -> None:
    """Put the reports under these keys that `select` takes into the outbox again, and tell the trail."""
    for key in keys:
        rows = [report_of(row) for row in connection.execute(sql.REPORTS_OF, (key,))]
        values = {"key": key, "now": microseconds(now)}
        replayed = [{**values, "sequence": row.sequence} for row in rows if select(row)]
        connection.executemany(sql.REPLAY, replayed)
        if replayed:
            append_event(connection, key, EventKind.REPLAYED, {"reports": len(replayed)}, now)


def question_from(row: Sequence[Any]) -> Question:
    """Return the question that a row of all columns holds."""
    # As a dict: sqlite3.Row searches its column names for each value.
    return question_of(dict(zip(COLUMNS, row, strict=True)))


def trails_under(connection: sqlite3.Connection, key: str) -> list[Trail]:
    """Return the alert with this key in a list; an empty one if there is none."""
    questions = [question_from(row) for row in connection.execute(f"{sql.SELECT} WHERE key = ?", (key,))]
    return [
        Trail(
            question=question,
            events=events_of(question.identifier, connection.execute(sql.EVENTS, (key,))),
            reports=[report_of(row) for row in connection.execute(sql.REPORTS_OF, (key,))],
            inquiries=[inquiry_of(row) for row in connection.execute(sql.INQUIRIES, (key,))],
        )
        for question in questions
    ]
