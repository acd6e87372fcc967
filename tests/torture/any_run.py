"""Histories made by hand for tests of the checker: one in which all went well, to be broken in one place."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from random import Random
from typing import Any

from wording import WORDING, as_read

from bot.sandbox.fake_slack import Message

from .alerts import Alert, Kind, make_alerts, make_workspace
from .case import BY_BOT
from .checker import judge
from .history import History, Press
from .orders import CARDED_LABEL, HOLD_SECONDS, SECURITY_CHANNEL
from .promises import Promise
from .sqs_queue import Sent
from .trail_rules import hash_of

RECEIVED_AT = 1000.0
ASKED_AT = 1001.0
ANSWERED_AT = 1010.0

#: What Slack shows.
THANKS, ALERTED, SORRY, CHANGED, IS_OVER, STILL = (
    WORDING["answer"][key] for key in ("yes", "no", "wrongUser", "changed", "timedOut", "retracted")
)
HEADLINES = {
    outcome: as_read(WORDING["card"][outcome], title="Security alert", who=who)
    for outcome, who in [
        *((each, "@p") for each in ("yes", "no", "notSure", "wrongUser", "timedOut")),
        ("undeliverable", "p@example.com"),
    ]
}


def an_alert(kind: Kind = Kind.ASKABLE, *, carded: bool = True) -> Alert:
    alerts = make_alerts(2000, make_workspace(3), Random(2))
    return next(each for each in alerts if each.kind is kind and (each.label == CARDED_LABEL) is carded)


def a_question(
    alert: Alert, *, ts: float = ASKED_AT, channel: str = "", answer: str = THANKS, proof: str = ""
) -> Message:
    shown = {"facts": alert.facts, "question": "Was it you?", "answer": answer, "proof": proof}
    return _message(
        ts,
        channel or f"D{alert.person[1:]}",
        blocks=[_section(block_id, text) for block_id, text in shown.items() if text],
        metadata={"event_type": "triage_question", "event_payload": {"ref": f"{alert.key}.secret"}},
    )


def a_reminder(alert: Alert, *, at: float, number: int = 1, thread: str = f"{ASKED_AT:.6f}") -> Message:
    payload = {"ref": f"{alert.key}.secret", "n": number}
    metadata = {"event_type": "triage_reminder", "event_payload": payload}
    channel = f"D{alert.person[1:]}"
    return _message(at, channel, metadata=metadata, thread_ts=thread, is_broadcast=True)


def a_burst_line(alert: Alert) -> Message:
    """Return the line about waiting questions, in the conversation of an alert's person."""
    metadata = {"event_type": "triage_line", "event_payload": {"ref": "burst.secret"}}
    return _message(ASKED_AT, f"D{alert.person[1:]}", metadata=metadata)


def a_card(alert: Alert, outcome: str, *, at: float = ANSWERED_AT, **shown: str) -> Message:
    """Return a card; what it shows besides may be what was `said_later`, a `note`, and who is `taken_by`."""
    taken = as_read(WORDING["card"]["taken"], who=shown.get("taken_by", ""), date="today")
    said_later = f"\nSaid later: {shown['said_later']}" if "said_later" in shown else ""
    return _message(
        at,
        SECURITY_CHANNEL,
        blocks=[
            _section("outcome", HEADLINES[outcome]),
            _section("summary", f"{alert.identifier}: a login from somewhere"),
            _section("about", f"Confidence: low{said_later}"),
            *([_section("note", shown["note"])] if shown.get("note") else []),
            *([_section("taken", taken)] if shown.get("taken_by") else []),
            {"type": "actions", "block_id": "take"},
        ],
    )


def a_line(text: str, *, at: float = ANSWERED_AT) -> Message:
    """Return a line in the thread of a card of that time."""
    return _message(at + 1, SECURITY_CHANNEL, blocks=[_section("event", text)], thread_ts=f"{at:.6f}")


def a_report(alert: Alert, outcome: str, *, sequence: int = 0, after: float = 0, **facts: Any) -> Sent:
    """Return a report of something that happened at `at`; it is sent this many seconds after the hold."""
    at = facts.pop("at", ANSWERED_AT)
    note = facts.pop("note", "said" in facts or "comment" in facts)
    response = outcome if outcome in {"yes", "no", "wrongUser"} else "wrongUser"
    by_bot = outcome in BY_BOT
    told = {"outcome": outcome, "eventId": f"event-{sequence}", "sequence": sequence, **facts}
    told |= {"previous": "unknown"} if sequence else {}
    details = {
        "identifier": alert.identifier,
        "user": {"email": "p@example.com", "slack": "" if by_bot else alert.person, "slackName": "p"},
        "identityConfidence": "low",
        "response": response,
        "triagebot": {**told, "hash": hash_of(alert.identifier, told)},
    }
    if note:
        del details["user"], details["response"]
    body = {
        "category": "triagebotnote" if note else "triagebot",
        "timestamp": datetime.fromtimestamp(at, UTC).isoformat(),
        "details": details,
    }
    sent_at = RECEIVED_AT + HOLD_SECONDS + after
    return Sent(number=0, at=sent_at, body=json.dumps(body), group="", deduplication="", attributes={})


def presses(alert: Alert, *choices: str, acknowledged: bool = True, at: float = ANSWERED_AT) -> list[Press]:
    facts: dict[str, Any] = {"identifier": alert.identifier, "honest": True, "acknowledged": acknowledged}
    return [
        Press(number=n, choice=choice, began_at=at + n, ended_at=at + n, **facts)
        for n, choice in enumerate(choices)
    ]


def a_run(alert: Alert, **changes: Any) -> History:
    """Return a run with one alert in which all went well, but for the changes."""
    run = History(
        alerts=[alert],
        presses=presses(alert, "yes"),
        messages=[a_question(alert)],
        reports=[a_report(alert, "yes")],
        received={alert.body: RECEIVED_AT},
        deleted={alert.body: RECEIVED_AT + 1},
    )
    return replace(run, **changes)


def broken(history: History) -> set[Promise]:
    return {violation.promise for violation in judge(history)}


def _message(at: float, channel: str, **facts: Any) -> Message:
    return Message(channel=channel, ts=f"{at:.6f}", user="U0TRIAGEBOT", text="As notified", **facts)


def _section(block_id: str, text: str) -> dict[str, Any]:
    return {"type": "section", "block_id": block_id, "text": {"type": "plain_text", "text": text}}
