"""Clicks over a real websocket: one that overtakes the post's reply, and one that cannot be stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from click_harness import triage
from mypy_boto3_sqs import SQSClient
from wording import WORDING
from world import World, buttons, until

from bot.triage.model import Choice, State
from bot.triage.outcomes import Outcome


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory, sqs: SQSClient, aws_environment: Mapping[str, str]
) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("clicks"), sqs, aws_environment) as world:
        world.start()
        yield world
        world.assert_clean_log()


def test_a_click_that_overtakes_the_posts_reply_is_an_answer(world: World) -> None:
    reply = world.slack.hold("chat.postMessage", after_work=True)
    identifier = world.send()
    reply.wait_until_reached()
    question = world.slack.question(identifier)
    assert world.known_row(identifier)["state"] == "posting"

    click = world.slack.press(question, "no")

    answered = world.known_row(identifier)
    assert click.acknowledged
    assert (answered["state"], answered["outcome"]) == ("asked", "no")
    assert (answered["channel"], answered["ts"]) == (question.channel, question.ts)
    assert world.status(identifier) == "escalated"
    world.slack.faults.heal()


def test_a_reply_that_comes_late_does_not_move_the_row_back(world: World) -> None:
    reply = world.slack.hold("chat.postMessage", after_work=True)
    identifier = world.send()
    reply.wait_until_reached()
    question = world.slack.question(identifier)
    world.slack.press(question, "yes")
    world.slack.redrawn(identifier, WORDING["answer"]["yes"])
    answered = until(lambda: _at_rest(world, identifier), what="the redraw is recorded")

    world.slack.faults.heal()
    world.worker.until_logged("question.asked", identifier)

    assert world.known_row(identifier) == answered
    assert len(world.slack.questions(identifier)) == 1
    assert len(buttons(world.slack.question(identifier))) == 4


@pytest.mark.slow
def test_a_reply_that_is_lost_after_the_click_leaves_no_doubt(world: World) -> None:
    reply = world.slack.hold("chat.postMessage", after_work=True)
    identifier = world.send(user="alan@example.com")
    reply.wait_until_reached()
    world.slack.press(world.slack.question(identifier), "yes")
    world.reports(identifier)

    world.slack.stop()
    world.worker.until_logged("question.unconfirmed", identifier)
    world.slack.start()
    world.slack.until_linked()

    row = world.known_row(identifier)
    assert (row["state"], row["outcome"], row["inDoubtSince"]) == ("asked", "yes", None)
    assert len(world.slack.questions(identifier)) == 1


async def test_a_click_that_cannot_be_stored_is_neither_acknowledged_nor_thanked_for_and_can_be_repeated(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with triage(tmp_path) as bot:
        question = await bot.ask("one")
        before = question, bot.message(question)

        bot.store.is_full = True
        refused = await bot.press(question, Choice.NO)
        after_refusal = await bot.row("one"), bot.message(question)
        bot.store.is_full = False
        taken = await bot.press(question, Choice.NO)

        assert (refused.acknowledged, taken.acknowledged) == (False, True)
        assert refused.warning
        assert after_refusal == before
        assert (await bot.row("one")).standing is Outcome.NO
        assert len(await bot.store.reports_of("one")) == 1
        (failed,) = (record for record in caplog.records if vars(record).get("event") == "click.failed")
        fields = {"type": "block_actions", "action_id": "answer-no", "identifier": "one"}
        assert vars(failed)["fields"] == fields


async def test_what_is_stored_is_stored_when_the_click_is_acknowledged(tmp_path: Path) -> None:
    async with triage(tmp_path) as bot:
        question = await bot.ask("one")

        click = await bot.press(question, Choice.YES)

        row = await bot.row("one")
        assert click.acknowledged
        assert (row.state, row.standing, row.said) == (State.ASKED, Outcome.YES, Choice.YES)


async def test_a_question_that_another_worker_may_hold_is_left_to_it_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with triage(tmp_path) as bot:
        question = await bot.ask("one")
        unknown = "0" * 32 + "." + "1" * 32

        alone = await bot.press(question, Choice.YES, value=unknown)
        bot.connections.strangers = True
        shared = await bot.press(question, Choice.YES, value=unknown)
        known = await bot.press(question, Choice.YES)

        assert (alone.acknowledged, shared.acknowledged, known.acknowledged) == (True, False, True)
        assert bot.connections.asked == 2
        [line] = (each for each in caplog.records if vars(each).get("event") == "click.failed")
        assert "another worker may hold this question" in line.getMessage()


def _at_rest(world: World, identifier: str) -> Mapping[str, object] | None:
    """Return the row when nothing is left to do for it: its message is redrawn, its report sent."""
    row = world.known_row(identifier)
    return row if row["dueAt"] is None and row["reports"][0]["sentAt"] else None
