"""Converts questions that were found in conversations after a restore to JSON and back."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from bot.store.records.rows import EPOCH, microseconds, moment
from bot.triage.model import Choice, Confidence, FoundQuestion, MessageRef, Shown, TriageRequest
from bot.triage.outcomes import Outcome


def found_facts(found: FoundQuestion) -> str:
    """Return a question that was found, as JSON."""
    facts: dict[str, Any] = {
        "ref": found.ref,
        "channel": found.message_ref.channel,
        "ts": found.message_ref.ts,
        "posted_at": microseconds(found.posted_at),
        "slack_id": found.slack_id,
    }
    if (shown := found.shown) is not None:
        facts["shown"] = {
            "reports": shown.reports,
            "standing": shown.standing,
            "said": shown.said,
            "answered_at": microseconds(shown.answered_at),
            "is_unsure": shown.is_unsure,
            "card_ts": shown.card_ts,
            "proofs": shown.proofs,
            "reason": shown.reason,
        }
    if (request := found.request) is not None:
        names = ("identifier", "alert", "summary", "user", "confidence", "left_out")
        facts["request"] = {name: getattr(request, name) for name in names}
    return json.dumps(facts, ensure_ascii=False, separators=(",", ":"))


def found_from(facts: str) -> FoundQuestion:
    """Return the question of such a JSON text.

    Raises `ValueError` for a value that this release does not know.
    """
    kept = json.loads(facts)
    request = kept.get("request")
    return FoundQuestion(
        ref=kept["ref"],
        message_ref=MessageRef(channel=kept["channel"], ts=kept["ts"]),
        posted_at=EPOCH + timedelta(microseconds=kept["posted_at"]),
        shown=_shown_from(kept["shown"]) if "shown" in kept else None,
        request=request and _request_from(request),
        slack_id=kept["slack_id"],
    )


def _shown_from(kept: dict[str, Any]) -> Shown:
    return Shown(
        reports=kept["reports"],
        standing=Outcome(kept["standing"]) if kept["standing"] else None,
        said=Choice(kept["said"]) if kept["said"] else None,
        answered_at=moment(kept["answered_at"]),
        is_unsure=kept["is_unsure"],
        card_ts=kept["card_ts"],
        proofs=kept.get("proofs"),
        reason=kept.get("reason", ""),
    )


def _request_from(kept: dict[str, Any]) -> TriageRequest:
    words = {name: kept[name] for name in ("identifier", "alert", "summary", "user")}
    return TriageRequest(**words, confidence=Confidence(kept["confidence"]), left_out=tuple(kept["left_out"]))
