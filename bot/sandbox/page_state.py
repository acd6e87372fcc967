"""The state of the page, as one JSON document built from the trial. Pure: changes nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from bot.sandbox.samples import SAMPLES
from bot.sandbox.slack_state import slack_state
from bot.sandbox.supervisor import WorkerState
from bot.sandbox.trial_samples import (
    BURST,
    HINTS,
    HOSTILE_TEXT,
    NOTE_REQUIRED,
    SECOND_FACTOR,
    THIRTY_SECONDS,
    TRIAL_SAMPLES,
)
from bot.sandbox.worker_process import ALERT_URL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.sandbox.child_process import ChildProcess
    from bot.sandbox.ledger import Ledger, Receipt, SentAlert
    from bot.sandbox.phone import Prompt
    from bot.sandbox.samples import Sample
    from bot.sandbox.trial import Trial

Json = dict[str, Any]

#: The page shows this many alerts and receipts; older ones stay in the trial.
SHOWN: Final = 150

#: The phone shows this many prompts.
PROMPTS_SHOWN: Final = 3

#: The keys of `details.triagebot` that the page shows separately.
_SHOWN_DETAILS: Final = (
    *("outcome", "alert", "reason", "said", "retracted", "comment", "sequence"),
    *("question", "inReplyTo"),
)

#: How the page shows each state of the worker but `up`.
_STATES: Final = {
    WorkerState.STARTING: "starting",
    WorkerState.RESTARTING: "starting",
    WorkerState.FROZEN: "down",
    WorkerState.DOWN: "down",
}

_TITLES: Final = {
    "sensitive_host_session": "Sensitive host",
    "duo_bypass_codes_used": "Duo code used",
    "duo_bypass_codes_generated": "Duo codes created",
    "ssh_access_sign_releng": "Signing machine",
    THIRTY_SECONDS: "30 seconds to answer",
    NOTE_REQUIRED: "Note required",
    HOSTILE_TEXT: "Hostile text",
    SECOND_FACTOR: "Second factor",
    BURST: "A burst of eight",
}


def page_state(trial: Trial, labels: Mapping[str, str], *, ended: str | None, failed: bool) -> Json:
    """Return everything the page needs, as JSON; times are in seconds since 1970.

    `ended` says why the trial has ended, `failed` whether by a failure; `labels` are the names of outcomes.
    """
    return {
        "sandbox": trial.id,
        "health": {
            "ready": trial.ready,
            "ended": ended,
            "failed": failed,
            "parts": _parts(trial, ended=ended is not None),
        },
        "samples": [_sample(sample) for sample in (*SAMPLES.values(), *TRIAL_SAMPLES)],
        "alert_url": ALERT_URL,
        **slack_state(trial.workspace),
        "phone": [_prompt(prompt) for prompt in trial.phone.prompts[-PROMPTS_SHOWN:]],
        "alerts": [_alert(alert, trial.ledger, labels) for alert in trial.ledger.alerts[-SHOWN:]],
        "receipts": [_receipt(receipt, trial.ledger, labels) for receipt in trial.ledger.receipts[-SHOWN:]],
    }


def _parts(trial: Trial, *, ended: bool) -> list[Json]:
    sqs = trial.queues.process if trial.queues else None
    return [_worker(trial, ended=ended), _slack(trial, ended=ended), _sqs(trial, sqs, ended=ended)]


def _worker(trial: Trial, *, ended: bool) -> Json:
    supervisor, process = trial.supervisor, trial.worker
    if ended or supervisor is None or process is None:
        return _part("Worker", "", "down" if ended else "starting")
    state = supervisor.state
    if state is WorkerState.UP:
        after = supervisor.back_after
        words = "running" if after is None else f"back after {after:.1f} s"
        told = _part("Worker", words, "up")
    else:
        told = {**_part("Worker", "", _STATES[state]), "words": state.value}
    can_kill = trial.ready and process.running
    return {**told, "pid": process.pid, **_offer("kill-worker", "Kill the worker", offered=can_kill)}


def _slack(trial: Trial, *, ended: bool) -> Json:
    links = trial.slack.links
    words = "1 link" if links == 1 else f"{links} links"
    state = "up" if links else "starting"
    if ended or (trial.ready and not links):
        state = "down"
    return _cuttable("Slack", words, state, is_cut=trial.slack_is_cut, offered=trial.ready and not ended)


def _sqs(trial: Trial, process: ChildProcess | None, *, ended: bool) -> Json:
    is_cut = trial.sqs_relay is not None and trial.sqs_relay.is_cut and not ended
    running = process is not None and process.running
    state = "starting" if process is None and not ended else "up" if running and not ended else "down"
    told = _cuttable("SQS", "3 queues", state, is_cut=is_cut, offered=trial.ready and not ended)
    return told if process is None else {**told, "pid": process.pid}


def _cuttable(name: str, words: str, state: str, *, is_cut: bool, offered: bool) -> Json:
    """Describe a part whose connection to the worker can be cut."""
    told = {**_part(name, "", "down"), "words": "cut off"} if is_cut else _part(name, words, state)
    fault = f"{'restore' if is_cut else 'cut'}-{name.lower()}"
    return {**told, **_offer(fault, f"{'Restore' if is_cut else 'Cut'} {name}", offered=offered)}


def _offer(fault: str, words: str, *, offered: bool) -> Json:
    """Offer a button that breaks something, or mends it."""
    return {"fault": fault, "offer": words} if offered else {}


def _part(name: str, words: str, state: str) -> Json:
    """Describe a part; `words` are shown while it is up."""
    return {"name": name, "state": state, "words": words if state == "up" else state}


def _prompt(prompt: Prompt) -> Json:
    return {"id": prompt.id, "subject": prompt.subject, "code": prompt.code, "state": prompt.state}


def _sample(sample: Sample) -> Json:
    return {
        "alert": sample.alert,
        "title": _TITLES.get(sample.alert, sample.alert),
        "summary": sample.summary,
        "confidence": sample.confidence,
        "hint": HINTS.get(sample.alert),
        "minutes_ago": sample.minutes_ago,
        "facts": dict(sample.facts),
    }


def _alert(alert: SentAlert, ledger: Ledger, labels: Mapping[str, str]) -> Json:
    responses = ledger.responses(alert.identifier)
    told = read_bot_details(responses[-1].body) if responses else {}
    counts = str(told.get("outcome", ""))
    later = str(told.get("said", "")) if told.get("retracted") else ""
    return {
        "identifier": alert.identifier,
        "alert": alert.alert,
        "user": alert.user,
        "confidence": alert.confidence,
        "sent_at": alert.sent_at.timestamp(),
        "status": ledger.status(alert.identifier),
        "counts": labels.get(counts, counts),
        "later": labels.get(later, later),
    }


def _receipt(receipt: Receipt, ledger: Ledger, labels: Mapping[str, str]) -> Json:
    verdict = receipt.verdict
    facts = {
        "number": receipt.number,
        "body": receipt.body,
        "received_at": receipt.received_at.timestamp(),
    }
    if verdict is None:
        return {
            **facts,
            "queue": "dead-letter",
            "identifier": _read_identifier(receipt.body),
            "verdict": receipt.reason,
        }
    told = read_bot_details(receipt.body)
    outcome = str(told.get("outcome", ""))
    return {
        **facts,
        "queue": "response",
        "identifier": verdict.identifier,
        **_change(receipt, ledger, labels),
        "label": labels.get(outcome, outcome),
        "kept": verdict.kept,
        "status": verdict.status,
        "verdict": verdict.reason or "",
        "response": verdict.response,
        "user": verdict.email,
        **told,
    }


def _change(receipt: Receipt, ledger: Ledger, labels: Mapping[str, str]) -> Json:
    """Name the previous answer and this one, if they differ."""
    identifier = receipt.verdict.identifier if receipt.verdict else None
    earlier = [one for one in ledger.responses(identifier or "") if _sequence(one) < _sequence(receipt)]
    now = _said(receipt)
    before = _said(max(earlier, key=_sequence)) if earlier else now
    return {} if before == now else {"before": labels.get(before, before), "now": labels.get(now, now)}


def _said(receipt: Receipt) -> str:
    """Return the person's last choice when this was written; without one, how the question had ended."""
    told = read_bot_details(receipt.body)
    return str(told.get("said") or told.get("outcome", ""))


def _sequence(receipt: Receipt) -> int:
    """Return which of the alert's reports this is; redelivered ones may arrive in another order."""
    return int(read_bot_details(receipt.body).get("sequence", 0))


def _read_identifier(body: str) -> str | None:
    """Return the alert's identifier in a request, which may be of any form."""
    try:
        return str(json.loads(body)["identifier"])
    except (ValueError, LookupError, TypeError):
        return None


def read_bot_details(body: str) -> Json:
    """Return the outcome, alert, reason … in a report's `details.triagebot`; empty if there are none."""
    try:
        told = json.loads(body)["details"]["triagebot"]
        return {key: told[key] for key in _SHOWN_DETAILS if key in told}
    except (ValueError, LookupError, TypeError):
        return {}
