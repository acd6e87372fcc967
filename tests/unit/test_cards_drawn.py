"""What the security team reads: the card, and the lines in its thread."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from drawn import POLICY, a_question, assert_slack_takes, block, objects_in, text_in
from fakes import NOON, a_request
from wording import WORDING, as_read

from bot.sandbox.fake_slack.objects import text_of_block
from bot.slack.render.burst import burst_card
from bot.slack.render.card import CardLinks, card_message, thread_line
from bot.triage.assignments import Assignment, AssignmentKind
from bot.triage.model import Choice, Question, Report
from bot.triage.outcomes import Outcome
from bot.triage.places import Burst, Line, Places
from bot.triage.policy import AlertPolicies, AlertPolicy, Policy
from bot.triage.reporting import report_on

ALERT_URL = "https://mozdef.example/alerts/{identifier}"
WORDS: Mapping[str, str] = WORDING["card"]
LATER = NOON + timedelta(minutes=5)
ANSWERED = replace(
    a_question(),
    slack_name="ada",
    said=Choice.NO,
    standing=Outcome.NO,
    answers=1,
    reports=1,
    asked_at=NOON,
    answered_at=LATER,
    settled_at=LATER,
)
WORKSPACE = "https://sandbox.slack.com"
WHEN = "Tue 24 Nov 2026, 12:05 (UTC)"


def drawn(question: Question, *, policy: Policy = POLICY, alert_url: str = ALERT_URL) -> dict[str, Any]:
    return card_message(question, WORDING, policy, CardLinks(workspace=WORKSPACE, alert_url=alert_url))


def line(event: Report | Assignment) -> dict[str, Any]:
    return thread_line(ANSWERED, event, WORDING, POLICY, CardLinks(workspace=WORKSPACE))


def told(**changes: Any) -> Report:
    """The report of an event; without changes it is that of a no."""
    report = report_on(a_question(), ANSWERED, at=LATER, policy=POLICY)
    return replace(report, **changes)


def links_in(card: dict[str, Any]) -> list[tuple[str, str]]:
    return [(each["url"], each["text"]) for each in objects_in(card) if each["type"] == "link"]


def noted(question: Question, note: str = "I was on a train.", *, minutes: int = 6) -> Question:
    return replace(
        question,
        note=note,
        notes=question.notes + 1,
        reports=question.reports + 1,
        settled_at=NOON + timedelta(minutes=minutes),
    )


def changed(question: Question, said: Choice, standing: Outcome, *, minutes: int = 7) -> Question:
    at = NOON + timedelta(minutes=minutes)
    return replace(
        question,
        said=said,
        standing=standing,
        answers=question.answers + 1,
        reports=question.reports + 1,
        answered_at=at,
        settled_at=at,
    )


def test_a_card_tells_who_what_and_when_and_notifies_nobody() -> None:
    card = drawn(ANSWERED)

    headline = text_in(card, "outcome")
    assert headline == card["text"] == as_read(WORDS["no"], title="Security alert", who="@ada")
    assert (f"{WORKSPACE}/team/U0ADA", "@ada") in links_in(card)
    assert "<@" not in str(card)
    assert text_in(card, "summary") == "Codes were made."
    facts = {
        "alert": "duo_bypass_codes_generated",
        "identifier": "9Zo02m4B7gIfixq3c4Xh",
        "address": "ada@example.com",
        "confidence": "lowest",
        "asked": "Tue 24 Nov 2026, 12:00 (UTC)",
        "answered": WHEN,
    }
    about = text_in(card, "about")
    assert all(f"{WORDS[name]}: {fact}" in about for name, fact in facts.items())
    assert WORDS["note"] not in about
    assert WORDS["reason"] not in about


@pytest.mark.parametrize("outcome", list(Outcome))
def test_each_outcome_has_words_of_its_own(outcome: Outcome) -> None:
    expected = as_read(WORDS[outcome], title="Security alert", who="@ada")

    assert text_in(drawn(replace(ANSWERED, standing=outcome, said=None)), "outcome") == expected


def test_the_headline_is_a_whole_sentence_where_an_invalid_request_names_nobody() -> None:
    nameless = replace(a_question(), slack_id="", standing=Outcome.UNDELIVERABLE, reason="invalid_request")
    nameless = replace(nameless, request=replace(nameless.request, user=""))

    headline = text_in(drawn(nameless), "outcome")

    nobody = WORDING["text"]["empty"]
    assert headline == as_read(WORDS["undeliverable"], title="Security alert", who=nobody)


def test_who_could_not_be_asked_is_named_by_the_address_and_why() -> None:
    card = drawn(
        replace(
            a_question(), slack_id="", standing=Outcome.UNDELIVERABLE, reason="users_not_found", reports=1
        )
    )

    assert "ada@example.com" in text_in(card, "outcome")
    assert [label for _, label in links_in(card)] == [WORDS["link"]]
    assert f"{WORDS['reason']}: users_not_found" in text_in(card, "about")


def test_times_are_those_of_the_security_teams_own_zone() -> None:
    card = drawn(
        replace(ANSWERED, time_zone="Asia/Tokyo"), policy=Policy(default_zone=ZoneInfo("Europe/Berlin"))
    )

    assert "13:00 (Europe/Berlin)" in text_in(card, "about")


def test_title_and_button_are_those_of_the_alerts_policy() -> None:
    mine = AlertPolicy(title="Codes & <more>", wording={"button_yes": "Yes, I opened it"})
    policy = Policy(alerts=AlertPolicies(by_label={a_request().alert: mine}))

    card = drawn(changed(ANSWERED, Choice.YES, Outcome.NO), policy=policy)

    assert "Codes & <more>" in text_in(card, "outcome")
    assert "Yes, I opened it" in text_in(card, "about")


def test_an_answer_taken_back_and_a_note_are_facts_each_with_its_own_time() -> None:
    once = noted(changed(replace(ANSWERED, first_answered_at=LATER), Choice.YES, Outcome.NO))
    twice = changed(changed(once, Choice.NO, Outcome.NO), Choice.YES, Outcome.NO)

    card = drawn(once)
    facts = text_in(card, "about")
    assert f"{WORDS['answered']}: {WHEN}" in facts
    assert f"{WORDS['retracted']}: {WORDING['button']['yes']}, Tue 24 Nov 2026, 12:07 (UTC)" in facts
    assert text_in(card, "note-label") == f"{WORDS['note']}:"
    assert text_in(card, "note") == "I was on a train."
    # Of more changes only the first and the last moment are kept.
    assert f"{WORDS['answered']}:" not in text_in(drawn(twice), "about")


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [
        ("9Zo02m4B7gIfixq3c4Xh", "https://mozdef.example/alerts/9Zo02m4B7gIfixq3c4Xh"),
        ("a/../b?c=d&e#f", "https://mozdef.example/alerts/a%2F..%2Fb%3Fc%3Dd%26e%23f"),
        ("x|y>z<{identifier}", "https://mozdef.example/alerts/x%7Cy%3Ez%3C%7Bidentifier%7D"),
    ],
)
def test_a_card_links_to_the_alert_where_mozdef_has_an_address(identifier: str, expected: str) -> None:
    question = replace(ANSWERED, request=replace(ANSWERED.request, identifier=identifier))

    assert (expected, WORDS["link"]) in links_in(drawn(question))
    assert "link" not in [each["block_id"] for each in drawn(question, alert_url="")["blocks"]]


def test_a_card_has_no_link_that_slack_would_refuse() -> None:
    request = replace(ANSWERED.request, identifier="\U0001f600" * 255)

    card = drawn(replace(ANSWERED, request=request))

    assert_slack_takes(card)
    assert "link" not in [each["block_id"] for each in card["blocks"]]


def test_an_alert_can_be_taken_until_somebody_has_it_and_then_be_let_go_of() -> None:
    carded = replace(ANSWERED, card_secret="5" * 32)
    untaken = drawn(carded)
    taken = drawn(replace(carded, taken_by="U0RADIA", taken_name="radia", taken_at=LATER))

    assert [each["action_id"] for each in block(untaken, "take")["elements"]] == ["take-it", "hand-over"]
    buttons = block(taken, "take")["elements"]
    assert [each["action_id"] for each in buttons] == ["hand-over", "release"]
    key, _, secret = ANSWERED.ref.partition(".")
    assert {each["value"] for each in buttons} == {f"{key}.{'5' * 32}"}
    assert secret not in json.dumps([untaken, taken])
    text = text_in(taken, "taken")
    assert text == as_read(WORDS["taken"], who="@radia", date=WHEN)
    assert (f"{WORKSPACE}/team/U0RADIA", "@radia") in links_in(taken)


def test_a_note_is_a_quote_below_a_line_that_says_nothing_of_the_outcome() -> None:
    for note in ("I was on a train.", "x" * 3000):
        told_line = line(told(comment=note))

        assert told_line["text"] == as_read(WORDS["noted"])
        assert text_in(told_line, "event") == told_line["text"]
        assert text_in(told_line, "note") == note


@pytest.mark.parametrize(
    "changes",
    [
        {"note": True, "reason": "factor_fraud"},
        {"note": True, "reason": "factor_refused", "said": Choice.YES, "retracted": True},
        {"outcome": Outcome.UNPROVEN, "reason": "factor_no_device"},
    ],
)
def test_a_line_says_what_became_of_an_attempt_to_prove_a_yes(changes: dict[str, Any]) -> None:
    assert text_in(line(told(**changes)), "event").endswith(f" ({changes['reason']})")


def test_another_outcome_is_a_line_and_so_is_an_answer_taken_back_and_who_took_it() -> None:
    other = line(told(outcome=Outcome.NOT_SURE))
    outcome = as_read(WORDS["notSure"], title="Security alert", who="@ada")
    assert text_in(other, "event") == as_read(WORDS["changed"], outcome=outcome)

    taken_back = text_in(line(told(outcome=Outcome.NO, said=Choice.YES, retracted=True)), "event")
    assert WORDING["button"]["yes"] in taken_back
    assert "@ada" not in taken_back  # nothing has changed

    taken = line(assigned(AssignmentKind.TAKEN, "radia", "radia"))
    assert text_in(taken, "event") == as_read(WORDS["taken_line"], who="@radia")
    assert links_in(taken) == [(f"{WORKSPACE}/team/U0RADIA", "@radia")]


def test_a_hand_over_names_both_and_a_release_says_that_nobody_has_it() -> None:
    handed = line(assigned(AssignmentKind.HANDED_OVER, "radia", "grace"))
    released = line(assigned(AssignmentKind.RELEASED, "grace", ""))

    told = as_read(WORDS["handed_over_line"], who="@radia", receiver="@grace")
    assert text_in(handed, "event") == told
    assert text_in(released, "event") == as_read(WORDS["released_line"], who="@grace")
    own = replace(assigned(AssignmentKind.RELEASED, "", ""), by="", by_name="")
    assert text_in(line(own), "event") == as_read(WORDS["own_line"])


def assigned(kind: AssignmentKind, by: str, to: str) -> Assignment:
    ids = {"by": f"U0{by.upper()}", "to": f"U0{to.upper()}" if to else ""}
    return Assignment(kind=kind, **ids, by_name=by, to_name=to, at=LATER)


def burst_drawn(**changes: Any) -> dict[str, Any]:
    burst = Burst(since=NOON, line=Line(ref="0.1"), card_secret="1" * 32, **changes)
    places = Places(person="U0ADA", slack_id="U0ADA", slack_name="ada", touched_at=NOON, burst=burst)
    card = burst_card(places, WORDING, POLICY, CardLinks(workspace=WORKSPACE))
    assert_slack_takes(card)
    return card


def identifiers_in(card: dict[str, Any], name: str) -> list[list[str]]:
    """Return the lines of each block of a list."""
    named = [each for each in card["blocks"] if each["block_id"].partition("-")[0] == name]
    return [text_of_block(each).split("\n") for each in named if each["block_id"] != f"{name}-label"]


def test_the_card_of_a_burst_names_each_identifier_however_long_they_are() -> None:
    waiting = [f"waiting-{number:02}-".ljust(255, "x") for number in range(20)]
    denied = [f"denied-{number:02}-".ljust(255, "x") for number in range(20)]
    kinds = {f"kind-{number:02}-".ljust(255, "x"): 10**6 for number in range(50)}

    card = burst_drawn(first=waiting, denied=denied, kinds=kinds, waiting=10**8)

    for name, identifiers in (("first", waiting), ("denied", denied)):
        assert [each for lines in identifiers_in(card, name) for each in lines] == identifiers


def test_short_identifiers_of_a_burst_stand_in_one_block_and_an_invisible_one_has_a_line() -> None:
    identifiers = ["\u200b", *(f"alert-{number}" for number in range(19))]

    assert identifiers_in(burst_drawn(first=identifiers), "first") == [
        [WORDING["text"]["empty"], *identifiers[1:]]
    ]
    assert identifiers_in(burst_drawn(denied=["\u200b"]), "denied") == [[WORDING["text"]["empty"]]]


def test_the_card_of_a_burst_counts_a_label_that_shows_nothing() -> None:
    card = burst_drawn(kinds={"\u200b\u3164": 3}, waiting=3)

    assert f"{WORDING['text']['empty']} (3)" in text_in(card, "about")
