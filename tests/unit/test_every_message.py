"""Every message, window and Home that the program can make, with hostile values in every field at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from drawn import assert_harmless, objects_in
from fakes import NOON
from wording import WORDING

from bot.sandbox.fake_slack.limits import (
    BLOCKS_TEXT_LIMIT,
    UPDATE_TEXT_LIMIT,
    length_of_text,
    problem_of_metadata,
    problems_of_blocks,
    problems_of_view,
)
from bot.sandbox.fake_slack.views import VIEW_LIMIT
from bot.slack.render.blocks import header
from bot.slack.render.burst import burst_card, line_message
from bot.slack.render.card import CardLinks, card_message, thread_line
from bot.slack.render.home import home_view, notices_view
from bot.slack.render.inquiry import inquiry_message, reply_view
from bot.slack.render.modals import errors_at, note_view
from bot.slack.render.question import notice_message, question_message, reminder_message
from bot.slack.render.rich_text import literal, quote, sentence
from bot.triage.answer_rules import Refusal, Unfinished
from bot.triage.assignments import Assignment, AssignmentKind
from bot.triage.inquiry import Inquiry, InquiryNote
from bot.triage.listing import Listed
from bot.triage.model import (
    Choice,
    Confidence,
    Fact,
    Question,
    Report,
    State,
    TriageRequest,
)
from bot.triage.outcomes import Outcome
from bot.triage.place_rules import line_of
from bot.triage.places import Burst, Line, Places
from bot.triage.policy import AlertPolicies, AlertPolicy, NoteRule, Policy
from bot.triage.reporting import report_on

#: Text in the voice of the bot, and lines that look like its own.
IMITATION = (
    "*Was this you?* This was the security team's own test. Please press *Yes, that was me*.\n\n"
    "*Said later:* Yes, that was me\r\nMozDef: _closed_ as ~false~ positive :white_check_mark: > `x` ```y```"
    " <!channel> <@U1> <https://evil.example|your bank> &lt;!here&gt; a\u202eb\u200bc\x00 {user} {0} \u2800"
)

#: An alert without a title is called by its label, so that the title is foreign, too.
POLICY = Policy(
    alerts=AlertPolicies(default=AlertPolicy(title="", notes=dict.fromkeys(Choice, NoteRule.OFFERED)))
)
LINKS = CardLinks(
    workspace="https://sandbox.slack.com", alert_url="https://mozdef.example/alerts/{identifier}"
)
PERMALINK = "https://sandbox.slack.com/archives/D0ADA/p1764000001000100"


def hostile_questions(standing: Outcome | None, *, long: bool) -> Iterator[Question]:
    """Yield the question in every state that it can be in, all that others wrote in it being hostile."""

    def evil(field: str, length: int) -> str:
        """Return a value that begins with `evil` and its field's name, by which it is found again."""
        text = f"evil-{field} {IMITATION} "
        return (text * (length // len(text) + 1) if long else text)[:length]

    plain = TriageRequest(
        identifier=evil("identifier", 255),
        alert=evil("label", 255),
        summary=evil("summary", 5000),
        user=evil("address", 254),
        confidence=Confidence.LOWEST,
    )
    evidence = replace(
        plain,
        occurred_at=NOON,
        facts=(Fact(name=evil("name", 40), value=evil("value", 300)),) * 8,
        left_out=(evil("left-out", 200),) * 3,
    )
    noted: dict[str, Any] = {"note": evil("note", 3000), "notes": 2}
    taken: dict[str, Any] = {"taken_by": evil("id", 30), "taken_name": evil("analyst", 80), "taken_at": NOON}
    asked: dict[str, Any] = {"deadline": NOON, "asked_at": NOON, "answers": 2}
    for said, later, decorated in product((None, *Choice), ({}, noted | taken), (False, True)):
        yield Question(
            request=evidence if decorated else plain,
            ref="0" * 32 + "." + "1" * 32,
            state=State.ASKED,
            accepted_at=NOON,
            due_at=None,
            slack_id=evil("id", 30),
            slack_name=evil("person", 80),
            offered=tuple(Choice),
            in_doubt_since=NOON,
            standing=standing,
            reason=evil("reason", 300),
            said=said,
            answered_at=NOON if said else None,
            first_answered_at=NOON if said else None,
            reports=1,
            **{"answers": 1, **(asked if decorated else {}), **later},
        )


def messages_about(question: Question) -> Iterator[dict[str, Any]]:
    yield question_message(question, WORDING, POLICY)
    yield from (reminder_message(question, WORDING, POLICY, link=link) for link in (PERMALINK, ""))
    yield from (card_message(question, WORDING, POLICY, links) for links in (LINKS, CardLinks(workspace="")))
    slack_id = question.slack_id
    events: list[Report | Assignment] = [
        Assignment(kind=kind, by=slack_id, by_name=name, to=slack_id, to_name=name, at=NOON)
        for name in (question.slack_name, "")
        for kind in AssignmentKind
    ]
    if question.standing:
        report = report_on(question, question, at=NOON, policy=POLICY, comment=question.note)
        events += [report, replace(report, comment=""), replace(report, comment="", retracted=True)]
        inquired = InquiryNote(
            text=question.request.summary, slack_id=slack_id, slack_name=question.slack_name
        )
        events += [replace(report, comment="", inquiry=inquired), replace(report, in_reply_to=1)]
        events += [replace(report, comment="", in_reply_to=1)]
        inquiry = inquiry_about(question)
        for workspace in (LINKS.workspace, ""):
            yield inquiry_message(inquiry, question, WORDING, POLICY, workspace=workspace)
    yield from (thread_line(question, event, WORDING, POLICY, LINKS) for event in events)
    places = burst_about(question)
    yield line_message(line_of(places), WORDING)
    yield burst_card(places, WORDING, POLICY, LINKS)


def burst_about(question: Question) -> Places:
    """Return a burst in which all that others wrote is that question's."""
    identifier, label = question.request.identifier, question.request.alert
    burst = Burst(
        since=NOON,
        line=Line(ref=question.ref),
        card_secret="1" * 32,
        kinds={f"{label}{number}": number for number in range(30)},
        first=[f"{identifier}{number}" for number in range(20)],
        denied=[identifier],
        taken_by=question.taken_by,
        taken_name=question.taken_name,
        taken_at=question.taken_at,
    )
    return Places(
        person="U0ADA",
        slack_id=question.slack_id,
        slack_name=question.slack_name,
        touched_at=NOON,
        burst=burst,
    )


def inquiry_about(question: Question) -> Inquiry:
    """Return a follow-up question with the words and the name of the hostile person."""
    return Inquiry(
        identifier=question.identifier,
        number=1,
        ref=f"{'0' * 32}.{'1' * 32}",
        text=question.request.summary,
        slack_id=question.slack_id,
        slack_name=question.slack_name,
        window="",
        sequence=1,
        accepted_at=NOON,
        due_at=None,
    )


def views_about(question: Question) -> Iterator[dict[str, Any]]:
    if question.notes or question.taken_by:  # which no view shows
        return
    yield from (note_view(question, WORDING, required_for=word) for word in ("", WORDING["button"]["no"]))
    yield reply_view(inquiry_about(question), WORDING)
    unanswered = replace(question, said=None)
    answered = replace(question, said=question.said or Choice.NO, answered_at=NOON)
    listed = Listed(unanswered=[unanswered] * 20, answered=[answered] * 20, taken=[answered] * 20)
    yield home_view(listed, WORDING, POLICY, notice=Refusal.CLOSED, links=LINKS)


def assert_slack_takes_message(message: dict[str, Any]) -> None:
    assert problems_of_blocks(message["blocks"]) == []
    assert length_of_text(message["blocks"]) <= BLOCKS_TEXT_LIMIT
    assert 0 < len(message["text"]) <= UPDATE_TEXT_LIMIT
    if "metadata" in message:
        assert problem_of_metadata(message["metadata"]) is None


def assert_slack_takes_view(view: dict[str, Any]) -> None:
    assert problems_of_view(view) == []
    assert len(json.dumps(view).encode()) <= VIEW_LIMIT


def assert_foreign_is_literal(drawn: dict[str, Any]) -> None:
    """What somebody else wrote stands in literal texts alone; whole texts of theirs stand in quotes."""
    for key, value in strings_in({**drawn, "text": "", "metadata": {}}):  # which nobody is shown
        assert "evil" not in value or key in ("text", "url"), (key, value)
    for each in objects_in(drawn.get("blocks")):
        own = each.get("text")
        if isinstance(own, str) and "evil" in own and each["type"] != "plain_text":
            assert each["type"] in ("text", "link"), each
            assert own.startswith(("evil-", "@evil-")), f"words of ours stand before {own!r}"
        if each["type"] == "rich_text_section":
            text = "".join(part.get("text", "") for part in each["elements"] if "evil" in str(part))
            assert "\n" not in text, f"{text!r} is more than a line"
            assert not any(f"evil-{field}" in text for field in ("summary", "name", "value", "note")), text
        if each["type"] == "rich_text_quote":
            assert all(part.keys() == {"type", "text"} for part in each["elements"]), each
            assert all(part["text"].startswith("evil-") for part in each["elements"]), each


def strings_in(drawn: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield every string, with the name of the nearest key."""
    if isinstance(drawn, str):
        yield key, drawn
    elif isinstance(drawn, list | tuple):
        for each in drawn:
            yield from strings_in(each, key)
    elif isinstance(drawn, dict):
        for name, each in drawn.items():
            yield from strings_in(each, name)


@pytest.mark.parametrize(
    "long", [pytest.param(False, id="short"), pytest.param(True, id="long", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("standing", [None, *Outcome])
def test_whatever_others_wrote_is_shown_and_does_nothing(standing: Outcome | None, *, long: bool) -> None:
    for question in hostile_questions(standing, long=long):
        for message in messages_about(question):
            assert_harmless(message)
            assert_foreign_is_literal(message)
            assert_slack_takes_message(message)
        for view in views_about(question):
            assert_harmless(view)
            assert_foreign_is_literal(view)
            assert_slack_takes_view(view)


def test_what_is_shown_of_no_question_does_nothing_either() -> None:
    notices = [*Refusal, *Unfinished]

    for notice in notices:
        assert_harmless(notice_message(notice, WORDING))
        assert_slack_takes_message(notice_message(notice, WORDING))
        assert_slack_takes_view(notices_view([notice], WORDING))
    for refusal in Refusal:
        assert set(errors_at("note", refusal, WORDING)["note"]).isdisjoint("*_<>")
    assert_harmless(notices_view(notices, WORDING))


@pytest.mark.parametrize(
    ("judge", "drawn"),
    [
        (assert_harmless, {"text": "x <!channel>"}),
        (assert_harmless, {"text": "x & y"}),
        (assert_harmless, {"blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "x"}}]}),
        (assert_harmless, {"blocks": [{"type": "plain_text", "text": "x", "emoji": True}]}),
        (assert_harmless, {"blocks": [{"type": "link", "url": "https://evil.example/", "text": "x"}]}),
        (assert_harmless, {"blocks": [sentence([literal("a\u202eb")], block_id="a")]}),
        (assert_foreign_is_literal, {"blocks": [sentence([literal("Codes: evil-name")], block_id="a")]}),
        (assert_foreign_is_literal, {"blocks": [sentence([literal("evil-summary")], block_id="a")]}),
        (assert_foreign_is_literal, {"blocks": [sentence([literal("evil-label\nx")], block_id="a")]}),
        (assert_foreign_is_literal, {"blocks": [sentence([literal("x")], block_id="evil-label")]}),
        (assert_foreign_is_literal, {"blocks": [quote([literal("evil-note", "bold")], block_id="a")]}),
        (assert_foreign_is_literal, {"blocks": [quote([literal("Note: evil-note")], block_id="a")]}),
        (assert_slack_takes_message, {"text": "x" * 4001, "blocks": []}),
        (assert_slack_takes_message, {"text": "x", "blocks": [header("x", block_id="x" * 256)]}),
        (assert_slack_takes_view, {"type": "home", "blocks": [{"type": "divider"}] * 101}),
    ],
)
def test_the_walk_would_find_it(judge: Callable[[Any], None], drawn: Any) -> None:
    with pytest.raises(AssertionError):
        judge(drawn)
