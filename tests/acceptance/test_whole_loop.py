"""From MozDef's alert to MozDef's status, through the real worker: each line of what it is for."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from wording import WORDING
from world import ADA, World, alert, buttons, newcomer, paragraphs, until

from bot.sandbox.fake_slack.objects import text_of_block
from bot.sandbox.fake_slack.workspace import Message

#: An alert whose text wants to ring everybody, look like a link, and hide what it is.
HOSTILE = (
    "<!channel> <https://evil.example|your bank> <@U1> \u202egnp.exe\u202c z\u200be\u200dro & " + "x" * 5000
)


@pytest.fixture(scope="module")
def world(create_shared_world: Callable[..., World]) -> Iterator[World]:
    world = create_shared_world()
    world.start()
    yield world
    assert world.worker.stop() == 0


@pytest.mark.parametrize(
    ("confidence", "choices"),
    [
        ("lowest", ["yes", "no", "notSure", "wrongUser"]),
        ("low", ["yes", "no", "notSure", "wrongUser"]),
        ("moderate", ["yes", "no", "notSure", "wrongUser"]),
        ("high", ["yes", "no", "notSure"]),
        ("highest", ["yes", "no", "notSure"]),
    ],
)
def test_wrong_person_is_offered_only_where_mozdef_may_be_wrong(
    world: World, confidence: str, choices: Sequence[str]
) -> None:
    identifier = world.send(identityConfidence=confidence)

    question = world.slack.question(identifier)

    assert [one["action_id"] for one in buttons(question)] == [f"answer-{choice}" for choice in choices]


@pytest.mark.parametrize(
    ("choice", "response", "status"),
    [
        ("yes", "yes", "acknowledged"),
        ("no", "no", "escalated"),
        ("wrongUser", "wrongUser", "manual"),
        ("notSure", "wrongUser", "manual"),
    ],
)
def test_an_answer_reaches_mozdef_in_words_that_it_keeps(
    world: World, choice: str, response: str, status: str
) -> None:
    identifier = world.send(user="grace@example.com")

    click = world.slack.press(world.slack.question(identifier), choice)

    assert click.acknowledged
    details = world.reports(identifier)[0].details
    assert world.status(identifier) == status
    assert details["response"] == response
    assert details["user"] == {"email": "grace@example.com", "slack": "U0GRACEH002", "slackName": "grace "}
    assert (details["triagebot"]["outcome"], details["triagebot"]["sequence"]) == (choice, 0)


def test_after_an_answer_and_after_another_the_message_says_so_and_still_offers_everything(
    world: World,
) -> None:
    identifier, question = world.ask()

    world.slack.press(question, "yes")
    answered = world.slack.redrawn(identifier, WORDING["answer"]["yes"])
    world.slack.press(question, "no")
    changed = until(lambda: _with_words(world, identifier, "changed your mind"), what="the changed message")

    assert _keys(answered) == _keys(changed) == _keys(question)
    assert paragraphs(answered)[:3] == paragraphs(question)[:3]
    assert WORDING["answer"]["yes"] not in paragraphs(changed)


def test_a_hostile_summary_reaches_the_person_as_harmless_text(world: World) -> None:
    identifier = world.send(summary=HOSTILE)

    question = world.slack.question(identifier)

    [quote] = next(each for each in question.blocks if each["block_id"] == "summary")["elements"]
    [summary] = quote["elements"]
    assert (quote["type"], summary["type"]) == ("rich_text_quote", "text")
    assert "<!channel> <https://evil.example|your bank> <@U1> gnp.exe zero & xxx" in summary["text"]
    assert summary["text"].endswith("(shortened)")
    assert not set("<>") & set(question.text)
    for text in (question.text, *paragraphs(question)):
        assert len(text) <= 3000
        assert {unicodedata.category(one) for one in text if one != "\n"}.isdisjoint(
            {"Cc", "Cf", "Cs", "Co", "Cn"}
        )


def test_people_are_asked_with_their_facts_with_broken_ones_and_without_any(world: World) -> None:
    fact = {"name": "Host", "value": "db1 <!channel>"}
    with_facts = world.send(occurredAt="2026-11-24T03:00:00Z", facts=[fact])
    broken = world.send(occurredAt="yesterday", facts=[5, fact, {"name": "Host"}])
    without = world.send()

    shown = {name: _texts(world.slack.question(name)) for name in (with_facts, broken, without)}

    assert [texts.get("facts") for texts in shown.values()] == ["Host: db1 <!channel>"] * 2 + [None]
    assert ["when" in texts for texts in shown.values()] == [True, False, False]
    world.worker.until_logged("request.reduced", broken)
    told = world.known_row(broken)["leftOut"]
    assert [clause.partition(":")[0] for clause in told] == [
        "occurredAt must be an RFC 3339 time with its offset, from 1970 on",
        "facts 1, 3",
    ]


def test_an_unknown_label_and_an_absent_confidence_are_accepted(world: World) -> None:
    request = alert(alert="something_new")
    del request["identityConfidence"]
    world.send_body(json.dumps(request))

    question = world.slack.question(request["identifier"])
    world.slack.press(question, "yes")

    details = world.reports(request["identifier"])[0].details
    assert (details["identityConfidence"], details["triagebot"]["alert"]) == ("lowest", "something_new ")


@pytest.mark.parametrize(
    ("user", "reason"),
    [
        ("nobody@example.com", "users_not_found"),
        ("charles@example.com", "users_not_found"),
        ("deploybot@example.com", "user_is_bot"),
        ("hedy@guest.example.net", "user_is_guest"),
        ("mallory@partner.example.org", "user_external"),
        ("newcomer@example.com", "user_unconfirmed"),
        ("N/A", "invalid_request"),
    ],
)
def test_whoever_cannot_be_asked_is_reported_as_undeliverable(world: World, user: str, reason: str) -> None:
    world.slack.admit(replace(newcomer("newcomer"), is_email_confirmed=False))
    identifier = world.send(user=user)

    report = world.reports(identifier)[0].details

    assert (report["triagebot"]["outcome"], report["triagebot"]["reason"]) == ("undeliverable", reason)
    assert report["user"] == {"email": "" if user == "N/A" else user, "slack": "", "slackName": ""}
    assert world.status(identifier) == "manual"
    assert not world.slack.questions(identifier)


def test_a_post_that_slack_refuses_is_reported_with_slacks_own_code(world: World) -> None:
    world.slack.faults.refuse("chat.postMessage", "restricted_action")
    identifier = world.send()

    report = world.reports(identifier)[0].details["triagebot"]
    world.slack.faults.heal()

    assert (report["outcome"], report["reason"]) == ("undeliverable", "restricted_action ")
    assert report["askedSlack"] == ADA
    assert world.status(identifier) == "manual"


#: Bodies that break the contract, each with a word that its reason must have.
INVALID = {
    "this is no JSON": "not JSON",
    '["a", "list"]': "not a JSON object",
    '{"alert": "a", "summary": "s", "user": "ada@example.com"}': "identifier is missing",
    json.dumps(alert(user="N/A")): "user must be",
    json.dumps(alert(identityConfidence="sure")): "identityConfidence must be",
    json.dumps(alert(identityConfidence=None)): "identityConfidence must be",
    json.dumps(alert(identifier="x" * 256)): "identifier must be",
    json.dumps(alert(alert="a\0b")): "alert must be",
    json.dumps(alert(summary=["not", "a", "text"])): "summary must be",
    '{"identifier": ' + "9" * 5000 + "}": "not JSON",
}


def test_bodies_that_break_the_contract_end_in_the_dead_letter_queue_with_the_reason(world: World) -> None:
    for body in INVALID:
        world.send_body(body)

    def look() -> Mapping[str, str] | None:
        reasons = {letter.body: letter.reason for letter in world.dead_letters.letters()}
        return reasons if reasons.keys() >= INVALID.keys() else None

    reasons = until(look, what="all of them are in the dead-letter queue")

    assert [body for body, reason in INVALID.items() if reason not in reasons[body]] == []
    # Of those with a usable identifier, `show` says which field was wrong.
    refused = {
        json.loads(body)["identifier"]: reasons[body]
        for body, reason in INVALID.items()
        if reason.endswith("must be") and not reason.startswith("identifier")
    }
    assert len(refused) == 5
    for identifier, reason in refused.items():
        assert f"  refused      {reason}\n" in world.worker.command("show", identifier).stdout
    world.until_taken()


def _texts(message: Message) -> dict[str, str]:
    return {block["block_id"]: text_of_block(block) for block in message.blocks}


def _keys(message: Any) -> list[tuple[str, str]]:
    """Return the answer buttons, by name and value."""
    answers = [one for one in buttons(message) if one["action_id"].startswith("answer-")]
    return [(one["action_id"], one["value"]) for one in answers]


def _with_words(world: World, identifier: str, words: str) -> Any:
    asked = world.slack.questions(identifier)
    return next((one for one in asked if any(words in text for text in paragraphs(one))), None)
