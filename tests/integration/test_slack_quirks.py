"""Slack is not as simple as its documentation: the inside of a worker before a stand-in with its quirks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from click_desk import triage, until

from bot.triage.model import Choice, State

if TYPE_CHECKING:
    from pathlib import Path

    from click_desk import Triage

    from bot.triage.model import Question


async def test_somebody_whose_conversation_must_be_opened_is_asked_once(tmp_path: Path) -> None:
    async with triage(tmp_path) as bot:
        bot.slack.slack.installation.quirks.opens_by_posting = False

        question = await bot.ask()

        assert question.state is State.ASKED
        assert bot.message(question) is not None


@pytest.mark.parametrize("replaced_metadata", ["kept", "given", "lost"])
async def test_a_question_that_was_redrawn_after_a_click_is_found_again(
    tmp_path: Path, replaced_metadata: Any
) -> None:
    async with triage(tmp_path) as bot:
        bot.slack.slack.installation.quirks.replaced_metadata = replaced_metadata
        question = await bot.ask()
        await bot.press(question, Choice.YES)
        await until(lambda: has_answer(bot, question))

        assert await bot.messenger.look_up(question) == question.posted


def has_answer(bot: Triage, question: Question) -> bool:
    message = bot.message(question)
    return message is not None and any(block["block_id"] == "answer" for block in message.blocks)
