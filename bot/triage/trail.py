"""The trail of an alert: every decision about it as an event, chained by hashes. Pure.

The hash of an event covers all that it says, its alert, and the hash of the event before: an event that was
changed, removed, moved or slipped in does not fit the chain. The question keeps the hash of the last one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Any, NamedTuple

from bot.triage.assignments import AssignmentKind
from bot.triage.event_kinds import EventFacts, EventKind
from bot.triage.inquiry import Delivery, Inquiry
from bot.triage.model import OutboxRow, Question, State, Step, Trail, TrailEvent

#: Replaces the previous hash if a release without a trail has written the question since.
UNKNOWN = "unknown"

#: The most refused clicks of an alert, and the most consecutive failed attempts, that are recorded as events.
REPEATS_MAX = 20

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def encode_canonical(value: Any) -> str:
    """Return canonical JSON: sorted keys, no spaces, ASCII (SQS rejects characters that XML lacks)."""
    return _CANONICAL.encode(value)


def hash_of(value: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON, in hex."""
    return sha256(_CANONICAL.encode(value).encode("ascii")).hexdigest()


def hash_of_report(identifier: str, told: dict[str, Any]) -> str:
    """Return the hash of a report, from its `triagebot` without or with the hash."""
    covered = {name: value for name, value in told.items() if name != "hash"}
    return hash_of({"identifier": identifier, "triagebot": covered})


def hash_of_event(  # noqa: PLR0913, PLR0917 - it is all that an event says
    identifier: str, version: int, at: datetime, kind: EventKind, facts: EventFacts, previous: str
) -> str:
    """Return the hash of an event: see `TrailEvent` for what it covers."""
    return hash_of([identifier, version, at.isoformat(), kind, facts, previous or None])


def make_event(  # noqa: PLR0913 - it is all that an event says
    identifier: str,
    version: int,
    trail_hash: str,
    *,
    kind: EventKind,
    facts: EventFacts,
    at: datetime,
) -> TrailEvent:
    """Return the event that follows the one with the hash `trail_hash`, stored with this version."""
    previous = trail_hash or (UNKNOWN if version else "")
    return TrailEvent(
        identifier=identifier,
        version=version,
        at=at,
        kind=kind,
        facts=facts,
        previous=previous,
        hash=hash_of_event(identifier, version, at, kind, facts, previous),
    )


def find_event(
    before: Question | None, step: Step, report: OutboxRow | None
) -> tuple[EventKind, EventFacts] | None:
    """Return the event for a step that was decided on `before` (None: the question is new).

    None if it is no decision about the alert, or one of too many in a row. `report` is the step's, if any.
    """
    found = _find_kind(before, step)
    if found is None or report is None:
        return found
    kind, facts = found
    after = step.question
    reason = {"reason": after.reason} if after.reason else {}
    outcome: EventFacts = {"outcome": str(after.standing), "sequence": report.sequence, "report": report.hash}
    return kind, {**facts, **outcome, **reason}


def seal(line: dict[str, Any]) -> dict[str, Any]:
    """Return the object with the hash of its other keys added, as `sha256`."""
    return line | {"sha256": hash_of(line)}


def previous_report(before: Question | None, sequence: int) -> str:
    """Return the hash of the report before the one with this sequence: "" if there is none.

    `UNKNOWN` if it is lost, or if the store was restored and does not know which it was.
    """
    if not sequence:
        return ""
    is_known = before is not None and before.reports == sequence
    return (before.report_hash if before and is_known else "") or UNKNOWN


def find_breaks(trail: Trail) -> Iterator[str]:
    """Yield where a trail is broken, as clauses; nothing if it is intact. Gaps are not breaks."""
    last = ""
    for event in trail.events:
        last = event.hash
        told = (event.identifier, event.version, event.at, event.kind, event.facts, event.previous)
        if last != hash_of_event(*told):
            yield f"event {event.version} ({event.kind}) is changed, or the one before it is missing"
    if trail.question.trail_hash not in ("", last):
        yield "the last event is missing"


def _find_kind(before: Question | None, step: Step) -> tuple[EventKind, EventFacts] | None:
    after, refused = step.question, step.refused
    if before is None:
        return EventKind.ACCEPTED, {"confidence": after.request.confidence}
    if refused is not None:
        is_one_of_many = after.refusals > REPEATS_MAX
        return (
            None
            if is_one_of_many
            else (EventKind.REFUSED, {"by": refused.slack_id, "reason": refused.reason})
        )
    if step.inquiry is not None:
        return _find_kind_of_inquiry(step.inquiry, after)
    if step.ignored is not None:
        return EventKind.PROOF_IGNORED, {"verdict": step.ignored}
    for kind, holds, tell, is_an_attempt in _RULES:
        if holds(before, after):
            is_one_of_many = is_an_attempt and before.attempts >= REPEATS_MAX
            return None if is_one_of_many else (kind, tell(before, after))
    return None


def _find_kind_of_inquiry(inquiry: Inquiry, after: Question) -> tuple[EventKind, EventFacts]:
    if inquiry.version == 1:
        return EventKind.ASKED_BACK, {"by": inquiry.slack_id, "n": inquiry.number}
    if inquiry.delivery is Delivery.FAILED:
        return EventKind.NOT_ASKED_BACK, {"n": inquiry.number, "why": inquiry.reason}
    return EventKind.REPLIED, {"by": after.slack_id, "n": inquiry.number}


class _Rule(NamedTuple):
    """How to recognise an event: how the stored question differs from the one before."""

    kind: EventKind
    holds: Callable[[Question, Question], bool]
    tell: Callable[[Question, Question], EventFacts] = lambda _, __: {}
    is_an_attempt: bool = False  #: repeated while it fails


def _tell_place(_: Question, after: Question) -> EventFacts:
    return {"channel": after.channel, "ts": after.ts}


def _tell_answer(before: Question, after: Question) -> EventFacts:
    # A click can be the first proof that the question was posted, and where.
    proof = _tell_place(before, after) if after.ts and not before.ts else {}
    proving = {"n": after.proofs} if after.proofs > before.proofs else {}
    return {"by": after.slack_id, "said": str(after.said), **proof, **proving}


def _is_assigned(kind: AssignmentKind, before: Question, after: Question) -> bool:
    return len(after.handled) > len(before.handled) and after.handled[-1].kind is kind


def _tell_assignment(_: Question, after: Question) -> EventFacts:
    last = after.handled[-1]
    if not last.by:  # see `Assignment`
        return {}
    return {"by": last.by, "to": last.to} if last.kind is AssignmentKind.HANDED_OVER else {"by": last.by}


#: The first rule that holds counts.
_RULES = (
    _Rule(
        EventKind.REOPENED,
        lambda before, after: before.state is State.CLOSED and after.state is State.ACCEPTED,
        lambda _, after: {"confidence": after.request.confidence},
    ),
    _Rule(
        EventKind.ANSWERED,
        lambda before, after: after.answers > before.answers or after.proofs > before.proofs,
        _tell_answer,
    ),
    _Rule(EventKind.PROVED, lambda before, after: after.proved_at not in (None, before.proved_at)),
    _Rule(
        EventKind.NOT_PROVED,
        lambda before, after: (
            bool(before.proof_code) and not after.proof_code and after.notes == before.notes
        ),
        lambda _, after: {"n": after.proofs},
    ),
    _Rule(
        EventKind.NOTED,
        lambda before, after: after.notes > before.notes,
        lambda _, after: {"by": after.slack_id},
    ),
    *(_Rule(EventKind(kind.value), partial(_is_assigned, kind), _tell_assignment) for kind in AssignmentKind),
    _Rule(
        EventKind.WAITED,
        lambda before, after: after.waited_since is not None and before.waited_since is None,
    ),
    _Rule(EventKind.ENDED, lambda before, after: after.reports > before.reports),
    _Rule(
        EventKind.GIVEN_UP,
        lambda before, after: bool(before.waits_for) and after.state is State.CLOSED,
    ),
    _Rule(EventKind.ASKED, lambda before, after: bool(after.ts) and not before.ts, _tell_place),
    _Rule(
        EventKind.REMINDED,
        lambda before, after: after.reminders > before.reminders,
        lambda _, after: {"n": after.reminders},
        is_an_attempt=True,
    ),
    _Rule(
        EventKind.NOT_REMINDED,
        lambda before, after: after.reminders < before.reminders,
        lambda before, _: {"n": before.reminders},
        is_an_attempt=True,
    ),
    _Rule(
        EventKind.CLAIMED,
        lambda before, after: _is_claimed(after) and not _is_claimed(before),
        lambda _, after: {"person": after.slack_id},
        is_an_attempt=True,
    ),
    _Rule(
        EventKind.NOT_POSTED,
        lambda before, after: _is_claimed(before) and not _is_claimed(after),
        is_an_attempt=True,
    ),
)


def _is_claimed(question: Question) -> bool:
    return question.state is State.POSTING and question.in_doubt_since is not None
