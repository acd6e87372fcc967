"""Clicks that must change nothing, or not for ever, and a thousand while Slack asks for new links."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from wording import WORDING
from world import ADA, ALAN, GRACE, World, newcomer, until
from world.faults import slow
from world.slack import ref_of

from bot.sandbox.fake_slack import SlackStandIn
from bot.sandbox.fake_slack.workspace import Message
from bot.worker.control import call


@pytest.fixture(scope="module")
def world(create_shared_world: Callable[..., World]) -> World:
    world = create_shared_world()
    world.start()
    return world


def assert_unanswered(world: World, identifier: str) -> None:
    """Assert that a question is as if nobody had clicked. Storing precedes the acknowledgement."""
    row = world.known_row(identifier)
    assert (row["state"], row["said"], row["outcome"], row["reports"]) == ("asked", None, None, [])


def until_told(world: World, user: str, refusal: str) -> None:
    words = WORDING["refusal"][refusal]
    until(lambda: any(words in text for text in world.slack.told(user)), what=f"{user} is told of {words!r}")


UNKNOWN_REF = "0" * 32 + "." + "1" * 32


@pytest.mark.parametrize(
    ("choice", "forged", "refusal"),
    [
        ("yes", {"user": GRACE}, "other_person"),
        ("no", {"team": "T0ELSEWHERE"}, "other_workspace"),
        ("yes", {"value": lambda _: UNKNOWN_REF}, "closed"),
        ("yes", {"value": lambda ref: ref[:-1] + "!"}, "closed"),
        ("yes", {"value": str.upper}, "closed"),
        ("wrongUser", {"value": lambda ref: ref}, "not_offered"),
    ],
)
def test_a_forged_click_changes_nothing_and_whoever_clicked_is_told(
    world: World, choice: str, forged: dict[str, Any], refusal: str
) -> None:
    identifier, question = world.ask(user="alan@example.com", identityConfidence="high")
    if "value" in forged:
        forged = {"value": forged["value"](ref_of(question))}

    click = world.slack.press(question, choice, **forged)

    assert click.acknowledged
    assert_unanswered(world, identifier)
    until_told(world, forged.get("user", ALAN), refusal)


def test_a_copy_of_the_buttons_in_another_conversation_answers_nothing(world: World) -> None:
    identifier, question = world.ask()

    def copy() -> str:
        ts = world.slack.stand_in.installation.next_ts()
        blocks = question.blocks
        workspace = world.slack.stand_in.workspace
        workspace.post(Message(channel="C0SECURITY1", ts=ts, user=ADA, text="look", blocks=blocks))
        return ts

    click = world.slack.press(question, "yes", user=ADA, channel="C0SECURITY1", ts=world.slack.do(copy))

    assert click.acknowledged
    assert_unanswered(world, identifier)
    until_told(world, ADA, "other_conversation")


def test_the_same_click_again_makes_no_second_report(world: World) -> None:
    identifier, question = world.ask()

    clicks = [world.slack.press(question, "no") for _ in range(3)]

    assert all(click.acknowledged for click in clicks)
    assert len(world.known_row(identifier)["reports"]) == 1
    assert world.status(identifier) == "escalated"


def test_somebody_who_keeps_changing_their_mind_is_told_at_last_that_it_stays(world: World) -> None:
    identifier, question = world.ask()

    for round_ in range(13):
        for choice in ("no", "notSure"):
            assert world.slack.press(question, choice).acknowledged, round_

    # The first answer, and 20 changes that raise nothing.
    assert len(world.known_row(identifier)["reports"]) == 21
    until_told(world, ADA, "too_many_changes")


#: A question takes four choices that each raise what stands; a person takes three questions at once.
PEOPLE, QUESTIONS_EACH, CHOICES = 84, 3, ("yes", "notSure", "wrongUser", "no")

CLICKS, REFRESHES = 1000, 20

#: Clicks under way at a time.
AT_ONCE = 25


@pytest.mark.slow
def test_a_thousand_clicks_during_twenty_refreshes_are_all_recorded(
    create_world: Callable[..., World],
) -> None:
    # Reports are held: this is about clicks.
    world = create_world(MOZDEF_SYNC_SECONDS="900")
    world.start()
    questions = _ask_a_crowd(world)[: CLICKS // len(CHOICES)]
    world.slack.faults.meet(*[slow] * REFRESHES)

    acknowledged = world.slack.run(_click_and_refresh(world.slack.stand_in, questions), seconds=200)

    assert acknowledged == CLICKS
    rows = list(call(world.worker.folder / "triage-bot.db.sock", "list", limit=1000))
    assert sum(row["answers"] for row in rows) == CLICKS
    assert world.slack.stand_in.socket_mode.welcomed == 2 + REFRESHES


def _ask_a_crowd(world: World) -> Sequence[Message]:
    names = [f"person-{number}" for number in range(PEOPLE)]
    for name in names:
        world.slack.admit(newcomer(name))
    identifiers = world.send_many([f"{name}@example.com" for name in names] * QUESTIONS_EACH)

    posts = world.slack.faults
    until(lambda: posts.count("chat.postMessage") >= len(identifiers), what="everybody is asked", seconds=60)
    return world.slack.all_questions()


async def _click_and_refresh(slack: SlackStandIn, questions: Sequence[Message]) -> int:
    """Click all choices of all questions; return how many clicks were acknowledged."""
    presses = [(question, choice) for choice in CHOICES for question in questions]
    acknowledged = 0
    refreshing = asyncio.create_task(_refresh(slack))
    for first in range(0, len(presses), AT_ONCE):
        together = presses[first : first + AT_ONCE]
        clicks = await asyncio.gather(*(_press(slack, *press) for press in together))
        acknowledged += sum(clicks)
    await refreshing
    return acknowledged


async def _press(slack: SlackStandIn, question: Message, choice: str) -> bool:
    user = "U" + question.channel[1:]
    click = await slack.click(
        user=user, channel=question.channel, ts=question.ts, action_id=f"answer-{choice}"
    )
    return click.acknowledged


async def _refresh(slack: SlackStandIn) -> None:
    for number in range(REFRESHES):
        welcomed = slack.socket_mode.welcomed
        await slack.disconnect("warning" if number % 2 else "refresh_requested")
        await slack.socket_mode.until(
            lambda before=welcomed: slack.socket_mode.welcomed > before and slack.links == 2  # type: ignore[misc] # mypy wants no default there
        )
