"""The stand-in Slack: what it refuses in a message, and where it says so."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from running_slack import ADA, BUTTON, RunningSlack, SettableClock, refusal, running

from bot.sandbox.fake_slack.installation import Rate

pytest_plugins = ["slack_fixtures"]


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

    message = world.slack.workspace.message(str(posted["channel"]), str(posted["ts"]))
    assert message is not None
    assert message.text == text


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
        channel=ADA,
        text="t" * 40_000,
        blocks=[_section("x" * 3000), *button, *[{"type": "divider"}] * 48],
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
