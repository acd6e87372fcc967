"""What follows from clicks over a real websocket: windows for notes, Homes, cards that are taken.

A person who clicked is told, where they clicked, what failed afterwards. Nobody gets a message.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click_harness import CARDS, RADIA, REQUIRED, ClickHarness, triage
from running_slack import ADA, GRACE
from wording import WORDING
from world import eventually

from bot.sandbox.fake_slack.cast import SECURITY_CHANNEL
from bot.sandbox.fake_slack.objects import text_of_block
from bot.triage.model import Choice, Question
from bot.triage.outcomes import Outcome


def text_of(bot: ClickHarness, question: Question) -> str:
    return json.dumps(list(bot.message(question).blocks))


async def answered(bot: ClickHarness, choice: Choice = Choice.NO) -> Question:
    """Ask, answer, and wait until the message shows it."""
    question = await bot.ask()
    await bot.press(question, choice)
    await eventually(lambda: WORDING["answer"][choice] in text_of(bot, question))
    return await bot.row()


# Notes


async def test_a_note_travels_from_the_button_to_the_outbox_and_the_message(tmp_path: Path) -> None:
    async with triage(tmp_path) as bot:
        question = await answered(bot)

        await bot.open_note(question)
        sending = await bot.write_note("I was on a train.")

        assert (sending.acknowledged, sending.errors) == (True, {})
        row = await bot.row()
        assert (row.note, row.notes, row.standing) == ("I was on a train.", 1, Outcome.NO)
        note = json.loads((await bot.bodies())[-1])
        assert note["category"] == "triagebotnote"
        assert note["details"]["triagebot"]["comment"] == "I was on a train."
        assert bot.modal() is None
        await eventually(lambda: WORDING["note"]["thanks"] in text_of(bot, question))


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
        await eventually(lambda: WORDING["answer"]["no"] in text_of(bot, question))
        await bot.open_note(await bot.row())


async def test_an_answer_that_needs_no_note_opens_no_window(tmp_path: Path) -> None:
    async with triage(tmp_path, REQUIRED) as bot:
        await answered(bot, Choice.YES)

        assert bot.modal() is None


async def test_a_note_that_cannot_be_stored_stays_in_its_window(tmp_path: Path) -> None:
    async with triage(tmp_path) as bot:
        question = await answered(bot)
        await bot.open_note(question)

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
        await bot.open_note(question, GRACE)

        click = await bot.write_note("Let me in.", user=GRACE)

        assert click.errors == {"note": WORDING["refusal"]["other_person"]}
        assert bot.modal(GRACE) is not None
        assert (await bot.row()).notes == 0


async def test_the_button_for_a_note_on_a_question_that_is_gone_says_so(tmp_path: Path) -> None:
    async with triage(tmp_path) as bot:
        question = await answered(bot)

        click = await bot.press_button(question, "note", value="0" * 32 + "." + "1" * 32)

        assert click.acknowledged
        assert await eventually(lambda: bot.told(ADA)) == [WORDING["refusal"]["closed"]]
        assert bot.modal() is None


# Home


async def test_a_home_shows_what_is_open_and_nothing_of_others(tmp_path: Path) -> None:
    async with triage(tmp_path) as bot:
        await bot.ask(summary="A door was opened.")

        await bot.slack.slack.open_home(ADA, tab="messages")
        of_another = await bot.open_home(GRACE)
        after_the_messages_tab = bot.home(ADA)
        own = await bot.open_home()

        assert after_the_messages_tab is None
        assert bot.home(GRACE) == of_another
        assert "A door was opened." in json.dumps(own["blocks"])
        assert buttons_of(own) == ["answer-yes", "answer-no", "answer-notSure", "answer-wrongUser"]
        assert "A door" not in json.dumps(of_another["blocks"])
        assert WORDING["home"]["none"] in json.dumps(of_another["blocks"], ensure_ascii=False)


@pytest.mark.parametrize("choice", list(Choice))
async def test_an_answer_given_there_counts_and_redraws_message_and_home(
    tmp_path: Path, choice: Choice
) -> None:
    async with triage(tmp_path) as bot:
        question = await bot.ask()
        await bot.open_home()

        click = await bot.press_home(f"answer-{choice}")

        assert click.acknowledged
        row = await bot.row()
        assert (row.said, row.standing, row.message_ref) == (choice, Outcome(choice), question.message_ref)
        assert json.loads((await bot.bodies())[0])["details"]["triagebot"]["outcome"] == choice
        await eventually(lambda: WORDING["answer"][choice] in text_of(bot, question))
        await eventually(lambda: not buttons_of(bot.home()))
        assert WORDING["home"]["answered"] in json.dumps(bot.home()["blocks"])


# Take it


async def test_take_it_is_recorded_and_the_card_says_who(tmp_path: Path) -> None:
    async with triage(tmp_path, CARDS) as bot:
        await answered(bot)
        card = await bot.show_card()

        click = await bot.take(card)
        card = await bot.show_card()

        assert click.acknowledged
        row = await bot.row()
        assert (row.taken_by, row.taken_name) == (RADIA, "radia")
        shown = json.dumps(list(card.blocks))
        assert "@radia" in shown
        assert "take-it" not in shown
        assert "takes it" in thread_of(bot, card.ts)[-1]


async def test_a_take_that_cannot_be_stored_is_not_acknowledged(tmp_path: Path) -> None:
    async with triage(tmp_path, CARDS) as bot:
        await answered(bot)
        card = await bot.show_card()
        bot.store.is_full = True

        click = await bot.take(card)

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


#: Codes with which a call may fail: it is refused, it is to wait, it may have been done.
FAILURES = ["invalid_arguments", "ratelimited", "internal_error"]


def refuse(bot: ClickHarness, code: str, *methods: str) -> None:
    bot.slack.slack.installation.quirks.refusals = dict.fromkeys(methods, code)


def lines_of(bot: ClickHarness, user: str = ADA) -> list[str]:
    """Return what is at the top of somebody's Home."""
    blocks = (bot.home(user) or {"blocks": []})["blocks"]
    return [text_of_block(each) for each in blocks if each.get("block_id", "").startswith("notice")]


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [str(vars(record).get("event")) for record in caplog.records]


def messages_to(bot: ClickHarness, user: str) -> int:
    """Return how many messages somebody has, besides what they alone were told."""
    seen = bot.slack.slack.workspace.direct_message(user).seen_by(user)
    return len([one for one in seen if one.ephemeral_for is None])


# In the message


@pytest.mark.parametrize("code", FAILURES)
@pytest.mark.parametrize("is_required", [False, True])
async def test_a_window_for_a_note_that_does_not_open_is_told_and_the_answer_counts(
    tmp_path: Path, code: str, *, is_required: bool
) -> None:
    async with triage(tmp_path, REQUIRED if is_required else None) as bot:
        question = await bot.ask()
        if not is_required:
            await bot.press(question, Choice.NO)
        refuse(bot, code, "views.open")

        click = await bot.press_button(question, "answer-no" if is_required else "note")

        assert click.acknowledged
        assert await eventually(lambda: bot.told(ADA)) == [WORDING["unfinished"]["window"]]
        assert messages_to(bot, ADA) == 1
        assert (await bot.row()).standing is Outcome.NO


async def test_a_message_that_cannot_be_redrawn_now_is_told(tmp_path: Path) -> None:
    async with triage(tmp_path) as bot:
        question = await bot.ask()
        refuse(bot, "ratelimited", "chat.update")
        bot.slack.slack.installation.quirks.replaces_originals = False

        click = await bot.press(question, Choice.NO)

        assert click.acknowledged
        assert await eventually(lambda: bot.told(ADA)) == [WORDING["unfinished"]["message"]]
        assert messages_to(bot, ADA) == 1


async def test_what_cannot_be_told_is_logged_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with triage(tmp_path, REQUIRED) as bot:
        question = await bot.ask()
        refuse(bot, "invalid_arguments", "views.open")

        bot.slack.slack.installation.quirks.gives_response_urls = False
        await bot.press(question, Choice.NO)
        await eventually(lambda: bot.meter.clickers_untold)

        assert bot.told(ADA) == []
        assert (bot.meter.clickers_untold, messages_to(bot, ADA)) == (1, 1)
        assert events(caplog).count("notice.lost") == 1


async def test_a_button_that_there_is_not_changes_nothing_and_is_told(tmp_path: Path) -> None:
    async with triage(tmp_path) as bot:
        question = await bot.ask()

        click = await bot.press_button(question, "answer-maybe")

        assert click.acknowledged
        assert await eventually(lambda: bot.told(ADA)) == [WORDING["refusal"]["not_offered"]]
        assert (await bot.row()).standing is None


async def test_a_note_that_cannot_be_read_stays_in_its_window(tmp_path: Path) -> None:
    async with triage(tmp_path) as bot:
        question = await bot.ask()
        await bot.press(question, Choice.NO)
        view = await bot.open_note(question)
        view["private_metadata"] = ""

        click = await bot.write_note("I was on a train.")

        assert click.errors == {"note": WORDING["refusal"]["closed"]}
        assert bot.modal() is not None


# In the Home


@pytest.mark.parametrize("code", FAILURES)
async def test_a_window_that_does_not_open_from_the_home_is_told_there(tmp_path: Path, code: str) -> None:
    async with triage(tmp_path, REQUIRED) as bot:
        await bot.ask()
        await bot.open_home()
        refuse(bot, code, "views.open")

        click = await bot.press_home("answer-no")

        assert click.acknowledged
        assert await eventually(lambda: lines_of(bot)) == [WORDING["unfinished"]["window"]]
        assert WORDING["home"]["answered"] in json.dumps(bot.home()["blocks"])
        assert messages_to(bot, ADA) == 1


@pytest.mark.parametrize("code", ["ratelimited", "internal_error", "token_revoked"])
async def test_a_message_that_cannot_be_redrawn_from_the_home_is_told_there(
    tmp_path: Path, code: str
) -> None:
    async with triage(tmp_path) as bot:
        await bot.ask()
        await bot.open_home()
        refuse(bot, code, "chat.update")

        await bot.press_home("answer-no")

        assert await eventually(lambda: lines_of(bot)) == [WORDING["unfinished"]["message"]]


async def test_a_click_that_is_refused_in_the_home_is_told_there(tmp_path: Path) -> None:
    async with triage(tmp_path) as bot:
        question = await bot.ask()
        await bot.open_home(GRACE)

        click = await bot.press_home("answer-yes", GRACE, value=question.ref)

        assert click.acknowledged
        assert (await bot.row()).standing is None
        assert await eventually(lambda: lines_of(bot, GRACE)) == [WORDING["refusal"]["other_person"]]
        assert "account of" not in json.dumps(bot.home(GRACE)["blocks"])
        assert messages_to(bot, GRACE) == 0


async def test_the_line_is_gone_when_the_home_is_shown_again(tmp_path: Path) -> None:
    async with triage(tmp_path) as bot:
        await bot.open_home()
        await bot.press_home("answer-yes", value="0" * 32 + ".1")
        await eventually(lambda: lines_of(bot))

        await bot.slack.slack.open_home(ADA)

        await eventually(lambda: not lines_of(bot))


async def test_a_home_that_slack_refuses_says_so(tmp_path: Path) -> None:
    async with triage(tmp_path) as bot:
        await bot.ask()
        bot.slack.slack.installation.quirks.home_blocks = 3

        await bot.slack.slack.open_home(ADA)

        assert await eventually(lambda: lines_of(bot)) == [WORDING["unfinished"]["home"]]
        assert bot.meter.clickers_untold == 0


@pytest.mark.parametrize("code", FAILURES)
async def test_a_home_that_cannot_be_shown_at_all_is_logged_and_counted_and_so_is_a_refusal_in_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, code: str
) -> None:
    async with triage(tmp_path) as bot:
        question = await bot.ask()
        await bot.open_home(GRACE)
        refuse(bot, code, "views.publish")

        delivery = await bot.slack.slack.open_home(ADA)
        await eventually(lambda: bot.meter.clickers_untold)
        lost = bot.meter.clickers_untold, messages_to(bot, ADA), events(caplog).count("notice.lost")
        await bot.press_home("answer-yes", GRACE, value=question.ref)
        await eventually(lambda: bot.meter.clickers_untold == 2)

        assert delivery.acknowledged
        assert lost == (1, 1, 1)
        assert events(caplog).count("reply.failed") == 1
        assert messages_to(bot, GRACE) == 0
        assert "Traceback" not in caplog.text
