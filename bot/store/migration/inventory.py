"""What a store holds, as counts and checksums, to compare a copy with its source."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime

from bot.store.records.rows import (
    ADDED,
    LATER,
    added_row,
    event_row,
    inquiry_row,
    microseconds,
    question_row,
    report_facts,
)
from bot.triage.inquiry import Inquiry
from bot.triage.model import OutboxRow, Question, State, TrailEvent

Row = Question | OutboxRow | TrailEvent | Inquiry

#: What is counted, in this order. A report that is parked waits for a person.
KINDS = (
    *(f"questions {state.value}" for state in State),
    *(f"reports {state}" for state in ("unsent", "parked", "sent")),
    "events",
    "inquiries",
)

#: Checksums are sums of digests modulo this, so that the order of the rows does not matter.
_MODULUS = 1 << 256


@dataclass(frozen=True, kw_only=True, slots=True)
class Alert:
    """A question with its reports, events and inquiries, in order."""

    question: Question
    reports: Sequence[OutboxRow]
    events: Sequence[TrailEvent] = ()
    inquiries: Sequence[Inquiry] = ()

    @property
    def rows(self) -> Sequence[Row]:
        """The question, its reports, its events and its inquiries."""
        return (self.question, *self.reports, *self.events, *self.inquiries)


@dataclass(frozen=True, kw_only=True, slots=True)
class Count:
    """The number of rows of one kind, and their checksum in 64 hex digits."""

    rows: int
    checksum: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """One kind of row in two stores."""

    kind: str
    source: Count
    target: Count

    @property
    def is_equal(self) -> bool:
        """Whether both stores hold the same rows, with the same values in every column."""
        return self.source == self.target


class Inventory:
    """Counts rows and sums up their digests, without keeping the rows."""

    def __init__(self) -> None:
        self._rows: defaultdict[str, int] = defaultdict(int)
        self._sums: defaultdict[str, int] = defaultdict(int)

    def add(self, row: Row) -> None:
        """Count a row."""
        kind = kind_of(row)
        self._rows[kind] += 1
        self._sums[kind] = (self._sums[kind] + int(digest_of(row), 16)) % _MODULUS

    def count(self, kind: str) -> Count:
        """Return count and checksum of one of `KINDS`."""
        return Count(rows=self._rows[kind], checksum=f"{self._sums[kind]:064x}")


def compare(source: Inventory, target: Inventory) -> Sequence[Comparison]:
    """Compare two stores: one comparison for each of `KINDS`, in that order."""
    return [Comparison(kind=kind, source=source.count(kind), target=target.count(kind)) for kind in KINDS]


def kind_of(row: Row) -> str:
    """Return which of `KINDS` a row is counted as."""
    if isinstance(row, Question):
        return f"questions {row.state.value}"
    if isinstance(row, TrailEvent):
        return "events"
    if isinstance(row, Inquiry):
        return "inquiries"
    if row.sent_at is not None:
        return "reports sent"
    return "reports unsent" if row.parked_at is None else "reports parked"


def digest_of(row: Row) -> str:
    """Return the SHA-256 of a row's contents, in hex."""
    text = json.dumps(_columns_of(row), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _columns_of(row: Row) -> dict[str, object]:
    if isinstance(row, TrailEvent):
        return event_row(row)
    if isinstance(row, Inquiry):
        return inquiry_row(row)
    return _question_columns(row) if isinstance(row, Question) else _report_columns(row)


def _question_columns(row: Question) -> dict[str, object]:
    # Without what is empty, the digest equals that of an earlier release, which may have begun the copy.
    others = {
        name: value
        for name, value in question_row(row).items()
        if name not in ADDED and (value or name not in LATER)
    }
    return others | added_row(row)


def _report_columns(row: OutboxRow) -> dict[str, object]:
    columns = {
        each.name: getattr(row, each.name) for each in fields(row) if each.name not in ("report", "hash")
    }
    # Without facts, the digest equals that of the previous release, which may have begun the copy.
    facts = {"facts": report_facts(row.report)} if row.report else {}
    return facts | {
        name: microseconds(value) if isinstance(value, datetime) else value for name, value in columns.items()
    }
