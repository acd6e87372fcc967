"""The stand-in Slack: clicks over a real websocket, response URLs, views."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from running_slack import ADA, BLOCKS, GRACE, RunningSlack, SettableClock, refusal, running
from slack_bolt.async_app import AsyncAck
from slack_sdk.webhook.async_client import AsyncWebhookClient

pytest_plugins = ["slack_fixtures"]

MODAL = {
    "type": "modal",
    "title": {"type": "plain_text", "text": "Tell us more"},
    "submit": {"type": "plain_text", "text": "Send"},
    "blocks": [
        {
            "type": "input",
            "block_id": "comment",
            "label": {"type": "plain_text", "text": "What happened?"},
            "element": {"type": "plain_text_input", "action_id": "text"},
        }
    ],
}


async def _clicked(world: RunningSlack) -> tuple[AsyncWebhookClient, str, str]:
    channel, ts = await world.ask()
    click = await world.slack.click(user=ADA, channel=channel, ts=ts, action_id="answer-no")
    return AsyncWebhookClient(click.payload["response_url"], session=world.session), channel, ts


async def test_a_click_reaches_the_app_as_slack_would_send_it(world: RunningSlack) -> None:
    channel, ts = await world.ask()
    bodies: list[dict[str, Any]] = []
    async with world.app() as app:

        @app.action("answer-no")
        async def take(ack: AsyncAck, body: dict[str, Any]) -> None:
            bodies.append(body)
            await ack()

        click = await world.slack.click(user=ADA, channel=channel, ts=ts, action_id="answer-no")

    assert (click.acknowledged, click.warning) == (True, None)
    body = bodies[0]
    assert body["type"] == "block_actions"
    assert body["user"] == {"id": ADA, "username": "ada", "name": "ada", "team_id": "T0SANDBOX01"}
    assert body["team"] == {"id": "T0SANDBOX01", "domain": "sandbox"}
    assert body["channel"] == {"id": channel, "name": "directmessage"}
    assert body["container"] == {
        "type": "message",
        "message_ts": ts,
        "channel_id": channel,
        "is_ephemeral": False,
    }
    assert (body["message"]["text"], body["message"]["ts"]) == ("Was it you?", ts)
    assert body["response_url"].startswith("http://127.0.0.1:")
    action = body["actions"][0]
    assert (action["value"], action["style"], action["block_id"]) == ("ref-1", "danger", "answers")
    assert action["text"] == {"type": "plain_text", "text": "No", "emoji": True}


async def test_a_click_that_nobody_acknowledges_warns_the_person() -> None:
    async with running(acknowledge_within=timedelta(milliseconds=300)) as world:
        channel, ts = await world.ask()
        async with world.app() as app:

            @app.action("answer-no")
            async def fall_silent(body: dict[str, Any]) -> None:
                """Never acknowledge."""

            silent = await world.slack.click(user=ADA, channel=channel, ts=ts, action_id="answer-no")
        unlinked = await world.slack.click(user=ADA, channel=channel, ts=ts, action_id="answer-no")

        assert not silent.acknowledged
        assert not unlinked.acknowledged
        assert silent.warning == unlinked.warning == "Something went wrong, please try again."


async def test_a_forged_click_carries_what_the_forger_says(world: RunningSlack) -> None:
    channel, ts = await world.ask()

    click = await world.slack.click(
        user=GRACE, channel=channel, ts=ts, action_id="answer-yes", value="ref-2", team="T0FOREIGN"
    )

    assert click.payload["user"]["id"] == GRACE
    assert click.payload["team"]["id"] == "T0FOREIGN"
    assert click.payload["actions"][0]["value"] == "ref-2"


async def test_clicks_are_taken_over_any_of_two_links(world: RunningSlack) -> None:
    channel, ts = await world.ask()
    async with world.app(links=2) as app:

        @app.action("answer-no")
        async def take(ack: AsyncAck) -> None:
            await ack()

        clicks = [
            await world.slack.click(user=ADA, channel=channel, ts=ts, action_id="answer-no")
            for _ in range(20)
        ]

    assert all(click.acknowledged for click in clicks)


async def test_a_response_url_replaces_the_message_and_can_speak_to_the_clicker_alone(
    world: RunningSlack,
) -> None:
    webhook, channel, ts = await _clicked(world)

    replaced = await webhook.send(text="Understood", replace_original=True)
    spoken = await webhook.send(text="Only you see this", response_type="ephemeral")

    assert (replaced.status_code, spoken.status_code) == (200, 200)
    message = world.slack.workspace.message(channel, ts)
    assert message is not None
    assert (message.text, list(message.blocks)) == ("Understood", [])
    conversation = world.slack.workspace.conversation(channel)
    assert conversation is not None
    assert [each.text for each in conversation.seen_by(ADA)] == ["Understood", "Only you see this"]
    assert [each.text for each in conversation.seen_by(GRACE)] == ["Understood"]
    history = await world.client.conversations_history(channel=channel)
    assert [each["text"] for each in history["messages"]] == ["Understood"]


async def test_a_response_url_serves_five_times(world: RunningSlack) -> None:
    webhook, _, _ = await _clicked(world)

    answers = [await webhook.send(text=f"number {number}") for number in range(6)]

    assert [answer.status_code for answer in answers] == [200] * 5 + [404]
    assert "used_url" in answers[-1].body


async def test_a_response_url_serves_thirty_minutes() -> None:
    clock = SettableClock()
    async with running(clock=clock) as world:
        webhook, _, _ = await _clicked(world)

        clock.now += timedelta(minutes=30)
        in_time = await webhook.send(text="in time")
        clock.now += timedelta(seconds=1)
        too_late = await webhook.send(text="too late")

        assert (in_time.status_code, too_late.status_code) == (200, 404)
        assert "expired_url" in too_late.body


async def test_a_click_in_the_app_home_comes_from_the_view(world: RunningSlack) -> None:
    await world.client.views_publish(user_id=ADA, view={"type": "home", "blocks": BLOCKS})

    click = await world.slack.click(user=ADA, action_id="answer-no", via="home")

    assert click.payload["container"]["type"] == "view"
    assert click.payload["view"]["blocks"][1]["block_id"] == "answers"
    assert not {"channel", "message", "response_url"} & click.payload.keys()


async def test_a_trigger_opens_one_modal_whose_values_come_back(world: RunningSlack) -> None:
    channel, ts = await world.ask()
    click = await world.slack.click(user=ADA, channel=channel, ts=ts, action_id="answer-no")
    trigger = click.payload["trigger_id"]

    opened = await world.client.views_open(trigger_id=trigger, view=MODAL)
    again = await refusal(world.client.views_open(trigger_id=trigger, view=MODAL))
    values = {"comment": {"text": {"type": "plain_text_input", "value": "I was asleep"}}}
    submitted = await world.slack.submit_view(user=ADA, view_id=opened["view"]["id"], values=values)

    assert again["error"] == "exchanged_trigger_id"
    assert submitted.payload["view"]["state"]["values"] == values


async def test_a_trigger_expires_after_three_seconds() -> None:
    clock = SettableClock()
    async with running(clock=clock) as world:
        channel, ts = await world.ask()
        click = await world.slack.click(user=ADA, channel=channel, ts=ts, action_id="answer-no")
        clock.now += timedelta(seconds=4)

        answer = await refusal(world.client.views_open(trigger_id=click.payload["trigger_id"], view=MODAL))

        assert answer["error"] == "expired_trigger_id"


async def test_a_view_with_a_long_title_is_refused(world: RunningSlack) -> None:
    view = {**MODAL, "title": {"type": "plain_text", "text": "x" * 25}}

    answer = await refusal(world.client.views_open(trigger_id="1.2.3", view=view))

    assert answer["error"] == "invalid_arguments"
    assert "/view/title/text" in answer["response_metadata"]["messages"][0]
