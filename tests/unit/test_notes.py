"""Notes: what a person writes about their answer, and where that goes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from drawn import block
from fakes import NOON, a_request, apart_from_trail
from hypothesis import given
from hypothesis import strategies as st
from service_harness import ServiceHarness, a_click, a_note
from wording import WORDING

from bot.errors import StoreError
from bot.sandbox.fake_slack.limits import problems_of_view
from bot.slack.render.modals import errors_at, note_view
from bot.slack.render.question import question_message
from bot.triage.answer_rules import NOTE_LENGTH_MAX, NOTES_MAX, Refusal, can_be_seen
from bot.triage.model import Choice, Note, Question
from bot.triage.outcomes import Outcome
from bot.triage.padding import unpad
from bot.triage.policy import AlertPolicies, AlertPolicy, NoteRule, Policy

ALWAYS = AlertPolicies(
    by_label={a_request().alert: AlertPolicy(notes=dict.fromkeys(Choice, NoteRule.OFFERED))}
)


@pytest.fixture
def harness() -> ServiceHarness:
    return ServiceHarness()


async def noted(harness: ServiceHarness, *texts: str, choice: Choice = Choice.NO) -> Question:
    """Answer, and write these notes; return the question."""
    question = await harness.answer(choice)
    for text in texts:
        result = await harness.service.add_note(a_note(question, text))
        assert isinstance(result, Question)
    return await harness.question()


async def comments(harness: ServiceHarness) -> list[str | None]:
    """Return what each report carries."""
    bodies = [json.loads(row.body) for row in await harness.reports()]
    return [body["details"]["triagebot"].get("comment") for body in bodies]


async def test_a_note_is_the_next_report_and_leaves_the_alert_as_it_is(harness: ServiceHarness) -> None:
    question = await noted(harness, "I was on a train.")

    assert (question.note, question.notes, question.standing) == ("I was on a train.", 1, Outcome.NO)
    answer, note = [json.loads(row.body) for row in await harness.reports()]
    assert (answer["category"], note["category"]) == ("triagebot", "triagebotnote")
    details = note["details"]
    assert not {"response", "user"} & details.keys()
    assert (details["email"], details["slack"]) == ("ada@example.com", "U0ADA")
    facts = details["triagebot"]
    assert (facts["sequence"], facts["outcome"], facts["said"]) == (1, "no", "no")
    assert facts["comment"] == "I was on a train."
    assert note["timestamp"] == (NOON + timedelta(minutes=2)).isoformat()


@pytest.mark.parametrize("choice", Choice)
async def test_whatever_was_answered_may_be_explained(harness: ServiceHarness, choice: Choice) -> None:
    question = await noted(harness, "a reason", choice=choice)

    assert (question.said, question.note, question.idle_changes) == (choice, "a reason", 0)


async def test_each_note_is_a_report_of_its_own_and_the_last_one_is_kept(harness: ServiceHarness) -> None:
    question = await noted(harness, "first", "second")

    assert (question.note, question.notes) == ("second", 2)
    assert await comments(harness) == [None, "first ", "second "]
    assert len({row.event_id for row in await harness.reports()}) == 3


async def test_a_note_that_slack_delivers_again_is_one_another_text_another(harness: ServiceHarness) -> None:
    question = await harness.answer(Choice.NO)

    for view_id, text in [("V1", "a"), ("V1", "a"), ("V1", "b"), ("V2", "a"), ("V1", "a"), ("V2", "a")]:
        result = await harness.service.add_note(replace(a_note(question, text), view_id=view_id))
        assert isinstance(result, Question)

    assert await comments(harness) == [None, "a ", "b ", "a "]


@pytest.mark.parametrize("text", ["", " \n", "\u200b\u3164", "\u200b" * NOTE_LENGTH_MAX + "x"])
async def test_a_note_of_which_nothing_can_be_seen_is_refused(harness: ServiceHarness, text: str) -> None:
    question = await harness.answer(Choice.NO)

    assert await harness.service.add_note(a_note(question, text)) is Refusal.NO_TEXT

    assert await comments(harness) == [None]


async def test_twenty_notes_are_taken_but_the_last_may_be_delivered_again(harness: ServiceHarness) -> None:
    question = await harness.answer(Choice.NO)
    notes = [replace(a_note(question, f"{number}"), view_id="V1") for number in range(21)]

    *_, refusal, again = [await harness.service.add_note(note) for note in [*notes, notes[-2]]]

    assert NOTES_MAX == 20
    assert refusal is Refusal.TOO_MANY_NOTES
    assert again == await harness.question()
    assert (await harness.question()).notes == 20
    assert len(await harness.reports()) == 21


async def test_an_answer_after_a_note_carries_no_comment(harness: ServiceHarness) -> None:
    question = await noted(harness, "I was on a train.", choice=Choice.YES)

    await harness.service.answer(a_click(question, Choice.NO))

    last = json.loads((await harness.reports())[-1].body)
    assert (last["category"], last["details"]["response"]) == ("triagebot", "no")
    assert "comment" not in last["details"]["triagebot"]


async def test_a_note_makes_the_message_due_for_a_redraw(harness: ServiceHarness) -> None:
    await harness.service.redraw(await harness.answer(Choice.NO))
    await harness.service.add_note(a_note(await harness.question()))

    question = await harness.question()
    assert question.outdated
    await harness.service.redraw(question)
    assert [drawn.notes for drawn, _ in harness.messenger.redraws] == [0, 1]


@pytest.mark.parametrize("more", ["", "y"])
async def test_a_longer_note_is_cut_after_3000_characters(harness: ServiceHarness, more: str) -> None:
    question = await noted(harness, "é" * 3000 + more)

    assert NOTE_LENGTH_MAX == 3000
    assert question.note == "é" * 3000
    assert (await comments(harness))[-1] == "é" * 3000 + " "


@pytest.mark.parametrize(
    ("spoil", "refusal"),
    [
        (lambda note: replace(note, same_workspace=False), Refusal.OTHER_WORKSPACE),
        (lambda note: replace(note, slack_id="U0EVE"), Refusal.OTHER_PERSON),
        (lambda note: replace(note, slack_id=""), Refusal.OTHER_PERSON),
        (lambda note: replace(note, ref="0" * 32 + "." + "1" * 32), Refusal.CLOSED),
        (lambda note: replace(note, ref=""), Refusal.CLOSED),
    ],
)
async def test_a_note_of_anybody_else_changes_nothing(
    harness: ServiceHarness, spoil: Callable[[Note], Note], refusal: Refusal
) -> None:
    question = await harness.answer(Choice.NO)

    assert await harness.service.add_note(spoil(a_note(question))) is refusal

    assert apart_from_trail(await harness.question()) == apart_from_trail(question)
    assert len(await harness.reports()) == 1


@pytest.mark.parametrize("days", [0, 2], ids=["in time", "after the deadline"])
async def test_a_note_without_an_answer_is_not_offered_nor_taken(harness: ServiceHarness, days: int) -> None:
    await harness.ask()
    await harness.pass_time(until=NOON + timedelta(days=days))
    question = await harness.question()

    assert await harness.service.add_note(a_note(question)) is Refusal.NOT_ANSWERED

    assert apart_from_trail(await harness.question()) == apart_from_trail(question)
    assert not has_note_button(question, Policy(alerts=ALWAYS))


async def test_a_note_that_could_not_be_stored_can_be_sent_again(harness: ServiceHarness) -> None:
    question = await harness.answer(Choice.NO)
    harness.store.fails = [StoreError("disk full")]

    with pytest.raises(StoreError):
        await harness.service.add_note(a_note(question))
    assert len(await harness.reports()) == 1

    assert isinstance(await harness.service.add_note(a_note(question)), Question)


@pytest.mark.parametrize("choice", Choice)
async def test_a_note_is_offered_after_every_answer_but_yes_or_as_the_alerts_policy_says(
    harness: ServiceHarness, choice: Choice
) -> None:
    question = await harness.answer(choice)

    assert has_note_button(question, Policy()) is (choice is not Choice.YES)
    assert has_note_button(question, Policy(alerts=ALWAYS))
    if choice is Choice.NO:  # who takes it back may still explain it
        await harness.service.answer(a_click(question, Choice.YES))
        assert has_note_button(await harness.question(), Policy())


async def test_the_button_names_the_question_and_a_note_is_thanked_for(harness: ServiceHarness) -> None:
    question = await noted(harness, "I was on a train.")

    message = question_message(question, WORDING, Policy())

    [button] = block(message, "note")["elements"]
    assert (button["action_id"], button["value"]) == ("note", question.ref)
    assert block(message, "noted")["elements"][0]["text"] == WORDING["note"]["thanks"]
    assert "train" not in json.dumps(message)


async def test_the_window_knows_its_question_and_slack_takes_it(harness: ServiceHarness) -> None:
    question = await harness.answer(Choice.NO)

    view = note_view(question, WORDING)

    assert problems_of_view(view) == []
    assert (view["callback_id"], view["private_metadata"]) == ("note", question.ref)
    [field] = view["blocks"]
    assert field["element"]["max_length"] == NOTE_LENGTH_MAX
    assert field["element"]["multiline"] is True


@pytest.mark.parametrize("refusal", list(Refusal))
def test_the_window_says_why_a_note_was_not_taken(refusal: Refusal) -> None:
    assert errors_at("note", refusal.value, WORDING) == {"note": WORDING["refusal"][refusal]}


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=400).filter(can_be_seen))
def test_any_text_is_told_to_mozdef_as_it_was_written(text: str) -> None:
    async def write() -> str:
        harness = ServiceHarness()
        await noted(harness, text)
        return (await harness.reports())[-1].body

    body = asyncio.run(write())

    assert body.isascii()
    assert unpad(json.loads(body)["details"]["triagebot"].get("comment", "")) == text


def has_note_button(question: Question, policy: Policy) -> bool:
    message = question_message(question, WORDING, policy)
    return "note" in [each["block_id"] for each in message["blocks"]]
