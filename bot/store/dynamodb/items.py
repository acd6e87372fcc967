"""Questions and reports as items of the table, and reads of them by key."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, Concatenate, overload

from bot.store.dynamodb import schema
from bot.store.dynamodb.table import Item, Table, value_to_wire
from bot.store.records.damage import P, Row, T, reading, skip_damaged
from bot.store.records.rows import (
    added_row,
    attempt_of,
    attempt_row,
    event_row,
    events_of,
    inquiry_of,
    inquiry_row,
    microseconds,
    question_of,
    question_row,
    report_facts,
    report_of,
)
from bot.triage.asking_rules import row_key
from bot.triage.factor import Attempt, attempt_key
from bot.triage.inquiry import Inquiry
from bot.triage.model import (
    OutboxRow,
    Question,
    State,
    TrailEvent,
    change_question,
)
from bot.triage.outcomes import FACTOR_REASONS, Outcome, Reason

#: The sort key of a question.
QUESTION = "question"

#: The sort key of the addition: what version 3 of the store added to a question. It is a separate item,
#: because workers of version 2 write whole items. It carries the question's secret: it may outlive a question
#: that they remove.
ADDITION = "addition"

#: The sort key of who on the security team has an alert: a separate item, so that the index `person` leads
#: from them to the question, as it does from the person asked.
TAKING = "taking"

#: The prefix of the sort keys of reports. Six digits follow, so that they sort in order.
REPORT = "report#"

#: The prefix of the sort keys of events. Digits of the question's secret follow, because an event may outlive
#: a question that a worker of version 3 removes, and then six digits for the version, so that they sort.
EVENT = "event#"
_SECRET_DIGITS = 8

#: The partitions, without their shards, of reports in the index `due`.
UNSENT = "unsent"
PARKED = "parked"

#: … of attempts in the index `due` …
PROVE = "prove"

#: … of inquiries …
ASK_BACK = "askback"

#: … and of what is added to questions of invalid requests, which are only counted there.
INVALID = "invalid"

#: The sort key of an attempt.
ATTEMPT = "attempt"

#: The prefix of the sort keys of inquiries. Two digits follow, so that they sort.
INQUIRY = "inquiry#"

#: How `unproven` is stored, since a worker of the previous release would stop at an outcome that it does not
#: know. It is recognised by the reason: only `unproven` has one of `FACTOR_REASONS`.
UNPROVEN_AS = Outcome.UNDELIVERABLE

#: … and of questions in the index `listed`.
OPEN = "open"
ENDED = "ended"

SECRET = "s"  # noqa: S105 - the name of an attribute
VERSION = "v"
IDENTIFIER = "i"
TRAIL_HASH = "eh"  #: of a question: see `Question.trail_hash`
REPLAYS = "n"

#: The sort key, in the index `person`, of an addition that has a person's other id.
OTHER = "other"

#: Of a question: 1, it has an addition; 0, it has none; missing: a worker of version 2 wrote the question.
HAS_ADDITION = "ad"
SENT_AT = "sn"
EVENT_AT = "t"
PARKED_AT = "pa"


def _pairs(text: str) -> dict[str, str]:
    """Return the mapping written as `column:attribute`, separated by spaces."""
    return dict(pair.split(":") for pair in text.split())


#: A column of `records.rows` → its attribute. Empty columns are not stored.
_QUESTION = {
    "secret": SECRET,
    "identifier": IDENTIFIER,
    "version": VERSION,
    "accepted_at": schema.ACCEPTED_AT,
    "due_at": schema.DUE_AT,
    "deadline": schema.DEADLINE,
    "slack_id": schema.SLACK_ID,
    **_pairs(
        "alert:a summary:t user:u confidence:c state:st paced:pc attempts:n slack_name:pn time_zone:tz "
        "offered:o claimed_at:cl in_doubt_since:dt channel:ch ts:ts asked_at:ak reminders:rm "
        "standing:sd reason:rs said:sa answered_at:aw clicked_at:ck first_answered_at:fa answers:ac "
        "idle_changes:ic settled_at:se reports:rp shown:sh note:no notes:nn card_due_at:cd card_ts:ct "
        "card_shown:cs taken_by:tb taken_name:tn taken_at:ta "
        f"refusals:rf trail_hash:{TRAIL_HASH} report_hash:rh "
        "needs_factor:nf proofs:pf proof_code:pq retry_at:ry proved_at:pv unreported:ur "
        "waits_for:wf waited_since:ws card_secret:cx assignments:ag"
    ),
}
_ADDITION = {
    "occurred_at": "oa",
    "facts": "f",
    "left_out": "lo",
    "is_cut": "cu",
    "note_keys": "nk",
    "found_by": "fb",
    "read_at": "ra",
    "is_unsure": "un",
    "other_slack_id": schema.SLACK_ID,  # so that the index `person` leads from either id to the question
}
_REPORT = {
    "identifier": IDENTIFIER,
    "sequence": "q",
    "event_id": "e",
    "body": "b",
    "due_at": schema.DUE_AT,
    "sent_at": SENT_AT,
    "parked_at": PARKED_AT,
    "replays": REPLAYS,
    "facts": "f",  # since version 2 of the store; a worker of version 1 drops it when it replays a report
}

_EVENT = {
    "identifier": IDENTIFIER,
    "version": VERSION,
    "at": EVENT_AT,
    "kind": "e",
    "facts": "f",
    "after_gap": "g",
    "hash": "h",
}

_ATTEMPT = {
    "version": VERSION,
    "due_at": schema.DUE_AT,
    **_pairs("subject:b ref:r code:c started_at:t sent_at:sn push_id:i interval:g dead_at:da"),
    **_pairs("pushes:ps refused_at:rf"),
}

_INQUIRY = {
    "number": "nr",
    "secret": SECRET,
    "version": VERSION,
    "identifier": IDENTIFIER,
    "due_at": schema.DUE_AT,
    **_pairs("text:b slack_id:by slack_name:pn window:wn sequence:q delivery:st accepted_at:t attempts:n"),
    **_pairs("claimed_at:cl in_doubt_since:dt channel:ch ts:ts asked_at:ak reason:rs replies:rr"),
}

#: Columns with a time or with none (besides those that end in `_at`), and those with a number.
_MOMENTS = frozenset(["at", "deadline", "in_doubt_since", "waited_since"])
_COUNTS = frozenset(
    "version paced attempts reminders answers idle_changes reports shown notes card_shown is_cut is_unsure"
    " sequence replays refusals after_gap needs_factor proofs unreported interval number".split()
)


def _reading_alert(read: Callable[Concatenate[Row, P], T]) -> Callable[Concatenate[Row, P], T]:
    """Do as `reading`, and name an item by its alert's identifier."""
    return reading(read, IDENTIFIER)


def attempt_item_key(subject: str) -> Item:
    """Return the key of a subject's attempt."""
    return {schema.PARTITION: f"attempt#{attempt_key(subject)}", schema.SORT: ATTEMPT}


def attempt_item(attempt: Attempt) -> Item:
    """Return an attempt as its item, with the key of the index `due` until it is over."""
    item = attempt_item_key(attempt.subject) | _to_attributes(attempt_row(attempt), _ATTEMPT)
    if attempt.due_at is None:
        return item
    place = schema.in_shard(PROVE, attempt.key)
    return item | {schema.WORK: place, schema.MOMENT: microseconds(attempt.due_at)}


@reading
def attempt_from(item: Mapping[str, Any]) -> Attempt:
    """Return the attempt that an item holds. `DamagedRow`."""
    return attempt_of(to_columns(item, _ATTEMPT))


def inquiry_key(key: str, number: int) -> Item:
    """Return the key of an inquiry's item."""
    return {schema.PARTITION: key, schema.SORT: f"{INQUIRY}{number:02}"}


def inquiry_item(inquiry: Inquiry) -> Item:
    """Return an inquiry as its item, with the key of the index `due` while work on it is left."""
    item = inquiry_key(inquiry.key, inquiry.number) | _to_attributes(inquiry_row(inquiry), _INQUIRY)
    if inquiry.due_at is None:
        return item
    place = schema.in_shard(ASK_BACK, inquiry.key)
    return item | {schema.WORK: place, schema.MOMENT: microseconds(inquiry.due_at)}


@_reading_alert
def inquiry_from(item: Mapping[str, Any]) -> Inquiry:
    """Return the inquiry that an item holds. `DamagedRow`."""
    return inquiry_of({"key": item[schema.PARTITION], **to_columns(item, _INQUIRY)})


async def inquiries_of(table: Table, key: str) -> list[Inquiry]:
    """Return all inquiries about an alert, by number. `StoreError` if DynamoDB fails."""
    return [inquiry_from(item) async for item in _items_under(table, key, INQUIRY)]


def question_key(key: str) -> Item:
    """Return the key of a question's item."""
    return {schema.PARTITION: key, schema.SORT: QUESTION}


def addition_key(key: str) -> Item:
    """Return the key of what is added to a question."""
    return {schema.PARTITION: key, schema.SORT: ADDITION}


def taking_key(key: str) -> Item:
    """Return the key of the item that says who has an alert."""
    return {schema.PARTITION: key, schema.SORT: TAKING}


def report_key(key: str, sequence: int) -> Item:
    """Return the key of a report's item."""
    return {schema.PARTITION: key, schema.SORT: f"{REPORT}{sequence:06}"}


def event_prefix(secret: str) -> str:
    """Return how the sort keys of a question's events begin, by the second part of its ref."""
    return f"{EVENT}{secret[:_SECRET_DIGITS]}#"


def event_key(key: str, secret: str, version: int) -> Item:
    """Return the key of an event's item."""
    return {schema.PARTITION: key, schema.SORT: f"{event_prefix(secret)}{version:06}"}


def key_of(question: Question) -> str:
    """Return the partition key of a question: the first part of its ref."""
    return question.ref.partition(".")[0]


def question_item(question: Question) -> Item:
    """Return a question as its item, including the sort keys of the indexes `person` and `listed`.

    It comes without the addition, but says whether there is one.
    """
    key = key_of(question)
    row = question_row(question) | {"standing": _stored_outcome(question.standing) or ""}
    item: Item = question_key(key) | _to_attributes(row, _QUESTION)
    item |= {
        VERSION: question.version,
        HAS_ADDITION: int(has_addition(question)),
        schema.SHARD: str(schema.shard_of(key)),
    }
    item[schema.LISTED] = schema.in_shard(ENDED if question.standing else OPEN, key)
    if sort_key := _person_sort_key(question):
        item[schema.PERSON_SORT] = sort_key
    return item


def has_addition(question: Question) -> bool:
    """Whether a question needs an addition."""
    return bool(added_row(question))


def addition_item(question: Question) -> Item:
    """Return what is added to a question as its item."""
    key, _, secret = question.ref.partition(".")
    added = {_ADDITION[name]: value for name, value in added_row(question).items()}
    if question.other_slack_id:
        added[schema.PERSON_SORT] = OTHER
    if added and question.reason == Reason.INVALID_REQUEST:
        added |= {
            schema.WORK: schema.in_shard(INVALID, key),
            schema.MOMENT: microseconds(question.accepted_at),
        }
    return addition_key(key) | {SECRET: secret} | added


def taking_item(question: Question) -> Item:
    """Return who has a question's alert as an item, with no key of an index if nobody has it."""
    item = taking_key(key_of(question))
    if not question.taken_by:
        return item
    sort_key = taken_sort_key(microseconds(question.accepted_at))
    return item | {schema.SLACK_ID: question.taken_by, schema.PERSON_SORT: sort_key}


async def read_questions(table: Table, items: Sequence[Mapping[str, Any]]) -> list[Question]:
    """Return the questions that items hold, with their additions, which are read if there may be any.

    `StoreError` if DynamoDB fails; `DamagedRow` also for a state or outcome that this release lacks.
    """
    return [question_from(*each) for each in await _with_additions(table, items)]


async def read_undamaged(table: Table, items: Sequence[Mapping[str, Any]]) -> list[Question]:
    """Do as `read_questions`, but log and leave out what is damaged."""
    return skip_damaged(lambda each: question_from(*each), await _with_additions(table, items))


async def _with_additions(
    table: Table, items: Sequence[Mapping[str, Any]]
) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    keys = [addition_key(item[schema.PARTITION]) for item in items if item.get(HAS_ADDITION) != 0]
    additions = {item[schema.PARTITION]: item for item in await table.get_many(keys)}
    return [(item, additions.get(item[schema.PARTITION], {})) for item in items]


async def find_question(table: Table, key: str) -> Question | None:
    """Return the question under this key as it is now; None if there is none. Raises as `read_questions`."""
    item = await table.get(question_key(key))
    return await read_question(table, item) if item else None


async def read_question(table: Table, item: Mapping[str, Any]) -> Question:
    """Return the question that an item holds: see `read_questions`."""
    [question] = await read_questions(table, [item])
    return question


@_reading_alert
def question_from(item: Mapping[str, Any], addition: Mapping[str, Any]) -> Question:
    """Return the question that an item holds, with the addition read for it ({}: none). `DamagedRow`."""
    is_its_own = addition.get(SECRET) == item[SECRET]
    added = to_columns(addition if is_its_own else {}, _ADDITION)
    question = question_of({**added, "key": item[schema.PARTITION], **to_columns(item, _QUESTION)})
    if _is_unproven(question.standing, question.reason):
        return change_question(question, standing=Outcome.UNPROVEN)
    return question


def report_item(row: OutboxRow) -> Item:
    """Return a report as its item, without the sort keys of the index `due`."""
    columns = {name: getattr(row, name) for name in _REPORT if name != "facts"}
    report = row.report and replace(row.report, outcome=_stored_outcome(row.report.outcome))
    columns["facts"] = report_facts(report)
    columns |= {name: microseconds(columns[name]) for name in ("due_at", "sent_at", "parked_at")}
    item: Item = report_key(row_key(row.identifier), row.sequence) | _to_attributes(columns, _REPORT)
    return item | {schema.DUE_AT: columns["due_at"], REPLAYS: row.replays}


@_reading_alert
def report_from(item: Mapping[str, Any]) -> OutboxRow:
    """Return the report that an item holds. `DamagedRow`."""
    row = report_of(to_columns(item, _REPORT))
    if row.report is None or not _is_unproven(row.report.outcome, row.report.reason):
        return row
    return replace(row, report=replace(row.report, outcome=Outcome.UNPROVEN))


def event_item(event: TrailEvent, secret: str) -> Item:
    """Return an event of the question with this secret as its item."""
    row = event_row(event)
    item: Item = event_key(row["key"], secret, event.version)
    return item | _to_attributes(row | {"identifier": event.identifier}, _EVENT)


def events_from(items: Sequence[Mapping[str, Any]]) -> list[TrailEvent]:
    """Return the events of one alert that items hold, which are in order of their sort keys."""
    rows = [to_columns(item, _EVENT) for item in items]
    return events_of(rows[0]["identifier"], rows) if rows else []


async def questions_of(table: Table, keys: Iterable[str]) -> list[Question]:
    """Return the questions that exist under these keys, each once, in no order. `StoreError`.

    What is damaged is logged and left out.
    """
    items = await table.get_many([question_key(key) for key in dict.fromkeys(keys)])
    return await read_undamaged(table, items)


async def reports_of(table: Table, key: str) -> Sequence[OutboxRow]:
    """Return all reports of a question, by sequence. `StoreError` if DynamoDB fails."""
    return [report_from(item) async for item in _items_under(table, key, REPORT)]


def _items_under(table: Table, key: str, prefix: str) -> AsyncIterator[Item]:
    return table.query(
        KeyConditionExpression=f"{schema.PARTITION} = :key AND begins_with({schema.SORT}, :prefix)",
        ExpressionAttributeValues={":key": value_to_wire(key), ":prefix": value_to_wire(prefix)},
        ConsistentRead=True,
    )


def open_sort_key(moment: int) -> str:
    """Return the sort key, in the index `person`, of an open question asked at `moment` (microseconds)."""
    return f"open#{moment:017}"


def answered_sort_key(moment: int) -> str:
    """Return the sort key, in the index `person`, of a question answered at `moment` (microseconds)."""
    return f"answered#{moment:017}"


def taken_sort_key(moment: int) -> str:
    """Return the sort key, in the index `person`, of a taken alert accepted at `moment` (microseconds)."""
    return f"taken#{moment:017}"


def _person_sort_key(question: Question) -> str:
    if question.answered_at is not None:
        return answered_sort_key(microseconds(question.answered_at))
    if question.state is State.ASKED and question.asked_at is not None:
        return open_sort_key(microseconds(question.asked_at))
    return ""


@overload
def _stored_outcome(outcome: Outcome) -> Outcome: ...
@overload
def _stored_outcome(outcome: Outcome | None) -> Outcome | None: ...
def _stored_outcome(outcome: Outcome | None) -> Outcome | None:
    return UNPROVEN_AS if outcome is Outcome.UNPROVEN else outcome


def _is_unproven(stored: Outcome | None, reason: str) -> bool:
    return stored is UNPROVEN_AS and reason in FACTOR_REASONS


def _to_attributes(columns: Mapping[str, Any], names: Mapping[str, str]) -> Item:
    kept = {attribute: columns[column] for column, attribute in names.items()}
    return {attribute: value for attribute, value in kept.items() if value not in (None, "", 0)}


def to_columns(item: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return the columns that an item holds, by the attributes that they are stored in.

    Raises `ValueError` for a value of another type than its column's.
    """
    return {column: _value(item.get(attribute), column) for column, attribute in names.items()}


def _value(stored: Any, column: str) -> Any:
    empty = _empty_value(column)
    if stored is None:
        return empty
    if isinstance(stored, str) != isinstance(empty, str):
        raise ValueError(f"{column} is {stored!r}")
    return stored


@cache
def _empty_value(column: str) -> Any:
    if column in _MOMENTS or column.endswith("_at"):
        return None
    return 0 if column in _COUNTS else ""
