"""What follows from clicks over a real websocket: windows for notes, Homes, cards that are taken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click_harness import ClickHarness, triage
from running_slack import ADA, GRACE
from world import eventually

from bot.sandbox.fake_slack.cast import SECURITY_CHANNEL
from bot.settings.messages import load_messages
from bot.triage.model import Choice, Question
from bot.triage.outcomes import Outcome
from bot.triage.policy import NOTES, AlertPolicies, AlertPolicy, NoteRule, Policy

WORDS = load_messages()
RADIA = "U0RADIAP009"
REQUIRED = Policy(alerts=AlertPolicies(default=AlertPolicy(notes={**NOTES, Choice.NO: NoteRule.REQUIRED})))
CARDS = Policy(has_channel=True)


def text_of(bot: ClickHarness, question: Question) -> str:
    message = bot.message(question)
    assert message is not None
    return json.dumps(list(message.blocks))


async def answered(bot: ClickHarness, choice: Choice = Choice.NO) -> Question:
    """Ask, answer, and wait until the message shows it."""
    question = await bot.ask()
    await bot.press(question, choice)
    await eventually(lambda: WORDS["answer"][choice] in text_of(bot, question))
    return await bot.row()


# Notes


async def test_a_note_travels_from_the_button_to_the_outbox_and_the_message(tmp_path: Path) -> None:
    async with triage(tmp_path) as bot:
        question = await answered(bot)

        opening = await bot.press_button(question, "note")
        await eventually(bot.modal)
        sending = await bot.write_note("I was on a train.")

        assert (opening.acknowledged, sending.acknowledged, sending.errors) == (True, True, {})
        row = await bot.row()
        assert (row.note, row.notes, row.standing) == ("I was on a train.", 1, Outcome.NO)
        note = json.loads((await bot.bodies())[-1])
        assert note["category"] == "triagebotnote"
        assert note["details"]["triagebot"]["comment"] == "I was on a train."
        assert bot.modal() is None
        await eventually(lambda: WORDS["note"]["thanks"] in text_of(bot, question))


async def test_a_required_note_is_asked_for_at_once_and_the_answer_counts_before_it(tmp_path: Path) -> None:
    async with triage(tmp_path, REQUIRED) as bot:
        question = await bot.ask()

        click = await bot.press(question, Choice.NO)
        stored = await bot.row()
        view = await eventually(bot.modal)

        assert click.acknowledged
        assert (stored.standing, stored.notes, len(await bot.bodies())) == (Outcome.NO, 0, 1)
        assert view["private_metadata"] == question.ref
        await bot.write_note("I was on a train.")
        assert (await bot.row()).notes == 1


async def test_whoever_closes_the_window_has_answered_and_may_write_later(tmp_path: Path) -> None:
    async with triage(tmp_path, REQUIRED) as bot:
        question = await bot.ask()
        await bot.press(question, Choice.NO)
        view = await eventually(bot.modal)

        await bot.slack.slack.close_view(user=ADA, view_id=view["id"])

        assert (await bot.row()).standing is Outcome.NO
        await eventually(lambda: WORDS["answer"]["no"] in text_of(bot, question))
        await bot.press_button(await bot.row(), "note")
        await eventually(bot.modal)


async def test_an_answer_that_needs_no_note_opens_no_window(tmp_path: Path) -> None:
    async with triage(tmp_path, REQUIRED) as bot:
        await answered(bot, Choice.YES)

        assert bot.modal() is None


async def test_a_window_that_cannot_be_opened_costs_nothing(tmp_path: Path) -> None:
    async with triage(tmp_path, REQUIRED) as bot:
        question = await bot.ask()
        bot.slack.slack.grant(set())  # no method works any more

        click = await bot.press(question, Choice.NO)

        assert click.acknowledged
        assert (await bot.row()).standing is Outcome.NO


async def test_a_note_that_cannot_be_stored_stays_in_its_window(tmp_path: Path) -> None:
    async with triage(tmp_path) as bot:
        question = await answered(bot)
        await bot.press_button(question, "note")
        await eventually(bot.modal)

        bot.store.is_full = True
        refused = await bot.write_note("I was on a train.")
        still_open = bot.modal()
        bot.store.is_full = False
        taken = await bot.write_note("I was on a train.")

        assert (refused.acknowledged, taken.acknowledged) == (False, True)
        assert still_open is not None
        assert (await bot.row()).notes == 1


async def test_whoever_may_not_write_is_told_in_the_window(tmp_path: Path) -> None:
    async with triage(tmp_path) as bot:
        question = await answered(bot)
        await bot.press_button(question, "note", user=GRACE)
        await eventually(lambda: bot.modal(GRACE))

        click = await bot.write_note("Let me in.", user=GRACE)

        assert click.errors == {"note": WORDS["refusal"]["other_person"]}
        assert bot.modal(GRACE) is not None
        assert (await bot.row()).notes == 0


async def test_the_button_for_a_note_on_a_question_that_is_gone_says_so(tmp_path: Path) -> None:
    async with triage(tmp_path) as bot:
        question = await answered(bot)

        click = await bot.press_button(question, "note", value="0" * 32 + "." + "1" * 32)

        assert click.acknowledged
        assert await eventually(lambda: bot.told(ADA)) == [WORDS["refusal"]["closed"]]
        assert bot.modal() is None


# Home


async def test_opening_the_home_shows_what_is_open(tmp_path: Path) -> None:
    async with triage(tmp_path) as bot:
        await bot.ask(summary="A door was opened.")

        await bot.slack.slack.open_home(ADA)

        home = await eventually(bot.home)
        assert "A door was opened." in json.dumps(home["blocks"])
        assert buttons_of(home) == ["answer-yes", "answer-no", "answer-notSure", "answer-wrongUser"]


async def test_nobody_sees_the_questions_of_others(tmp_path: Path) -> None:
    async with triage(tmp_path) as bot:
        await bot.ask(summary="A door was opened.")

        await bot.slack.slack.open_home(GRACE)

        home = await eventually(lambda: bot.home(GRACE))
        assert "A door" not in json.dumps(home["blocks"])
        assert WORDS["home"]["none"] in json.dumps(home["blocks"], ensure_ascii=False)


async def test_looking_at_the_messages_tab_publishes_nothing(tmp_path: Path) -> None:
    async with triage(tmp_path) as bot:
        await bot.slack.slack.open_home(ADA, tab="messages")
        await bot.slack.slack.open_home(GRACE)
        await eventually(lambda: bot.home(GRACE))

        assert bot.home(ADA) is None


@pytest.mark.parametrize("choice", list(Choice))
async def test_an_answer_given_there_counts_and_redraws_message_and_home(
    tmp_path: Path, choice: Choice
) -> None:
    async with triage(tmp_path) as bot:
        question = await bot.ask()
        await bot.slack.slack.open_home(ADA)
        await eventually(bot.home)

        click = await bot.slack.slack.click(user=ADA, action_id=f"answer-{choice}", via="home")

        assert click.acknowledged
        row = await bot.row()
        assert (row.said, row.standing, row.message_ref) == (choice, Outcome(choice), question.message_ref)
        assert json.loads((await bot.bodies())[0])["details"]["triagebot"]["outcome"] == choice
        await eventually(lambda: WORDS["answer"][choice] in text_of(bot, question))
        await eventually(lambda: not buttons_of(bot.home()))
        assert WORDS["home"]["answered"] in json.dumps(bot.home()["blocks"])


async def test_a_forged_ref_in_somebodys_own_home_answers_nobody_elses_question(tmp_path: Path) -> None:
    async with triage(tmp_path) as bot:
        question = await bot.ask()
        await bot.slack.slack.open_home(GRACE)
        await eventually(lambda: bot.home(GRACE))

        click = await bot.slack.slack.click(
            user=GRACE, action_id="answer-yes", via="home", value=question.ref
        )

        assert click.acknowledged
        assert (await bot.row()).standing is None


# Take it


async def test_take_it_is_recorded_and_the_card_says_who(tmp_path: Path) -> None:
    async with triage(tmp_path, CARDS) as bot:
        question = await answered(bot)
        card = await bot.show_card()

        click = await bot.press_button(question, "take-it", user=RADIA, channel=card.channel, ts=card.ts)
        card = await bot.show_card()

        assert click.acknowledged
        row = await bot.row()
        assert (row.taken_by, row.taken_name) == (RADIA, "radia")
        shown = json.dumps(list(card.blocks))
        assert "@radia" in shown
        assert "take-it" not in shown
        assert "takes it" in thread_of(bot, card.ts)[-1]


async def test_take_it_from_anywhere_else_is_refused(tmp_path: Path) -> None:
    async with triage(tmp_path, CARDS) as bot:
        question = await answered(bot)
        await bot.show_card()

        click = await bot.press_button(question, "take-it", user=ADA)

        assert click.acknowledged
        assert await eventually(lambda: bot.told(ADA)) == [WORDS["refusal"]["other_conversation"]]
        assert (await bot.row()).taken_by == ""


async def test_a_take_that_cannot_be_stored_is_not_acknowledged(tmp_path: Path) -> None:
    async with triage(tmp_path, CARDS) as bot:
        question = await answered(bot)
        card = await bot.show_card()
        bot.store.is_full = True

        click = await bot.press_button(question, "take-it", user=RADIA, channel=card.channel, ts=card.ts)

        assert not click.acknowledged
        assert click.warning


def buttons_of(home: Any) -> list[str]:
    return [
        element["action_id"]
        for block in home["blocks"]
        if block["type"] == "actions"
        for element in block["elements"]
    ]


def thread_of(bot: ClickHarness, ts: str) -> list[str]:
    conversation = bot.slack.slack.workspace.conversation(SECURITY_CHANNEL)
    assert conversation is not None
    replies = [conversation.message(reply) for reply in conversation.replies(ts)]
    return [reply.text for reply in replies if reply]
