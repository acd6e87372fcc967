"""The judge of the sandbox: what a stock MozDef does with a message on the response queue."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from bot.sandbox.mozdef import LOSING_WORDS, TRIGGER_WORDS, AlertBook, Effect, judge
from bot.sandbox.samples import SAMPLES


def answer(response: object = "yes", **changes: object) -> str:
    """Write a response body as the contract has it, with `changes` to the keys that they name."""
    details: dict[str, Any] = {
        "identifier": "9Zo02m4B7gIfixq3c4Xh",
        "user": {"email": "ada@example.com", "slack": "U01", "slackName": "ada"},
        "identityConfidence": "lowest",
        "response": response,
        "triagebot": {"outcome": "yes", "sequence": 0},
    }
    event: dict[str, Any] = {"category": "triagebot", "timestamp": "2026-11-24T03:00:00+00:00"}
    event["details"] = details
    for key, value in changes.items():
        target = details if key in details else event
        target[key] = value
    return json.dumps(event)


@pytest.mark.parametrize(
    ("response", "status"), [("yes", "acknowledged"), ("no", "escalated"), ("wrongUser", "manual")]
)
def test_rule_3_each_known_response_sets_its_status(response: str, status: str) -> None:
    verdict = judge(answer(response))

    assert (verdict.kept, verdict.effect, verdict.status) == (True, Effect.CHANGES_ALERT, status)
    assert verdict.identifier == "9Zo02m4B7gIfixq3c4Xh"


@pytest.mark.parametrize("response", ["wronguser", "notSure", "notsure", "timedOut", "", None, 1, ["yes"]])
def test_rule_1_any_other_response_is_lost(response: object) -> None:
    verdict = judge(answer(response))

    assert not verdict.kept
    assert verdict.effect is Effect.DROPPED
    assert verdict.reason is not None
    assert "not one of yes, no, wrongUser" in verdict.reason


@pytest.mark.parametrize(
    "changes",
    [
        {"identityConfidence": "certain"},
        {"identityConfidence": None},
        {"identifier": None},
        {"user": {"email": None, "slack": "U01"}},
        {"user": {"email": "ada@example.com", "slack": None}},
        {"user": None},
        {"type": "event"},
        {"eventtype": "event"},
        {"timestamp": None},
        {"timestamp": "soon"},
        {"timestamp": "1764000000"},
        {"triagebot": {"comment": "x" * 32_767}},
    ],
)
def test_rules_1_2_8_and_9_what_mozdef_cannot_take_is_dropped(changes: dict[str, object]) -> None:
    verdict = judge(answer("no", **changes))

    assert (verdict.effect, verdict.status) == (Effect.DROPPED, None)
    assert verdict.reason


@pytest.mark.parametrize("body", ["", "hello", "{", answer(tags="bot"), answer(tags=None), "[" * 100_000])
def test_rule_9_what_kills_the_worker_is_poison(body: str) -> None:
    assert judge(body).effect is Effect.POISON


def test_rule_2_an_empty_slack_id_passes() -> None:
    verdict = judge(answer("wrongUser", user={"email": "ada@example.com", "slack": ""}))

    assert verdict.status == "manual"


def test_base64_of_the_body_is_read_like_the_body_and_what_is_no_event_is_dropped() -> None:
    encoded = base64.b64encode(answer("no").encode()).decode()

    assert judge(encoded) == judge(answer("no"))
    assert judge("[]").effect is judge('{"details": {}}').effect is Effect.DROPPED


def test_rule_10_a_note_is_indexed_and_leaves_the_alert_alone() -> None:
    book = AlertBook(["9Zo02m4B7gIfixq3c4Xh"])
    book.receive(answer("no"))
    details = {"identifier": "9Zo02m4B7gIfixq3c4Xh", "email": "a@b.c", "slack": "U01"}

    verdict = book.receive(json.dumps({"category": "triagebotnote", "details": details}))

    assert (verdict.kept, verdict.effect, verdict.status) == (True, Effect.INDEXED, None)
    assert (verdict.email, verdict.slack) == ("a@b.c", "U01")
    assert book.status("9Zo02m4B7gIfixq3c4Xh") == "escalated"


def test_rule_4_an_alert_that_is_not_known_yet_loses_its_answer() -> None:
    book = AlertBook()

    early = book.receive(answer("no"))
    book.add("9Zo02m4B7gIfixq3c4Xh")
    late = book.receive(answer("no"))

    assert (early.effect, early.reason, early.status) == (Effect.DROPPED, "Alert not found", None)
    assert late.status == book.status("9Zo02m4B7gIfixq3c4Xh") == "escalated"


@pytest.mark.parametrize(
    ("response", "effect"),
    [("no", Effect.DROPPED), ("wrongUser", Effect.DROPPED), ("yes", Effect.CHANGES_ALERT)],
)
def test_rule_5_a_repeat_is_dropped_unless_it_is_yes(response: str, effect: Effect) -> None:
    book = AlertBook(["9Zo02m4B7gIfixq3c4Xh"])
    book.receive(answer(response))

    assert book.receive(answer(response)).effect is effect


def test_rule_5_the_same_response_of_somebody_else_is_no_repeat() -> None:
    book = AlertBook(["9Zo02m4B7gIfixq3c4Xh"])
    book.receive(answer("wrongUser", user={"email": "ada@example.com", "slack": ""}))

    assert book.receive(answer("wrongUser")).kept


def test_rule_6_what_was_dropped_changes_nothing_later() -> None:
    book = AlertBook()
    early = book.receive(answer("no"))

    book.add("9Zo02m4B7gIfixq3c4Xh")

    assert early.effect is Effect.DROPPED
    assert book.status("9Zo02m4B7gIfixq3c4Xh") is None


def test_rule_9_the_summary_is_mozdef_s_own_for_an_answer_and_unknown_where_a_note_has_none() -> None:
    note = {"category": "triagebotnote", "details": {}}

    assert judge(answer("no", summary="mine")).summary == "TriageBot Response: no from: ada@example.com"
    assert judge(json.dumps(note)).summary == "UNKNOWN"
    assert judge(json.dumps({**note, "summary": "mine"})).summary == "mine"


@pytest.mark.parametrize("word", sorted(TRIGGER_WORDS))
def test_rule_11_a_trigger_word_as_a_value_spoils_or_loses_the_event(word: str) -> None:
    verdicts = [
        judge(answer("no", triagebot={"comment": word.upper()})),
        judge(answer("no", triagebot={"notes": [{"deeper": [word]}]})),
        judge(answer("no", triagebot={word: 1})),
    ]

    assert {verdict.effect for verdict in verdicts} == {
        Effect.DROPPED if word in LOSING_WORDS else Effect.SPOILED
    }
    assert not any(verdict.kept for verdict in verdicts)


def test_rule_11_a_trigger_word_among_others_or_with_a_space_wakes_nobody() -> None:
    assert judge(answer("no", triagebot={"comment": "the ldap was down"})).kept
    assert judge(answer("no", triagebot={"comment": "ldap "})).kept


def test_rule_7_the_last_answer_wins() -> None:
    book = AlertBook(["9Zo02m4B7gIfixq3c4Xh"])

    statuses = [book.receive(answer(response)).status for response in ("yes", "no", "yes")]

    assert statuses == ["acknowledged", "escalated", "acknowledged"]
    assert book.status("9Zo02m4B7gIfixq3c4Xh") == "acknowledged"


def test_the_samples_are_the_four_known_alerts_with_their_confidence() -> None:
    assert {label: sample.confidence for label, sample in SAMPLES.items()} == {
        "sensitive_host_session": "highest",
        "duo_bypass_codes_used": "moderate",
        "duo_bypass_codes_generated": "lowest",
        "ssh_access_sign_releng": "high",
    }
    assert all("@" not in sample.summary for sample in SAMPLES.values())
