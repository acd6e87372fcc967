"""Slack is not as simple as its documentation: the inside of a worker before a stand-in with its quirks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from click_desk import triage

from bot.triage.model import State

if TYPE_CHECKING:
    from pathlib import Path


async def test_somebody_whose_conversation_must_be_opened_is_asked_once(tmp_path: Path) -> None:
    async with triage(tmp_path) as bot:
        bot.slack.slack.installation.quirks.opens_by_posting = False

        question = await bot.ask()

        assert question.state is State.ASKED
        assert bot.message(question) is not None
