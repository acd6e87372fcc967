"""The stand-in Slack: posting, history, threads, updates."""

from __future__ import annotations

from datetime import timedelta

import pytest
from running_slack import ADA, METADATA, RunningSlack, SettableClock, refusal, running

pytest_plugins = ["slack_fixtures"]


async def test_a_post_to_a_person_goes_to_their_direct_message(world: RunningSlack) -> None:
    opened = await world.client.conversations_open(users=ADA)

    channel, ts = await world.ask()

    assert channel == opened["channel"]["id"]
    message = world.slack.workspace.message(channel, ts)
    assert message is not None
    assert (message.text, message.metadata) == ("Was it you?", METADATA)


async def test_metadata_is_shown_only_when_it_is_asked_for(world: RunningSlack) -> None:
    channel, ts = await world.ask()

    plain = await world.client.conversations_history(channel=channel)
    full = await world.client.conversations_history(channel=channel, include_all_metadata=True)

    assert "metadata" not in plain["messages"][0]
    assert full["messages"][0]["metadata"] == METADATA
    assert full["messages"][0]["ts"] == ts


async def test_history_comes_newest_first_in_pages(world: RunningSlack) -> None:
    sent = [(await world.ask())[1] for _ in range(7)]
    channel = "D0ADALOVE01"

    pages = [
        [message["ts"] for message in page["messages"]]
        async for page in await world.client.conversations_history(channel=channel, limit=3)
    ]

    assert [len(page) for page in pages] == [3, 3, 1]
    assert [ts for page in pages for ts in page] == sent[::-1]


@pytest.mark.parametrize(("inclusive", "kept"), [("true", [3, 2, 1]), ("false", [2])])
async def test_the_ends_of_history_count_only_when_inclusive(
    world: RunningSlack, inclusive: str, kept: list[int]
) -> None:
    sent = [(await world.ask())[1] for _ in range(5)]

    answer = await world.client.conversations_history(
        channel="D0ADALOVE01", oldest=sent[1], latest=sent[3], inclusive=inclusive == "true"
    )

    assert [message["ts"] for message in answer["messages"]] == [sent[index] for index in kept]


async def test_history_may_lag_behind_a_post() -> None:
    clock = SettableClock()
    async with running(clock=clock, history_lag=timedelta(seconds=8)) as world:
        channel, _ = await world.ask()

        at_once = await world.client.conversations_history(channel=channel)
        clock.now += timedelta(seconds=8)
        later = await world.client.conversations_history(channel=channel)

        assert (len(at_once["messages"]), len(later["messages"])) == (0, 1)


async def test_a_thread_stays_out_of_the_history_but_is_read_by_itself(world: RunningSlack) -> None:
    channel, thread = await world.ask()
    reply = await world.client.chat_postMessage(channel=channel, text="a reminder", thread_ts=thread)

    history = await world.client.conversations_history(channel=channel)
    replies = await world.client.conversations_replies(channel=channel, ts=thread, limit=1)
    read = [page["messages"][0]["ts"] async for page in replies]

    assert [message["ts"] for message in history["messages"]] == [thread]
    assert read == [thread, reply["ts"]]


async def test_an_update_keeps_the_blocks_and_metadata_that_it_does_not_mention(world: RunningSlack) -> None:
    channel, ts = await world.ask()

    await world.client.chat_update(channel=channel, ts=ts, text="Understood")

    message = world.slack.workspace.message(channel, ts)
    assert message is not None
    assert (message.text, message.metadata) == ("Understood", METADATA)
    assert [block["block_id"] for block in message.blocks] == ["question", "answers"]
    assert message.edited_ts is not None


async def test_an_update_of_no_message_or_of_another_persons_is_refused(world: RunningSlack) -> None:
    channel, ts = await world.ask()
    message = world.slack.workspace.message(channel, ts)
    assert message is not None
    world.slack.workspace.change(message, user=ADA)

    foreign = await refusal(world.client.chat_update(channel=channel, ts=ts, text="mine"))
    missing = await refusal(world.client.chat_update(channel=channel, ts="1.000001", text="mine"))

    assert (foreign["error"], missing["error"]) == ("cant_update_message", "message_not_found")


async def test_a_permalink_leads_to_the_message(world: RunningSlack) -> None:
    channel, ts = await world.ask()

    answer = await world.client.chat_getPermalink(channel=channel, message_ts=ts)

    assert answer["permalink"] == f"https://sandbox.slack.com/archives/{channel}/p{ts.replace('.', '')}"
