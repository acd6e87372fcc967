"""Slack is not as simple as its documentation: the inside of a worker before a stand-in with its quirks."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click_harness import ClickHarness, triage
from fakes import ToldClock, a_request
from running_slack import ADA, RunningSlack, SettableClock, running
from wording import WORDING, as_read
from world import eventually

from bot.clock import Clock, utc_now
from bot.errors import TransientError
from bot.sandbox.fake_slack.installation import Quirks, Rate
from bot.slack.client import SlackApi
from bot.slack.identity import Identity
from bot.slack.messenger import SlackMessenger
from bot.triage.asking_rules import accept, claim
from bot.triage.look_ups import LookUpDelays, LookUpResult, LookUps
from bot.triage.model import Choice, MessageRef, Person, Question, State, Work
from bot.triage.outcomes import Outcome
from bot.triage.policy import Policy


async def test_somebody_whose_conversation_must_be_opened_is_asked_once(tmp_path: Path) -> None:
    async with triage(tmp_path) as bot:
        bot.slack.slack.installation.quirks.opens_by_posting = False

        question = await bot.ask()

        assert question.state is State.ASKED
        assert bot.message(question).blocks


@pytest.mark.parametrize("replaced_metadata", ["kept", "given", "lost"])
async def test_a_question_that_was_redrawn_after_a_click_is_found_again(
    tmp_path: Path, replaced_metadata: Any
) -> None:
    async with triage(tmp_path) as bot:
        bot.slack.slack.installation.quirks.replaced_metadata = replaced_metadata
        question = await bot.ask()
        await bot.press(question, Choice.YES)
        await eventually(lambda: has_answer(bot, question))

        assert await messenger_in(bot.slack, Clock()).look_up(question) == question.message_ref


@pytest.mark.parametrize("links_to_deleted", [True, False])
@pytest.mark.parametrize("replies_to_deleted", ["alone", "refused"])
async def test_whoever_deleted_their_question_is_reminded_once_and_answers_in_the_home(
    tmp_path: Path, replies_to_deleted: Any, *, links_to_deleted: bool
) -> None:
    policy = Policy(remind_after=timedelta(microseconds=1))
    async with triage(tmp_path, policy, clock=ToldClock(utc_now)) as bot:
        quirks = bot.slack.slack.installation.quirks
        quirks.replies_to_deleted, quirks.links_to_deleted = replies_to_deleted, links_to_deleted
        question = await bot.ask()
        bot.slack.slack.workspace.delete(bot.message(question))

        await bot.service.work_on(await bot.row(), Work.REMIND)
        await bot.open_home()
        click = await bot.press_home("answer-no")

        [reminder] = bot.slack.slack.workspace.direct_message(ADA).seen_by(ADA)
        assert reminder.text.endswith(as_read(WORDING["reminder"]["home"]))
        assert "archives" not in str(reminder.blocks)
        assert click.acknowledged
        assert (await bot.row()).standing is Outcome.NO


@pytest.mark.parametrize("is_there", [True, False])
async def test_a_look_ends_where_slack_shows_fifteen_messages_a_minute(*, is_there: bool) -> None:
    clock = SettableClock()
    minute = timedelta(minutes=1)
    quirks = Quirks(history_page=15, limits={"conversations.history": Rate(calls=1, per=minute)})
    async with running(clock=clock) as slack:
        slack.slack.installation.quirks = quirks
        messenger = messenger_in(slack, clock)
        looker = LookUps(messenger, clock=clock, delays=LookUpDelays())
        asked_at = clock()
        accepted = accept(a_request(), f"{'0' * 32}.1", asked_at, Policy()).question
        claimed = claim(accepted, Person(slack_id=ADA, slack_name="ada"), asked_at).question
        posted = await messenger.post(claimed) if is_there else None
        for _ in range(40):
            await slack.ask()
        looker.mark_in_doubt(claimed)

        found: list[MessageRef | LookUpResult] = []
        while (
            clock() - asked_at < 20 * minute and posted not in found and LookUpResult.NOT_POSTED not in found
        ):
            clock.now += minute
            with contextlib.suppress(TransientError):
                found.append(await looker.look(claimed))

        assert found == [posted] if is_there else [LookUpResult.NOT_FOUND_YET, LookUpResult.NOT_POSTED]
        # Three pages a look, one a minute.
        assert clock() - asked_at == (3 if is_there else 6) * minute


def messenger_in(slack: RunningSlack, clock: Clock) -> SlackMessenger:
    identity = Identity(team_id="T0SANDBOX01", scopes=frozenset({"im:history"}))
    api = SlackApi(slack.client, slack.session, clock=clock)
    return SlackMessenger(api, identity, WORDING, Policy())


def has_answer(bot: ClickHarness, question: Question) -> bool:
    return any(block["block_id"] == "answer" for block in bot.message(question).blocks)
