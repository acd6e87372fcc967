"""Clicks over a real websocket: one that overtakes the post's reply, and one that cannot be stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from click_harness import triage
from wording import WORDING
from world import World, buttons, until

from bot.sandbox.fake_slack.workspace import Message
from bot.triage.model import Choice
from bot.triage.outcomes import Outcome


@pytest.fixture(scope="module")
def world(create_shared_world: Callable[..., World]) -> World:
    world = create_shared_world()
    world.start()
    return world


def post_without_reply(world: World, **fields: str) -> tuple[str, Message]:
    """Ask, and delay Slack's reply; return the identifier and the message."""
    reply = world.slack.hold("chat.postMessage", after_work=True)
    identifier = world.send(**fields)
    reply.wait_until_reached()
    return identifier, world.slack.question(identifier)


def test_a_click_that_overtakes_the_posts_reply_is_an_answer_and_the_reply_does_not_move_it_back(
    world: World,
) -> None:
    identifier, question = post_without_reply(world)
    assert world.known_row(identifier)["state"] == "posting"

    click = world.slack.press(question, "no")

    row = world.known_row(identifier)
    assert click.acknowledged
    assert (row["state"], row["outcome"]) == ("asked", "no")
    assert (row["channel"], row["ts"]) == (question.channel, question.ts)
    assert world.status(identifier) == "escalated"
    world.slack.redrawn(identifier, WORDING["answer"]["no"])
    answered = until(lambda: _at_rest(world, identifier), what="the redraw is recorded")

    world.slack.faults.heal()
    world.worker.until_logged("question.asked", identifier)

    assert world.known_row(identifier) == answered
    assert len(world.slack.questions(identifier)) == 1
    assert len(buttons(world.slack.question(identifier))) == 5  # the answers, and one for a note


@pytest.mark.slow
def test_a_reply_that_is_lost_after_the_click_leaves_no_doubt(world: World) -> None:
    identifier, question = post_without_reply(world, user="alan@example.com")
    world.slack.press(question, "yes")
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
