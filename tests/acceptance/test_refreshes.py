"""Slack asks for new links again and again, and the people go on clicking."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest
from world import World, newcomer, until
from world.faults import slow

from bot.sandbox.fake_slack import SlackStandIn
from bot.sandbox.fake_slack.workspace import Message
from bot.worker.control import call

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
