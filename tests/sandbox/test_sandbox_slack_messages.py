"""The stand-in Slack: posting, history, threads, updates, channels, and what it refuses in a message."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from running_slack import (
    ADA,
    BLOCKS,
    BUTTON,
    METADATA,
    RunningSlack,
    SettableClock,
    acknowledge_clicks,
    refusal,
    running,
)

from bot.sandbox.fake_slack import SECURITY_CHANNEL
from bot.sandbox.fake_slack.installation import Rate


@pytest.fixture
async def world() -> AsyncIterator[RunningSlack]:
    async with running() as world:
        yield world


async def test_a_post_to_a_person_goes_to_their_direct_message(world: RunningSlack) -> None:
    opened = await world.client.conversations_open(users=ADA)

    channel, ts = await world.ask()

    assert channel == opened["channel"]["id"]
    message = world.message(channel, ts)
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

    message = world.message(channel, ts)
    assert (message.text, message.metadata) == ("Understood", METADATA)
    assert [block["block_id"] for block in message.blocks] == ["question", "answers"]
    assert message.edited_ts is not None


async def test_an_update_of_no_message_or_of_another_persons_is_refused(world: RunningSlack) -> None:
    channel, ts = await world.ask()
    world.slack.workspace.change(world.message(channel, ts), user=ADA)

    foreign = await refusal(world.client.chat_update(channel=channel, ts=ts, text="mine"))
    missing = await refusal(world.client.chat_update(channel=channel, ts="1.000001", text="mine"))

    assert (foreign["error"], missing["error"]) == ("cant_update_message", "message_not_found")


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

    on_reply = await world.press(channel, reply)
    on_first = await world.press(channel, ts)

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


async def test_a_card_in_a_channel_can_be_changed_and_pressed(world: RunningSlack) -> None:
    card = await world.client.chat_postMessage(channel=SECURITY_CHANNEL, text="A card", blocks=BLOCKS)
    changed = await world.client.chat_update(channel=SECURITY_CHANNEL, ts=card["ts"], text="Taken")
    async with world.app() as app:
        bodies = acknowledge_clicks(app)

        click = await world.press(SECURITY_CHANNEL, card["ts"], user="U0RADIAP009")

    assert changed["message"]["text"] == "Taken"
    assert [body["user"]["id"] for body in bodies] == ["U0RADIAP009"]
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


def _button(**changes: Any) -> list[dict[str, Any]]:
    return [{"type": "actions", "elements": [{**BUTTON, **changes}]}]


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


CONFIRM = {
    "title": {"type": "plain_text", "text": "Sure?"},
    "text": {"type": "mrkdwn", "text": "The security team will call."},
    "confirm": {"type": "plain_text", "text": "Yes"},
    "deny": {"type": "plain_text", "text": "Back"},
}


async def test_text_is_kept_as_it_was_sent(world: RunningSlack) -> None:
    text = "a < b & <!channel> \u202eevil &amp; ok"

    posted = await world.client.chat_postMessage(channel=ADA, text=text)

    assert world.message(str(posted["channel"]), str(posted["ts"])).text == text


@pytest.mark.parametrize(
    ("channel", "code"),
    [("U0DEPLOY006", "cannot_dm_bot"), ("U0NOBODY", "channel_not_found"), ("D0NOBODY", "channel_not_found")],
)
async def test_a_post_to_nobody_is_refused(world: RunningSlack, channel: str, code: str) -> None:
    answer = await refusal(world.client.chat_postMessage(channel=channel, text="hello"))

    assert answer["error"] == code


@pytest.mark.parametrize(
    ("blocks", "pointer"),
    [
        ([_section("x" * 3001)], "/blocks/0/text/text"),
        ([_section("")], "/blocks/0/text/text"),
        ([{"type": "section"}], "/blocks/0"),
        ([{"type": "section", "text": {"type": "html", "text": "x"}}], "/blocks/0/text/type"),
        ([{"type": "poem"}], "/blocks/0/type"),
        ([{"type": "divider", "colour": "red"}], "/blocks/0"),
        ([{"type": "divider", "block_id": "a"}, {"type": "divider", "block_id": "a"}], "/blocks"),
        ([{"type": "divider"}] * 51, "/blocks"),
        ([{"type": "actions", "elements": [BUTTON, BUTTON]}], "/blocks/0/elements"),
        (_button(value="x" * 2001), "/blocks/0/elements/0/value"),
        (_button(text={"type": "plain_text", "text": "x" * 76}), "/blocks/0/elements/0/text/text"),
        (_button(style="huge"), "/blocks/0/elements/0/style"),
        (_button(action_id="x" * 256), "/blocks/0/elements/0/action_id"),
        (_button(confirm={"title": CONFIRM["title"]}), "/blocks/0/elements/0/confirm"),
        (
            _button(confirm={**CONFIRM, "text": {"type": "plain_text", "text": "x" * 301}}),
            "/blocks/0/elements/0/confirm/text/text",
        ),
    ],
)
async def test_blocks_beyond_the_limits_are_refused_with_the_place(
    world: RunningSlack, blocks: list[dict[str, Any]], pointer: str
) -> None:
    answer = await refusal(world.client.chat_postMessage(channel=ADA, text="hello", blocks=blocks))

    assert answer["error"] == "invalid_blocks"
    assert f"[json-pointer:{pointer}]" in answer["response_metadata"]["messages"][0]
    conversation = world.slack.workspace.conversation("D0ADALOVE01")
    assert conversation is not None
    assert conversation.seen_by(ADA) == []


async def test_blocks_at_the_limits_are_taken(world: RunningSlack) -> None:
    text = {"type": "mrkdwn", "text": "x" * 300}
    button = _button(value="x" * 2000, action_id="a" * 255, confirm={**CONFIRM, "text": text})

    answer = await world.client.chat_postMessage(
        channel=ADA, text="t" * 40_000, blocks=[_section("x" * 3000), *button, *[{"type": "divider"}] * 48]
    )

    assert len(answer["message"]["blocks"]) == 50
    assert all(block["block_id"] for block in answer["message"]["blocks"])


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ({"text": ""}, "no_text"),
        ({"text": "  "}, "no_text"),
        ({"text": "x" * 40_001}, "msg_too_long"),
        ({"text": "x", "blocks": [_section("x" * 3000)] * 5}, "msg_blocks_too_long"),
        ({"text": "x", "metadata": {"event_type": "a b", "event_payload": {}}}, "invalid_metadata_format"),
        ({"text": "x", "metadata": {"event_type": "a", "event_payload": []}}, "invalid_metadata_schema"),
        (
            {"text": "x", "metadata": {"event_type": "a", "event_payload": {"a": "x" * 9000}}},
            "metadata_too_large",
        ),
        ({"text": "x", "thread_ts": "1.000001"}, "thread_not_found"),
    ],
)
@pytest.mark.filterwarnings("ignore:The top-level `text` argument:UserWarning")
async def test_a_message_that_slack_would_not_take_is_refused(
    world: RunningSlack, content: dict[str, Any], code: str
) -> None:
    answer = await refusal(world.client.chat_postMessage(channel=ADA, **content))

    assert answer["error"] == code


@pytest.mark.parametrize(
    ("values", "error", "pointer"),
    [
        ({"blocks": json.dumps([_section("x" * 3001)])}, "invalid_blocks", "/0/text/text"),
        (
            {"message": json.dumps({"blocks": [_section("x" * 3001)]})},
            "invalid_message",
            "/blocks/0/text/text",
        ),
        ({"message": json.dumps({"text": "x" * 40_001})}, "invalid_message", "/text"),
        ({"message": json.dumps({"blocks": [_section("x" * 3000)] * 5})}, "invalid_message", "/blocks"),
        ({"message": "[]"}, "invalid_message", ""),
        (
            {"view": json.dumps({"type": "home", "blocks": [_section("")]})},
            "invalid_view",
            "/blocks/0/text/text",
        ),
        ({"blocks": "["}, "invalid_arguments", None),
        ({"blocks": []}, "invalid_arguments", None),
        ({"blocks": "[]", "view": "{}"}, "invalid_arguments", None),
        ({}, "invalid_arguments", None),
    ],
)
async def test_a_message_can_be_judged_without_being_posted(
    world: RunningSlack, values: dict[str, Any], error: str, pointer: str | None
) -> None:
    assert (await world.client.api_call("blocks.validate", json={"blocks": "[]"}))["ok"]

    answer = await refusal(world.client.api_call("blocks.validate", json=values))

    assert answer["error"] == error
    if pointer is not None:
        [fault] = answer["errors"]
        assert (fault["pointer"], fault["code"]) == (pointer, "failed_constraint")


@pytest.mark.parametrize(
    ("method", "values"),
    [
        ("users.lookupByEmail", {"email": "ada@example.com"}),
        ("conversations.open", {"users": ADA}),
        ("conversations.history", {"channel": "D0ADALOVE01"}),
    ],
)
async def test_a_limited_method_says_how_long_to_wait_and_limits_no_other(
    method: str, values: dict[str, str]
) -> None:
    clock = SettableClock()
    async with running(clock=clock) as world:
        await world.ask()
        world.slack.installation.quirks.limits[method] = Rate(calls=2, per=timedelta(minutes=1))
        await world.client.api_call(method, params=values)
        clock.now += timedelta(seconds=20)
        await world.client.api_call(method, params=values)

        answer = await refusal(world.client.api_call(method, params=values))

        assert (answer.status_code, answer["error"]) == (429, "ratelimited")
        assert answer.headers["Retry-After"] == "40"
        await world.ask()
        clock.now += timedelta(seconds=40)
        await world.client.api_call(method, params=values)
        assert (await refusal(world.client.api_call(method, params=values))).status_code == 429
