"""Converts questions and reports to rows and back. The columns are those of `sqlite/schema.sql`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import compress
from operator import is_not, itemgetter
from typing import Any, overload

from bot.store.records.damage import reading
from bot.triage.asking_rules import row_key
from bot.triage.assignments import Assignment, AssignmentKind
from bot.triage.event_kinds import EventKind
from bot.triage.factor import Attempt, Proof
from bot.triage.inquiry import Delivery, Inquiry, InquiryNote
from bot.triage.model import (
    Change,
    Choice,
    Confidence,
    Fact,
    OutboxRow,
    Question,
    Report,
    Restore,
    State,
    TrailEvent,
    TriageRequest,
    make_question,
)
from bot.triage.outcomes import Outcome
from bot.triage.trail import UNKNOWN

#: Times are stored as microseconds since this moment.
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

#: Columns that never change after the row is inserted.
FIXED = ("key", "secret", "identifier")

#: Columns that change only when a valid request replaces an invalid one. `_EVIDENCE` came with version 3.
_ASKED_FOR = ("alert", "summary", "user", "confidence")
_EVIDENCE = ("occurred_at", "facts", "left_out", "is_cut")

#: Columns of versions 3 and 4 that do not come from the request.
_OWN = ("note_keys", "found_by", "other_slack_id", "read_at", "is_unsure")

#: Columns of versions 3 and 4, with their defaults. A table has them in a separate item, which version 2 does
#: not write.
ADDED: Mapping[str, Any] = {
    "occurred_at": None,
    "facts": "",
    "left_out": "",
    "is_cut": 0,
    "note_keys": "",
    "found_by": "",
    "other_slack_id": "",
    "read_at": None,
    "is_unsure": 0,
}

_PLAIN = tuple(
    "version attempts slack_id slack_name time_zone channel ts reason note card_ts taken_by "
    "taken_name reminders answers idle_changes reports shown notes card_shown "
    "refusals trail_hash report_hash proofs proof_code unreported waits_for card_secret".split()
)

#: Columns of versions 4 and 6, with their defaults. In a table they are attributes of the question's item,
#: and a worker of an earlier version drops them: where they are missing, their values are unknown.
LATER: Mapping[str, Any] = {
    "refusals": 0,
    "trail_hash": "",
    "report_hash": "",
    "needs_factor": 0,
    "proofs": 0,
    "proof_code": "",
    "retry_at": None,
    "proved_at": None,
    "unreported": 0,
    "card_secret": "",
    "assignments": "",
    "waits_for": "",
    "waited_since": None,
}

#: The texts of an assignment, in the order in which they are stored.
_ASSIGNMENT = ("by", "by_name", "to", "to_name", "key")

_plain_of = itemgetter(*_PLAIN)
_TIMES = tuple(
    "accepted_at due_at deadline card_due_at taken_at settled_at claimed_at in_doubt_since asked_at "
    "answered_at clicked_at first_answered_at read_at retry_at proved_at waited_since".split()
)

#: Columns that a save writes.
MUTABLE = tuple(
    dict.fromkeys(
        (
            *(*_ASKED_FOR, "state", "work", "paced", "needs_factor", *_PLAIN),
            *("offered", "standing", "said", "assignments", *_TIMES, *ADDED),
        )
    )
)

#: All columns, in the table's order.
COLUMNS = (*FIXED, *MUTABLE)

#: The columns of a save that are attributes of a question by the same name. `work` follows from them.
_FIELDS = tuple(name for name in MUTABLE if name not in ("work", *_ASKED_FOR, *_EVIDENCE))
_fields_of = itemgetter(*_FIELDS)


@overload
def microseconds(moment: datetime) -> int: ...
@overload
def microseconds(moment: datetime | None) -> int | None: ...
def microseconds(moment: datetime | None) -> int | None:
    """Return an aware time as it is stored: whole microseconds since 1970-01-01 UTC."""
    return None if moment is None else (moment - EPOCH) // _MICROSECOND


def moment(stored: int | None) -> datetime | None:
    """Return a stored time (microseconds since 1970) as an aware datetime in UTC."""
    return None if stored is None else EPOCH + stored * _MICROSECOND


def restore_of(since: int, until: int) -> Restore:
    """Return the window of a restore from its two stored times."""
    return Restore(since=EPOCH + since * _MICROSECOND, until=EPOCH + until * _MICROSECOND)


def _write_assignments(assignments: Sequence[Assignment]) -> str:
    told = [
        (*(getattr(each, name) for name in _ASSIGNMENT), microseconds(each.at), each.kind.value)
        for each in assignments
    ]
    return json.dumps(told, separators=(",", ":")) if told else ""


#: How to store the columns whose stored form differs from the attribute. `str` turns enum members into plain
#: strings: for any other type SQLite's driver searches for an adapter first, each time.
_WRITTEN: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(_TIMES, microseconds),
    **dict.fromkeys(("work", "standing", "said"), lambda value: str(value or "")),
    "state": str,
    "reason": str,
    "paced": int,
    "is_unsure": int,
    "needs_factor": int,
    "offered": " ".join,
    "note_keys": " ".join,
    "assignments": _write_assignments,
}


def question_row(question: Question) -> dict[str, Any]:
    """Return a question as the columns of its row; times in microseconds since 1970."""
    request = question.request
    key, _, secret = question.ref.partition(".")
    return {
        "key": key,
        "secret": secret,
        "identifier": request.identifier,
        **mutable_row(question),
    }


def mutable_row(question: Question) -> dict[str, Any]:
    """Return the columns that a save writes, with their stored values."""
    fields = dict(zip(_FIELDS, _fields_of(vars(question)), strict=True))
    return _request_columns(question.request) | _as_written(fields | {"work": question.work})


def added_row(question: Question) -> dict[str, Any]:
    """Return the columns of `ADDED` that differ from their defaults, with their stored values."""
    request = question.request
    if not any(getattr(question, name) for name in _OWN) and not any(
        getattr(request, name) for name in _EVIDENCE
    ):
        return {}
    row = _request_columns(request)
    row |= _as_written({name: getattr(question, name) for name in _OWN})
    return {name: row[name] for name, empty in ADDED.items() if row[name] != empty}


def find_changes(before: Question, after: Question) -> dict[str, Any]:
    """Return the columns of `mutable_row` that differ from those of `before`."""
    held, new = vars(before), vars(after)
    differing = compress(_FIELDS, map(is_not, _fields_of(held), _fields_of(new)))
    row = {name: new[name] for name in differing}
    if after.work is not before.work:
        row["work"] = after.work
    row = _as_written(row)
    if after.request is not before.request:
        row |= _request_columns(after.request)
    return row


def _request_columns(request: TriageRequest) -> dict[str, Any]:
    return {
        **{name: str(getattr(request, name)) for name in _ASKED_FOR},
        "occurred_at": microseconds(request.occurred_at),
        "facts": _write_pairs(request.facts) if request.facts else "",
        "left_out": "\n".join(request.left_out),
        "is_cut": int(request.is_cut),
    }


def _write_pairs(facts: Iterable[Fact]) -> str:
    return json.dumps([(fact.name, fact.value) for fact in facts], ensure_ascii=False, separators=(",", ":"))


def _read_assignments(stored: str) -> tuple[Assignment, ...]:
    return tuple(
        Assignment(
            **dict(zip(_ASSIGNMENT, texts, strict=True)),
            at=EPOCH + at * _MICROSECOND,
            kind=AssignmentKind(kind),
        )
        for *texts, at, kind in json.loads(stored)
    )


def _as_written(fields: dict[str, Any]) -> dict[str, Any]:
    """Return attributes of a question as their columns hold them."""
    return fields | {name: _WRITTEN[name](fields[name]) for name in fields.keys() & _WRITTEN.keys()}


@reading
def question_of(row: Mapping[str, Any]) -> Question:
    """Return the question of a row. `DamagedRow` also for a state or outcome that this release lacks."""
    request = TriageRequest(
        identifier=row["identifier"],
        alert=row["alert"],
        summary=row["summary"],
        user=row["user"],
        confidence=Confidence(row["confidence"]),
        occurred_at=moment(row["occurred_at"]),
        facts=_read_pairs(row["facts"]) if row["facts"] else (),
        left_out=tuple(filter(None, row["left_out"].split("\n"))),
        is_cut=bool(row["is_cut"]),
    )
    times: dict[str, Any] = {name: moment(row[name]) for name in _TIMES if row[name] is not None}
    return make_question(
        request=request,
        ref=f"{row['key']}.{row['secret']}",
        state=State(row["state"]),
        paced=bool(row["paced"]),
        offered=_read_choices(row["offered"]),
        standing=Outcome(row["standing"]) if row["standing"] else None,
        said=Choice(row["said"]) if row["said"] else None,
        note_keys=tuple(row["note_keys"].split()),
        found_by=row["found_by"],
        other_slack_id=row["other_slack_id"],
        is_unsure=bool(row["is_unsure"]),
        needs_factor=bool(row["needs_factor"]),
        assignments=_read_assignments(row["assignments"]) if row["assignments"] else (),
        **dict(zip(_PLAIN, _plain_of(row), strict=True)),
        **times,
    )


def _read_pairs(facts: str) -> tuple[Fact, ...]:
    return tuple(Fact(name=name, value=value) for name, value in json.loads(facts))


@lru_cache(maxsize=64)
def _read_choices(words: str) -> tuple[Choice, ...]:
    return tuple(Choice(word) for word in words.split())


#: The facts that are stored with a report's body, and how to read each. Identifier and sequence are columns.
_FACTS: Mapping[str, Callable[[Any], Any]] = {
    "outcome": Outcome,
    "response": str,
    "note": bool,
    "at": moment,
    "email": str,
    "slack_id": str,
    "slack_name": str,
    "confidence": Confidence,
    "alert": str,
    "reason": str,
    "asked_at": moment,
    "answered_at": moment,
    "asked_slack_id": str,
    "said": Choice,
    "retracted": bool,
    "comment": str,
    "proof": lambda kept: Proof(method=kept[0], provider=kept[1], at=EPOCH + kept[2] * _MICROSECOND),
    "inquiry": lambda kept: InquiryNote(text=kept[0], slack_id=kept[1], slack_name=kept[2]),
    "in_reply_to": int,
}

#: Values of absent facts that have no default in `Report`.
_ABSENT = {**dict.fromkeys(("response", "email", "slack_id", "slack_name", "alert"), ""), "note": False}

_write_facts = json.JSONEncoder(separators=(",", ":")).encode


def report_facts(report: Report | None) -> str:
    """Return a report's facts as ASCII JSON, without absent ones; "" if there is no report."""
    if report is None:
        return ""
    values = {name: getattr(report, name) for name in _FACTS}
    return _write_facts({name: _fact_of(value) for name, value in values.items() if value})


def _fact_of(value: Any) -> Any:
    if isinstance(value, Proof):
        return [value.method, value.provider, microseconds(value.at)]
    if isinstance(value, InquiryNote):
        return [value.text, value.slack_id, value.slack_name]
    return microseconds(value) if isinstance(value, datetime) else value


def _report_from(facts: str, row: Mapping[str, Any]) -> Report | None:
    """Return a report from its stored facts; None if there are none or this release cannot read them.

    A later release may know more outcomes; its reports must be sent all the same.
    """
    if not facts:
        return None
    try:
        kept = json.loads(facts)
        known = {name: read(kept[name]) for name, read in _FACTS.items() if name in kept}
        return Report(identifier=row["identifier"], sequence=row["sequence"], **{**_ABSENT, **known})
    except (ValueError, TypeError):
        return None


def report_row(change: Change, report: OutboxRow) -> dict[str, Any]:
    """Return the report of a change as the columns of its row; `due_at` in microseconds since 1970."""
    return {
        "key": row_key(change.question.request.identifier),
        "sequence": report.sequence,
        "event_id": report.event_id,
        "body": report.body,
        "due_at": microseconds(report.due_at),
        "facts": report_facts(report.report),
    }


def event_row(event: TrailEvent) -> dict[str, Any]:
    """Return an event as the columns of its row; `at` in microseconds since 1970.

    The hash of the event before is not stored twice: see `events_of`.
    """
    return {
        "key": row_key(event.identifier),
        "version": event.version,
        "at": microseconds(event.at),
        "kind": str(event.kind),
        "facts": _write_facts(event.facts),
        "after_gap": int(event.previous == UNKNOWN),
        "hash": event.hash,
    }


def events_of(identifier: str, rows: Iterable[Mapping[str, Any]]) -> list[TrailEvent]:
    """Return the events of one alert from its rows, in order of their versions. `DamagedRow`."""
    events: list[TrailEvent] = []
    for row in rows:
        previous = events[-1].hash if events else ""
        events.append(_event_of({**row, "identifier": identifier, "previous": previous}))
    return events


@reading
def _event_of(row: Mapping[str, Any]) -> TrailEvent:
    return TrailEvent(
        identifier=row["identifier"],
        version=row["version"],
        at=EPOCH + row["at"] * _MICROSECOND,
        kind=EventKind(row["kind"]),
        facts=json.loads(row["facts"]),
        previous=UNKNOWN if row["after_gap"] else row["previous"],
        hash=row["hash"],
    )


@reading
def report_of(row: Mapping[str, Any]) -> OutboxRow:
    """Return the report of a row that is joined with its question's identifier. `DamagedRow`."""
    return OutboxRow(
        identifier=row["identifier"],
        sequence=row["sequence"],
        event_id=row["event_id"],
        body=row["body"],
        due_at=EPOCH + row["due_at"] * _MICROSECOND,
        sent_at=moment(row["sent_at"]),
        parked_at=moment(row["parked_at"]),
        replays=row["replays"],
        report=_report_from(row["facts"], row),
    )


#: The columns of an attempt, in the table's order.
ATTEMPT_COLUMNS = tuple(
    "key version subject ref code started_at due_at sent_at push_id interval dead_at pushes "
    "refused_at".split()
)


def attempt_row(attempt: Attempt) -> dict[str, Any]:
    """Return an attempt as the columns of its row; times and spans in microseconds."""
    return {
        **{name: getattr(attempt, name) for name in ("key", "version", "subject", "ref", "code", "push_id")},
        **{
            name: microseconds(getattr(attempt, name))
            for name in ("started_at", "due_at", "sent_at", "dead_at", "refused_at")
        },
        "interval": attempt.interval // _MICROSECOND,
        "pushes": " ".join(str(microseconds(each)) for each in attempt.pushes),
    }


@reading
def attempt_of(row: Mapping[str, Any]) -> Attempt:
    """Return the attempt of a row. `DamagedRow`."""
    plain: dict[str, Any] = {name: row[name] for name in ("version", "subject", "ref", "code", "push_id")}
    times: dict[str, Any] = {
        name: moment(row[name]) for name in ("started_at", "due_at", "sent_at", "dead_at", "refused_at")
    }
    return Attempt(
        **plain,
        **times,
        interval=row["interval"] * _MICROSECOND,
        pushes=tuple(EPOCH + int(each) * _MICROSECOND for each in row["pushes"].split()),
    )


#: The columns of an inquiry, in the table's order.
INQUIRY_COLUMNS = tuple(
    "key number secret version identifier text slack_id slack_name window sequence delivery accepted_at "
    "due_at attempts claimed_at in_doubt_since channel ts asked_at reason replies".split()
)
_OF_INQUIRY = tuple(
    "identifier number version text slack_id slack_name window sequence attempts channel ts reason".split()
)
_TIMES_OF_INQUIRY = ("accepted_at", "due_at", "claimed_at", "in_doubt_since", "asked_at")


def inquiry_row(inquiry: Inquiry) -> dict[str, Any]:
    """Return an inquiry as the columns of its row; times in microseconds since 1970."""
    key, _, secret = inquiry.ref.partition(".")
    return {
        "key": key,
        "secret": secret,
        "delivery": inquiry.delivery.value,
        "replies": " ".join(inquiry.replies),
        **{name: getattr(inquiry, name) for name in _OF_INQUIRY},
        **{name: microseconds(getattr(inquiry, name)) for name in _TIMES_OF_INQUIRY},
    }


@reading
def inquiry_of(row: Mapping[str, Any]) -> Inquiry:
    """Return the inquiry of a row. `DamagedRow`."""
    plain: dict[str, Any] = {name: row[name] for name in _OF_INQUIRY}
    times: dict[str, Any] = {name: moment(row[name]) for name in _TIMES_OF_INQUIRY}
    return Inquiry(
        ref=f"{row['key']}.{row['secret']}",
        delivery=Delivery(row["delivery"]),
        replies=tuple(row["replies"].split()),
        **plain,
        **times,
    )
