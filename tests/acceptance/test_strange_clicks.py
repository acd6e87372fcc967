"""Clicks that must change nothing, or not for ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from world import ADA, ALAN, GRACE, World, until
from world.slack import ref_of

from bot.sandbox.fake_slack.workspace import Message


@pytest.fixture(scope="module")
def world(create_shared_world: Callable[..., World]) -> World:
    world = create_shared_world()
    world.start()
    return world


def assert_unanswered(world: World, identifier: str) -> None:
    """Assert that a question stands as if nobody had clicked. What is stored is stored before it is acked."""
    row = world.known_row(identifier)
    assert (row["state"], row["said"], row["outcome"], row["reports"]) == ("asked", None, None, [])


def until_told(world: World, user: str, words: str) -> None:
    until(lambda: any(words in text for text in world.slack.told(user)), what=f"{user} is told of {words!r}")


UNKNOWN_REF = "0" * 32 + "." + "1" * 32


@pytest.mark.parametrize(
    ("choice", "forged", "words"),
    [
        ("yes", {"user": GRACE}, "put to somebody else"),
        ("no", {"team": "T0ELSEWHERE"}, "another workspace"),
        ("yes", {"value": lambda _: UNKNOWN_REF}, "This question is closed"),
        ("yes", {"value": lambda ref: ref[:-1] + "!"}, "This question is closed"),
        ("yes", {"value": str.upper}, "This question is closed"),
        ("wrongUser", {"value": lambda ref: ref}, "not one of the answers"),
    ],
)
def test_a_forged_click_changes_nothing_and_whoever_clicked_is_told(
    world: World, choice: str, forged: dict[str, Any], words: str
) -> None:
    identifier = world.send(user="alan@example.com", identityConfidence="high")
    question = world.slack.question(identifier)
    if "value" in forged:
        forged = {"value": forged["value"](ref_of(question))}

    click = world.slack.press(question, choice, **forged)

    assert click.acknowledged
    assert_unanswered(world, identifier)
    until_told(world, forged.get("user", ALAN), words)


def test_a_copy_of_the_buttons_in_another_conversation_answers_nothing(world: World) -> None:
    identifier = world.send()
    question = world.slack.question(identifier)

    def copy() -> str:
        ts = world.slack.stand_in.installation.next_ts()
        blocks = question.blocks
        workspace = world.slack.stand_in.workspace
        workspace.post(Message(channel="C0SECURITY1", ts=ts, user=ADA, text="look", blocks=blocks))
        return ts

    click = world.slack.press(question, "yes", user=ADA, channel="C0SECURITY1", ts=world.slack.do(copy))

    assert click.acknowledged
    assert_unanswered(world, identifier)
    until_told(world, ADA, "another conversation")


def test_the_same_click_again_makes_no_second_report(world: World) -> None:
    identifier = world.send()
    question = world.slack.question(identifier)

    clicks = [world.slack.press(question, "no") for _ in range(3)]

    assert all(click.acknowledged for click in clicks)
    assert len(world.known_row(identifier)["reports"]) == 1
    assert world.status(identifier) == "escalated"


def test_somebody_who_keeps_changing_their_mind_is_told_at_last_that_it_stays(world: World) -> None:
    identifier = world.send()
    question = world.slack.question(identifier)

    for round_ in range(13):
        for choice in ("no", "notSure"):
            assert world.slack.press(question, choice).acknowledged, round_

    # The first answer, and 20 changes that raise nothing.
    assert len(world.known_row(identifier)["reports"]) == 21
    until_told(world, ADA, "changed your answer many times")
