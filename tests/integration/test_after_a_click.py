"""What follows a click and fails is told to whoever clicked, where they clicked. Nobody gets a message."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click_harness import ClickHarness, triage
from running_slack import ADA, GRACE
from world import eventually

from bot.sandbox.fake_slack.objects import text_of_block
from bot.settings.messages import load_messages
from bot.triage.model import Choice, Question
from bot.triage.outcomes import Outcome
from bot.triage.policy import NOTES, AlertPolicies, AlertPolicy, NoteRule, Policy

WORDS = load_messages()
REQUIRED = Policy(alerts=AlertPolicies(default=AlertPolicy(notes={**NOTES, Choice.NO: NoteRule.REQUIRED})))

#: Codes with which a call may fail: it is refused, it is to wait, it may have been done.
FAILURES = ["invalid_arguments", "ratelimited", "internal_error"]


def refuse(bot: ClickHarness, code: str, *methods: str) -> None:
    bot.slack.slack.installation.quirks.refusals = dict.fromkeys(methods, code)


def lines_of(bot: ClickHarness, user: str = ADA) -> list[str]:
    """Return what stands on top of somebody's Home."""
    blocks = (bot.home(user) or {"blocks": []})["blocks"]
    return [text_of_block(each) for each in blocks if each.get("block_id", "").startswith("notice")]


async def open_home(bot: ClickHarness, user: str = ADA) -> None:
    await bot.slack.slack.open_home(user)
    await eventually(lambda: bot.home(user))


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [str(vars(record).get("event")) for record in caplog.records]


def messages_to(bot: ClickHarness, user: str) -> int:
    """Return how many messages somebody has, beside what they alone were told."""
    seen = bot.slack.slack.workspace.direct_message(user).seen_by(user)
    return len([one for one in seen if one.ephemeral_for is None])


# In the message


@pytest.mark.parametrize("code", FAILURES)
async def test_a_window_that_a_person_asked_for_and_that_does_not_open_is_told(
    tmp_path: Path, code: str
) -> None:
    async with triage(tmp_path) as bot:
        question = await bot.ask()
        await bot.press(question, Choice.NO)
        refuse(bot, code, "views.open")

        click = await bot.press_button(question, "note")

        assert click.acknowledged
        assert await eventually(lambda: bot.told(ADA)) == [WORDS["unfinished"]["window"]]
        assert messages_to(bot, ADA) == 1


@pytest.mark.parametrize("code", FAILURES)
async def test_a_window_for_a_required_note_that_does_not_open_is_told(tmp_path: Path, code: str) -> None:
    async with triage(tmp_path, REQUIRED) as bot:
        question = await bot.ask()
        refuse(bot, code, "views.open")

        click = await bot.press(question, Choice.NO)

        assert click.acknowledged
        assert await eventually(lambda: bot.told(ADA)) == [WORDS["unfinished"]["window"]]
        assert (await bot.row()).standing is Outcome.NO


async def test_a_message_that_cannot_be_redrawn_now_is_told(tmp_path: Path) -> None:
    async with triage(tmp_path) as bot:
        question = await bot.ask()
        refuse(bot, "ratelimited", "chat.update")
        bot.slack.slack.installation.quirks.replaces_originals = False

        click = await bot.press(question, Choice.NO)

        assert click.acknowledged
        assert await eventually(lambda: bot.told(ADA)) == [WORDS["unfinished"]["message"]]
        assert messages_to(bot, ADA) == 1


async def test_what_cannot_be_told_is_logged_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with triage(tmp_path, REQUIRED) as bot:
        question = await bot.ask()
        refuse(bot, "invalid_arguments", "views.open")

        await press_without_response_url(bot, question)
        await eventually(lambda: bot.meter.clickers_untold)

        assert bot.told(ADA) == []
        assert (bot.meter.clickers_untold, messages_to(bot, ADA)) == (1, 1)
        assert events(caplog).count("notice.lost") == 1


async def test_a_button_that_there_is_not_changes_nothing_and_is_told(tmp_path: Path) -> None:
    async with triage(tmp_path) as bot:
        question = await bot.ask()

        click = await bot.press_button(question, "answer-maybe")

        assert click.acknowledged
        assert await eventually(lambda: bot.told(ADA)) == [WORDS["refusal"]["not_offered"]]
        assert (await bot.row()).standing is None


async def test_a_note_that_cannot_be_read_stays_in_its_window(tmp_path: Path) -> None:
    async with triage(tmp_path) as bot:
        question = await bot.ask()
        await bot.press(question, Choice.NO)
        await bot.press_button(question, "note")
        view = await eventually(bot.modal)
        view["private_metadata"] = ""

        click = await bot.write_note("I was on a train.")

        assert click.errors == {"note": WORDS["refusal"]["closed"]}
        assert bot.modal() is not None


# In the Home


@pytest.mark.parametrize("code", FAILURES)
async def test_a_window_that_does_not_open_from_the_home_is_told_there(tmp_path: Path, code: str) -> None:
    async with triage(tmp_path, REQUIRED) as bot:
        await bot.ask()
        await open_home(bot)
        refuse(bot, code, "views.open")

        click = await bot.slack.slack.click(user=ADA, action_id="answer-no", via="home")

        assert click.acknowledged
        assert await eventually(lambda: lines_of(bot)) == [WORDS["unfinished"]["window"]]
        assert WORDS["home"]["answered"] in json.dumps(bot.home()["blocks"])
        assert messages_to(bot, ADA) == 1


@pytest.mark.parametrize("code", ["ratelimited", "internal_error", "token_revoked"])
async def test_a_message_that_cannot_be_redrawn_from_the_home_is_told_there(
    tmp_path: Path, code: str
) -> None:
    async with triage(tmp_path) as bot:
        await bot.ask()
        await open_home(bot)
        refuse(bot, code, "chat.update")

        await bot.slack.slack.click(user=ADA, action_id="answer-no", via="home")

        assert await eventually(lambda: lines_of(bot)) == [WORDS["unfinished"]["message"]]


async def test_a_click_that_is_refused_in_the_home_is_told_there(tmp_path: Path) -> None:
    async with triage(tmp_path) as bot:
        question = await bot.ask()
        await open_home(bot, GRACE)

        click = await bot.slack.slack.click(
            user=GRACE, action_id="answer-yes", via="home", value=question.ref
        )

        assert click.acknowledged
        assert await eventually(lambda: lines_of(bot, GRACE)) == [WORDS["refusal"]["other_person"]]
        assert "account of" not in json.dumps(bot.home(GRACE)["blocks"])
        assert messages_to(bot, GRACE) == 0


async def test_the_line_is_gone_when_the_home_is_shown_again(tmp_path: Path) -> None:
    async with triage(tmp_path) as bot:
        await open_home(bot)
        await bot.slack.slack.click(user=ADA, action_id="answer-yes", via="home", value="0" * 32 + ".1")
        await eventually(lambda: lines_of(bot))

        await bot.slack.slack.open_home(ADA)

        await eventually(lambda: not lines_of(bot))


async def test_a_home_that_slack_refuses_says_so(tmp_path: Path) -> None:
    async with triage(tmp_path) as bot:
        await bot.ask()
        bot.slack.slack.installation.quirks.home_blocks = 3

        await bot.slack.slack.open_home(ADA)

        assert await eventually(lambda: lines_of(bot)) == [WORDS["unfinished"]["home"]]
        assert bot.meter.clickers_untold == 0


@pytest.mark.parametrize("code", FAILURES)
async def test_a_home_that_cannot_be_shown_at_all_is_logged_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, code: str
) -> None:
    async with triage(tmp_path) as bot:
        await bot.ask()
        refuse(bot, code, "views.publish")

        delivery = await bot.slack.slack.open_home(ADA)
        await eventually(lambda: bot.meter.clickers_untold)

        assert delivery.acknowledged
        assert (bot.meter.clickers_untold, messages_to(bot, ADA)) == (1, 1)
        assert events(caplog).count("notice.lost") == 1
        assert "Traceback" not in caplog.text


async def test_a_refusal_that_the_home_cannot_show_is_logged_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with triage(tmp_path) as bot:
        question = await bot.ask()
        await open_home(bot, GRACE)
        refuse(bot, "ratelimited", "views.publish")

        await bot.slack.slack.click(user=GRACE, action_id="answer-yes", via="home", value=question.ref)
        await eventually(lambda: bot.meter.clickers_untold)

        assert events(caplog).count("reply.failed") == 1
        assert messages_to(bot, GRACE) == 0


async def press_without_response_url(bot: ClickHarness, question: Question) -> Any:
    """Press *No* on a message of which Slack gives no address to answer at."""
    bot.slack.slack.installation.quirks.gives_response_urls = False
    return await bot.press(question, Choice.NO)
