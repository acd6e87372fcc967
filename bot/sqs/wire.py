"""Decodes and encodes the message bodies of both queues. Pure."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from bot.triage.factor import Proof
from bot.triage.inquiry import InquiryNote
from bot.triage.model import (
    FACT_NAME_MAX,
    FACT_VALUE_MAX,
    FACTS_MAX,
    Choice,
    Confidence,
    Fact,
    InvalidBody,
    OutboxRow,
    Report,
    TriageRequest,
)
from bot.triage.outcomes import Outcome
from bot.triage.padding import pad, pad_alert, pad_reason, unpad
from bot.triage.trail import encode_canonical, hash_of_report
from bot.triage.untrusted_text import READ_MAX, clean

#: Every event id is a uuid5 in this namespace: a repeat of an event keeps its id.
EVENT_ID_NAMESPACE = UUID("f6e7a97f-60e2-5313-8a45-c7470b125906")

#: The categories of reports that change an alert, and of those that MozDef only indexes.
_ANSWER = "triagebot"
_NOTE = "triagebotnote"

_LABEL_LENGTH = 255
_ADDRESS_LENGTH = 254
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%'*+/=?^_{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
_CONFIDENCES = frozenset(Confidence)
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_TIME_LENGTH = 64
_NOT_A_TIME = "occurredAt must be an RFC 3339 time with its offset, from 1970 on"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")
_UNSTORABLE = re.compile(r"[\0\ud800-\udfff]")


def decode_request(body: str) -> TriageRequest | InvalidBody:
    """Decode a body of the request queue: JSON, or JSON in base64. Never raises.

    The reason of an invalid body names each wrong field and its rule, and shows nothing of the body. So does
    `left_out` of what is salvaged of it, and of a valid request: an optional field that breaks its rule is
    left out of that.
    """
    try:
        fields = _parse(body)
    except (ValueError, RecursionError):
        return InvalidBody(reason="the body is not JSON", salvaged=None, fault="not_json")
    if not isinstance(fields, dict):
        return InvalidBody(reason="the body is not a JSON object", salvaged=None, fault="not_an_object")
    return _read(fields)


def is_valid(field: str, value: object) -> bool:
    """Whether a value of a required field of a request, such as `user`, meets its rule."""
    return _RULES[field].read(value) is not None


def identifier_in(body: str) -> str | None:
    """Return the identifier in a body; None if there is no valid one."""
    decoded = decode_request(body)
    request = decoded.salvaged if isinstance(decoded, InvalidBody) else decoded
    return request.identifier if request else None


def write_report(report: Report, due_at: datetime, previous: str = "") -> OutboxRow:
    """Render a report as a row of the outbox that is due at `due_at`. Its body is never rendered again.

    The body is canonical JSON in ASCII. `previous` is the hash of the report before; "": there is none.
    Raises `ValueError` for a naive time.
    """
    event_id = str(
        uuid5(EVENT_ID_NAMESPACE, encode_canonical([report.identifier, report.sequence, report.outcome]))
    )
    # MozDef writes the summary of an answer itself, but would call a note "UNKNOWN". Its alerts search
    # summaries for phrases, so none may contain text that a person wrote.
    summary = {"summary": f"Triage bot note: {report.outcome} for {report.email}"} if report.note else {}
    told = _facts(report, event_id) | ({"previous": previous} if previous else {})
    told["hash"] = hash_of_report(report.identifier, told)
    body = {
        "category": category_of(report),
        "timestamp": _format_utc(report.at),
        "source": "triage-bot",
        "processname": "triage-bot",
        "details": _details(report, told),
        **summary,
    }
    return OutboxRow(
        identifier=report.identifier,
        sequence=report.sequence,
        event_id=event_id,
        body=encode_canonical(body),
        due_at=due_at,
        report=report,
        hash=told["hash"],
    )


def read_report(row: OutboxRow) -> Report:
    """Return the report that a row of the outbox was written from.

    The previous release stores only the body and, if it shares a table, drops our facts when it replays
    a report. Such rows, which are removed within RETAIN_DAYS, are parsed from their body: what the body of a
    note omits (name, confidence, response) is empty, or the default.
    """
    if row.report is not None:
        return row.report
    body = json.loads(row.body)
    details = body["details"]
    user = details.get("user") or {"email": details["email"], "slack": details["slack"], "slackName": ""}
    return Report(
        identifier=row.identifier,
        sequence=row.sequence,
        response=details.get("response", ""),
        note=body["category"] == _NOTE,
        at=datetime.fromisoformat(body["timestamp"]),
        email=user["email"],
        slack_id=user["slack"],
        slack_name=unpad(user["slackName"]),
        confidence=Confidence(details.get("identityConfidence", Confidence.LOWEST)),
        **_read_facts(details["triagebot"]),
    )


def category_of(report: Report) -> str:
    """Return the category under which MozDef receives a report."""
    return _NOTE if report.note else _ANSWER


def read_told(row: OutboxRow) -> dict[str, Any]:
    """Return the object `triagebot` of a report, as it goes out."""
    told: dict[str, Any] = json.loads(row.body)["details"]["triagebot"]
    return told


def _parse(body: str) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        # No text is both: a JSON object starts with a brace, which base64 does not contain.
        return json.loads(base64.b64decode("".join(body.split()), validate=True).decode())


class _Rule(NamedTuple):
    """`read` returns the field's value, or None if it breaks the rule."""

    words: str
    read: Callable[[object], str | None]


def _read_label(value: object) -> str | None:
    if isinstance(value, str) and 1 <= len(value) <= _LABEL_LENGTH and not _UNSTORABLE.search(value):
        return value
    return None


def _read_summary(value: object) -> str | None:
    # Only people read this text, so what cannot be encoded is replaced, not rejected. One more character is
    # kept than will be read: `clean` then knows that the text was longer.
    read = value[: READ_MAX + 1] if isinstance(value, str) else ""
    return _LONE_SURROGATE.sub("\ufffd", read) or None


def _read_address(value: object) -> str | None:
    if isinstance(value, str) and len(value) <= _ADDRESS_LENGTH and _ADDRESS.fullmatch(value):
        return value
    return None


def _read_confidence(value: object) -> str | None:
    return value if isinstance(value, str) and value in _CONFIDENCES else None


_RULES: Mapping[str, _Rule] = {
    "identifier": _Rule("1 to 255 characters, no NUL, no lone surrogate", _read_label),
    "alert": _Rule("1 to 255 characters, no NUL, no lone surrogate", _read_label),
    "summary": _Rule("a text of at least 1 character", _read_summary),
    "user": _Rule("an ASCII e-mail address of at most 254 characters", _read_address),
    "identityConfidence": _Rule("one of " + ", ".join(Confidence), _read_confidence),
}


def _read(fields: dict[str, Any]) -> TriageRequest | InvalidBody:
    fields = {"identityConfidence": Confidence.LOWEST.value, **fields}
    values = {name: rule.read(fields.get(name)) for name, rule in _RULES.items()}
    broken = [name for name, value in values.items() if value is None]
    request = _request(values) if values["identifier"] else None
    if request and not broken:
        return _decorate(request, fields)
    complaints = tuple(_complaint(name, fields) for name in broken)
    return InvalidBody(
        reason="; ".join(complaints),
        salvaged=replace(request, left_out=complaints) if request else None,
        fault=broken[0] if len(broken) == 1 else "several_fields",
    )


def _complaint(name: str, fields: Mapping[str, Any]) -> str:
    return f"{name} must be {_RULES[name].words}" if name in fields else f"{name} is missing"


def _request(values: Mapping[str, str | None]) -> TriageRequest:
    return TriageRequest(
        identifier=values["identifier"] or "",
        alert=values["alert"] or "",
        summary=values["summary"] or "",
        user=values["user"] or "",
        confidence=Confidence(values["identityConfidence"] or Confidence.LOWEST),
    )


def _decorate(request: TriageRequest, fields: Mapping[str, Any]) -> TriageRequest:
    """Return a request with what the optional fields say, as far as they keep their rules."""
    occurred_at = _read_moment(fields.get("occurredAt"))
    no_time = (_NOT_A_TIME,) if occurred_at is None and "occurredAt" in fields else ()
    facts, faults = _read_alert_facts(fields["facts"]) if "facts" in fields else ((), ())
    if occurred_at is None and not (facts or no_time or faults):
        return request
    return replace(request, occurred_at=occurred_at, facts=facts, left_out=(*no_time, *faults))


def _read_moment(value: object) -> datetime | None:
    """Return when it happened, in UTC; None if that is no valid time. That it lies ahead is judged later."""
    if not (isinstance(value, str) and len(value) <= _TIME_LENGTH and _TIME.fullmatch(value)):
        return None
    try:
        moment = datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):  # no day of the calendar, or none that UTC has
        return None
    return moment if moment >= _EPOCH else None


def _read_alert_facts(value: object) -> tuple[tuple[Fact, ...], tuple[str, ...]]:
    """Return the facts that keep their rule, cleaned, and what is wrong with the others."""
    if not isinstance(value, list):
        return (), ("facts must be an array",)
    read = [_read_fact(member) for member in value[:FACTS_MAX]]
    wrong = ", ".join(str(number) for number, fact in enumerate(read, start=1) if fact is None)
    faults = {
        f"facts {wrong}: each must have a name of 1 to {FACT_NAME_MAX} characters"
        f" and a value of 1 to {FACT_VALUE_MAX}": wrong,
        f"facts after the first {FACTS_MAX}": len(value) > FACTS_MAX,
    }
    return tuple(filter(None, read)), tuple(words for words, holds in faults.items() if holds)


def _read_fact(member: object) -> Fact | None:
    if not isinstance(member, dict):
        return None
    name = _read_line(member.get("name"), FACT_NAME_MAX)
    value = _read_line(member.get("value"), FACT_VALUE_MAX)
    return Fact(name=name, value=value) if name and value else None


def _read_line(value: object, limit: int) -> str:
    """Return a text cleaned, on one line; "" if it is none, too long, or nothing of it can be seen."""
    if not (isinstance(value, str) and len(value) <= limit):
        return ""
    cleaned = clean(value, limit, one_line=True)
    return cleaned.text if cleaned.is_whole else ""


def _details(report: Report, told: dict[str, Any]) -> dict[str, Any]:
    if report.note:
        # Without `user` and `response`, and in its own category: MozDef indexes it and leaves the alert
        # unchanged.
        flat = {"email": report.email, "slack": report.slack_id}
        return {"identifier": report.identifier, "triagebot": told, **flat}
    return {
        "identifier": report.identifier,
        "user": {"email": report.email, "slack": report.slack_id, "slackName": pad(report.slack_name)},
        "identityConfidence": report.confidence,
        "response": report.response,
        "triagebot": told,
    }


def _facts(report: Report, event_id: str) -> dict[str, Any]:
    always = {"outcome": report.outcome, "eventId": event_id, "sequence": report.sequence}
    sometimes = {
        "alert": pad_alert(report.alert),
        "reason": pad_reason(report.reason),
        "askedAt": _format_utc(report.asked_at) if report.asked_at else "",
        "answeredAt": _format_utc(report.answered_at) if report.answered_at else "",
        "askedSlack": report.asked_slack_id,
        "said": report.said,
        "retracted": report.retracted,
        "comment": pad(report.comment),
        "factor": _write_proof(report.proof) if report.proof else None,
        "question": pad(report.inquiry.text) if report.inquiry else "",
        "askedBy": report.inquiry.slack_id if report.inquiry else "",
        "inReplyTo": report.in_reply_to,
    }
    return always | {name: value for name, value in sometimes.items() if value}


def _read_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a report that `_facts` wrote."""
    times = {"asked_at": facts.get("askedAt"), "answered_at": facts.get("answeredAt")}
    return {
        "outcome": Outcome(facts["outcome"]),
        "alert": unpad(facts.get("alert", "")),
        "reason": unpad(facts.get("reason", "")),
        **{name: datetime.fromisoformat(text) if text else None for name, text in times.items()},
        "asked_slack_id": facts.get("askedSlack", ""),
        "said": Choice(facts["said"]) if "said" in facts else None,
        "retracted": facts.get("retracted", False),
        "comment": unpad(facts.get("comment", "")),
        "proof": _read_proof(facts["factor"]) if "factor" in facts else None,
        "inquiry": _read_inquiry(facts) if "question" in facts else None,
        "in_reply_to": facts.get("inReplyTo"),
    }


def _write_proof(proof: Proof) -> dict[str, str]:
    return {"method": proof.method, "provider": pad(proof.provider), "at": _format_utc(proof.at)}


def _read_proof(facts: Mapping[str, str]) -> Proof:
    at = datetime.fromisoformat(facts["at"])
    return Proof(method=facts["method"], provider=unpad(facts["provider"]), at=at)


def _read_inquiry(facts: Mapping[str, str]) -> InquiryNote:
    return InquiryNote(text=unpad(facts["question"]), slack_id=facts.get("askedBy", ""), slack_name="")


def _format_utc(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise ValueError("the times of a report must be aware, not naive")
    return (moment if moment.tzinfo is UTC else moment.astimezone(UTC)).isoformat()
