"""What a question's message tells this program, besides what it tells people. Pure.

A restored store lacks what came after its backup. The messages have it: their metadata names the request, and
the id of a block names what the message shows, and changes with each redraw.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from bot.triage.asking_rules import AS_SHOWN
from bot.triage.model import FOUND_LINE, Choice, Confidence, FoundQuestion, MessageRef, Shown, TriageRequest
from bot.triage.outcomes import FACTOR_REASONS, Outcome, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.triage.inquiry import Inquiry
    from bot.triage.model import Question

#: What each answer button's action_id starts with; no other action_id of ours does.
ACTION_PREFIX = "answer-"

#: Marks a question's message, so that it can be recognised.
QUESTION_EVENT = "triage_question"

#: Marks the message of a follow-up question, and its button.
INQUIRY_EVENT = "triage_inquiry"
REPLY_ACTION = "reply"
#: Marks the line about waiting questions.
LINE_EVENT = "triage_line"

#: What the id of the block starts with that says what the message shows.
_SHOWS = "shows:"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def question_metadata(question: Question) -> dict[str, Any]:
    """Return the metadata of a question's message: less than 7,000 characters; Slack takes 8,000."""
    request = question.request
    payload = {
        "ref": question.ref,
        "identifier": request.identifier,
        "user": request.user,
        "alert": request.alert,
        "confidence": request.confidence.value,
    }
    return {"event_type": QUESTION_EVENT, "event_payload": payload}


def inquiry_metadata(inquiry: Inquiry) -> dict[str, Any]:
    """Return the metadata of an inquiry's message."""
    return {"event_type": INQUIRY_EVENT, "event_payload": {"ref": inquiry.ref}}


def is_inquiry(message: Mapping[str, Any], ref: str) -> bool:
    """Whether a message of the history is the inquiry with this ref, by its metadata or by its button."""
    metadata = message.get("metadata")
    if isinstance(metadata, dict) and metadata.get("event_type") == INQUIRY_EVENT:
        return _payload(message).get("ref") == ref
    return any(
        element.get("action_id") == REPLY_ACTION and element.get("value") == ref
        for block in _dicts(message.get("blocks"))
        for element in _dicts(block.get("elements"))
    )


def line_metadata(line: Question) -> dict[str, Any]:
    """Return the metadata of the line about waiting questions."""
    return {"event_type": LINE_EVENT, "event_payload": {"ref": line.ref}}


def shown_id(question: Question) -> str:
    """Return the id of a block that says what the message shows: at most 120 characters; Slack takes 255.

    What it says of proofs comes last, and only where there is any need of one.
    """
    answered = (question.answered_at - _EPOCH) // _MICROSECOND if question.answered_at else ""
    words = (
        question.reports,
        question.standing or "",
        question.said or "",
        answered,
        int(question.is_unsure),
        question.card_ts,
    )
    reason = question.reason if question.reason in FACTOR_REASONS else ""
    proofs = (question.proofs, reason) if question.needs_factor or question.proofs or reason else ()
    return _SHOWS + ":".join(map(str, words + proofs))


def is_question(message: Mapping[str, Any], ref: str) -> bool:
    """Whether a message of the history is the question, or the line about waiting ones, with this ref."""
    metadata = message.get("metadata")
    is_line = isinstance(metadata, dict) and metadata.get("event_type") == LINE_EVENT
    return ref == (_payload(message).get("ref") if is_line else _read_ref(message))


def read_question(message: Mapping[str, Any], channel: str) -> FoundQuestion | None:
    """Return the question that a message of the history is; None if it is none."""
    ref = _read_ref(message)
    found = _found(message, ref, channel) if ref else None
    return found and replace(found, shown=_read_shown(message), request=_read_request(message))


def read_line(message: Mapping[str, Any], channel: str) -> FoundQuestion | None:
    """Return the line about waiting questions that a message of the history is; None if it is none."""
    metadata = message.get("metadata")
    is_line = isinstance(metadata, dict) and metadata.get("event_type") == LINE_EVENT
    ref = _payload(message).get("ref") if is_line else None
    return _found(message, f"{FOUND_LINE}{ref}", channel) if isinstance(ref, str) and ref else None


def _found(message: Mapping[str, Any], ref: str, channel: str) -> FoundQuestion | None:
    ts = message.get("ts")
    if not isinstance(ts, str):
        return None
    try:
        posted_at = datetime.fromtimestamp(float(ts), UTC)
    except (ValueError, OverflowError, OSError):
        return None
    place = MessageRef(channel=channel, ts=ts)
    return FoundQuestion(ref=ref, message_ref=place, posted_at=posted_at, shown=None)


def _read_ref(message: Mapping[str, Any]) -> str:
    """Return the ref of a question's message; "" if it is none.

    It is known by its metadata; or by its answer buttons, for Slack may drop the metadata with a redraw.
    """
    metadata = message.get("metadata")
    if isinstance(metadata, dict) and metadata.get("event_type") == QUESTION_EVENT:
        return str(_payload(message).get("ref") or "")
    return next(
        (
            str(element.get("value"))
            for block in _dicts(message.get("blocks"))
            for element in _dicts(block.get("elements"))
            if str(element.get("action_id")).startswith(ACTION_PREFIX) and element.get("value")
        ),
        "",
    )


def _read_shown(message: Mapping[str, Any]) -> Shown | None:
    ids = (str(block.get("block_id")) for block in _dicts(message.get("blocks")))
    found = next((each for each in ids if each.startswith(_SHOWS)), "")
    try:
        reports, standing, said, answered, unsure, card_ts, *of_factor = found.removeprefix(_SHOWS).split(":")
        proofs, reason = of_factor or ("", "")
        return Shown(
            reports=int(reports),
            standing=Outcome(standing) if standing else None,
            said=Choice(said) if said else None,
            answered_at=_EPOCH + int(answered) * _MICROSECOND if answered else None,
            is_unsure=unsure == "1",
            card_ts=card_ts,
            proofs=int(proofs) if of_factor else None,
            reason=Reason(reason) if reason else "",
        )
    except (ValueError, OverflowError):
        return None


def _read_request(message: Mapping[str, Any]) -> TriageRequest | None:
    payload = _payload(message)
    words = [payload.get(name) for name in ("identifier", "alert", "user")]
    identifier, alert, user = (each if isinstance(each, str) else "" for each in words)
    try:
        confidence = Confidence(str(payload.get("confidence")))
    except ValueError:
        return None
    if not identifier or not alert or not user:
        return None
    return TriageRequest(
        identifier=identifier,
        alert=alert,
        summary=_read_summary(message),
        user=user,
        confidence=confidence,
        left_out=(AS_SHOWN,),
    )


def _read_summary(message: Mapping[str, Any]) -> str:
    blocks = (each for each in _dicts(message.get("blocks")) if each.get("block_id") == "summary")
    return "".join(
        str(part.get("text", ""))
        for block in blocks
        for element in _dicts(block.get("elements"))
        for part in _dicts(element.get("elements"))
    )


def _payload(message: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = message.get("metadata")
    payload = metadata.get("event_payload") if isinstance(metadata, dict) else None
    return payload if isinstance(payload, dict) else {}


def _dicts(value: object) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
