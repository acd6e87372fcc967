"""The stand-in Slack: threads, replies to everybody, permalinks, and channels that the bot may not be in."""

from __future__ import annotations

from typing import Any

import pytest
from running_slack import ADA, BLOCKS, RunningSlack, refusal
from slack_bolt.async_app import AsyncAck

from bot.sandbox.fake_slack import SECURITY_CHANNEL

pytest_plugins = ["slack_fixtures"]


async def _replied(world: RunningSlack, **more: Any) -> tuple[str, str, str]:
    """Ask, and reply in the question's thread: channel, ts of the question, ts of the reply."""
    channel, ts = await world.ask()
    reply = await world.client.chat_postMessage(channel=channel, thread_ts=ts, text="A reminder", **more)
    return channel, ts, str(reply["ts"])


async def test_a_reply_to_everybody_is_seen_in_the_conversation_as_well(world: RunningSlack) -> None:
    channel, ts, reply = await _replied(world, reply_broadcast=True)
    await world.client.chat_postMessage(channel=channel, thread_ts=ts, text="In the thread alone")

    history = await world.client.conversations_history(channel=channel)

    assert [one["ts"] for one in history["messages"]] == [reply, ts]
    assert history["messages"][0]["subtype"] == "thread_broadcast"


async def test_outside_of_a_thread_there_is_nothing_to_broadcast(world: RunningSlack) -> None:
    posted = await world.client.chat_postMessage(channel=ADA, text="Hello", reply_broadcast=True)

    assert "subtype" not in posted["message"]


async def test_the_first_message_of_a_thread_names_the_thread_too(world: RunningSlack) -> None:
    channel, ts, reply = await _replied(world)

    history = await world.client.conversations_history(channel=channel)

    first = history["messages"][0]
    assert (first["thread_ts"], first["reply_count"], first["latest_reply"]) == (ts, 1, reply)


async def test_a_click_on_a_reply_says_which_thread_it_is_in(world: RunningSlack) -> None:
    channel, ts, reply = await _replied(world, blocks=BLOCKS)

    on_reply = await world.slack.click(user=ADA, channel=channel, ts=reply, action_id="answer-no")
    on_first = await world.slack.click(user=ADA, channel=channel, ts=ts, action_id="answer-no")

    assert on_reply.payload["container"]["thread_ts"] == ts
    assert "thread_ts" not in on_first.payload["container"]


async def test_a_permalink_leads_to_the_message_and_that_of_a_reply_to_its_thread(
    world: RunningSlack,
) -> None:
    channel, ts, reply = await _replied(world)

    first = await world.client.chat_getPermalink(channel=channel, message_ts=ts)
    second = await world.client.chat_getPermalink(channel=channel, message_ts=reply)
    unknown = await refusal(world.client.chat_getPermalink(channel=channel, message_ts="1.000001"))

    archive = f"https://sandbox.slack.com/archives/{channel}"
    assert first["permalink"] == f"{archive}/p{ts.replace('.', '')}"
    assert second["permalink"] == f"{archive}/p{reply.replace('.', '')}?thread_ts={ts}&cid={channel}"
    assert unknown["error"] == "message_not_found"


async def test_the_security_channel_takes_cards_and_lets_them_be_changed(world: RunningSlack) -> None:
    card = await world.client.chat_postMessage(channel=SECURITY_CHANNEL, text="A card", blocks=BLOCKS)

    changed = await world.client.chat_update(channel=SECURITY_CHANNEL, ts=card["ts"], text="Taken")

    assert changed["message"]["text"] == "Taken"
    assert world.slack.workspace.message(SECURITY_CHANNEL, card["ts"]) is not None


async def test_a_press_in_a_channel_names_the_channel_and_whoever_pressed(world: RunningSlack) -> None:
    users: list[str] = []
    card = await world.client.chat_postMessage(channel=SECURITY_CHANNEL, text="A card", blocks=BLOCKS)
    async with world.app() as app:

        @app.action("answer-no")
        async def take(ack: AsyncAck, body: dict[str, Any]) -> None:
            users.append(body["user"]["id"])
            await ack()

        click = await world.slack.click(
            user="U0RADIAP009", channel=SECURITY_CHANNEL, ts=card["ts"], action_id="answer-no"
        )

    assert users == ["U0RADIAP009"]
    assert click.payload["channel"] == {"id": SECURITY_CHANNEL, "name": "security"}


@pytest.mark.parametrize(
    ("fact", "code"),
    [("absent", "not_in_channel"), ("archived", "is_archived"), ("none", "channel_not_found")],
)
async def test_a_channel_that_the_bot_cannot_post_to_says_why(
    world: RunningSlack, fact: str, code: str
) -> None:
    channel = "C0ELSEWHERE"
    if fact != "none":
        made = world.slack.workspace.add_channel(channel, name="elsewhere", has_bot=fact != "absent")
        made.is_archived = fact == "archived"

    answer = await refusal(world.client.chat_postMessage(channel=channel, text="A card"))

    assert answer["error"] == code
