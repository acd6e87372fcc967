"""The stand-in Slack: clicks over a real websocket, response URLs, modals and the App Home."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from running_slack import (
    ADA,
    BUTTON,
    GRACE,
    RunningSlack,
    SettableClock,
    acknowledge_clicks,
    refusal,
    running,
)
from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bot.sandbox.fake_slack.server import Click


@pytest.fixture
async def world() -> AsyncIterator[RunningSlack]:
    async with running() as world:
        yield world


async def _clicked(world: RunningSlack) -> tuple[AsyncWebhookClient, str, str]:
    channel, ts = await world.ask()
    click = await world.press(channel, ts)
    return AsyncWebhookClient(click.payload["response_url"], session=world.session), channel, ts


async def test_a_click_reaches_the_app_over_any_link_as_slack_would_send_it(world: RunningSlack) -> None:
    channel, ts = await world.ask()
    async with world.app(links=2) as app:
        bodies = acknowledge_clicks(app)
        clicks = [await world.press(channel, ts) for _ in range(20)]

    assert {(click.acknowledged, click.warning) for click in clicks} == {(True, None)}
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

            silent = await world.press(channel, ts)
        unlinked = await world.press(channel, ts)

        assert not silent.acknowledged
        assert not unlinked.acknowledged
        assert silent.warning == unlinked.warning == "Something went wrong, please try again."


async def test_a_response_url_replaces_the_message_and_can_speak_to_the_clicker_alone(
    world: RunningSlack,
) -> None:
    webhook, channel, ts = await _clicked(world)

    replaced = await webhook.send(text="Understood", replace_original=True)
    spoken = await webhook.send(text="Only you see this", response_type="ephemeral")

    assert (replaced.status_code, spoken.status_code) == (200, 200)
    message = world.message(channel, ts)
    assert (message.text, list(message.blocks)) == ("Understood", [])
    conversation = world.slack.workspace.conversation(channel)
    assert conversation is not None
    assert [each.text for each in conversation.seen_by(ADA)] == ["Understood", "Only you see this"]
    assert [each.text for each in conversation.seen_by(GRACE)] == ["Understood"]
    history = await world.client.conversations_history(channel=channel)
    assert [each["text"] for each in history["messages"]] == ["Understood"]


async def test_a_response_url_serves_five_times_within_thirty_minutes() -> None:
    clock = SettableClock()
    async with running(clock=clock) as world:
        used, _, _ = await _clicked(world)
        answers = [await used.send(text=f"number {number}") for number in range(6)]
        webhook, _, _ = await _clicked(world)
        clock.now += timedelta(minutes=30)
        in_time = await webhook.send(text="in time")
        clock.now += timedelta(seconds=1)
        too_late = await webhook.send(text="too late")

    assert [answer.status_code for answer in answers] == [200] * 5 + [404]
    assert (in_time.status_code, too_late.status_code) == (200, 404)
    assert "used_url" in answers[-1].body
    assert "expired_url" in too_late.body


async def test_a_trigger_opens_one_modal_within_three_seconds() -> None:
    clock = SettableClock()
    async with running(clock=clock) as world:
        pressed, later = trigger(world), trigger(world)
        await world.client.views_open(trigger_id=pressed, view=MODAL)
        again = await refusal(world.client.views_open(trigger_id=pressed, view=MODAL))
        clock.now += timedelta(seconds=4)
        late = await refusal(world.client.views_open(trigger_id=later, view=MODAL))

    assert (again["error"], late["error"]) == ("exchanged_trigger_id", "expired_trigger_id")


INPUT: dict[str, Any] = {
    "type": "input",
    "block_id": "note",
    "label": {"type": "plain_text", "text": "What happened?"},
    "element": {"type": "plain_text_input", "action_id": "text", "multiline": True, "max_length": 20},
}
MODAL: dict[str, Any] = {
    "type": "modal",
    "callback_id": "note",
    "private_metadata": "ref-1",
    "title": {"type": "plain_text", "text": "Add a note"},
    "submit": {"type": "plain_text", "text": "Send"},
    "blocks": [INPUT],
}
OTHER: dict[str, Any] = {**MODAL, "title": {"type": "plain_text", "text": "Another"}}


def trigger(world: RunningSlack) -> str:
    """Return a trigger_id, as if Ada had pressed something."""
    return world.slack.installation.new_trigger(ADA)


async def opened(world: RunningSlack, view: dict[str, Any] = MODAL) -> str:
    """Show Ada a modal; return its id."""
    answer = await world.client.views_open(trigger_id=trigger(world), view=view)
    return str(answer["view"]["id"])


def typed(text: str | None) -> dict[str, Any]:
    return {"note": {"text": {"type": "plain_text_input", "value": text}}}


def replying(app: AsyncApp, **reply: Any) -> list[dict[str, Any]]:
    """Have the app acknowledge each submission with this; return the list of the views that it gets."""
    views: list[dict[str, Any]] = []

    @app.view("note")
    async def take(ack: AsyncAck, view: dict[str, Any]) -> None:
        views.append(view)
        await ack(**reply)

    return views


async def submitted(world: RunningSlack, text: str = "I was asleep", **reply: Any) -> Click:
    """Submit a modal as Ada, which the app acknowledges with this."""
    async with world.app() as app:
        replying(app, **reply)
        view_id = await opened(world)
        return await world.slack.submit_view(user=ADA, view_id=view_id, values=typed(text))


def seen(world: RunningSlack) -> str | None:
    """Return the title of the modal that Ada sees."""
    view = world.slack.workspace.modals.seen_by(ADA)
    return view["title"]["text"] if view else None


@pytest.mark.parametrize(
    "reply",
    [
        {"response_action": "errors", "errors": {"another": "There is no such block."}},
        {"response_action": "errors", "errors": {}},
        {"response_action": "update", "view": {**OTHER, "title": {"type": "plain_text", "text": "x" * 25}}},
        {"response_action": "push", "view": {"type": "home", "blocks": []}},
    ],
)
async def test_a_reply_that_slack_does_not_understand_is_seen_as_trouble(
    world: RunningSlack, reply: dict[str, Any]
) -> None:
    click = await submitted(world, **reply)

    assert click.warning == "Something went wrong, please try again."
    assert seen(world) == "Add a note"


@pytest.mark.parametrize(
    ("reply", "now", "below"),
    [
        ({"response_action": "update", "view": OTHER}, "Another", None),
        ({"response_action": "push", "view": OTHER}, "Another", "Add a note"),
        ({"response_action": "clear"}, None, None),
    ],
)
async def test_a_reply_can_replace_the_view_lay_one_upon_it_and_clear_them_all(
    world: RunningSlack, reply: dict[str, Any], now: str | None, below: str | None
) -> None:
    await submitted(world, **reply)

    assert seen(world) == now
    if now is not None:
        world.slack.workspace.modals.close(ADA)
        assert seen(world) == below


@pytest.mark.parametrize("text", ["", "  \n", None, "x" * 21])
async def test_slack_itself_refuses_an_input_that_is_empty_or_too_long(
    world: RunningSlack, text: str | None
) -> None:
    async with world.app() as app:
        views = replying(app)
        view_id = await opened(world)

        click = await world.slack.submit_view(user=ADA, view_id=view_id, values=typed(text))

    assert click.errors.keys() == {"note"}
    assert (views, seen(world)) == ([], "Add a note")


async def test_an_optional_input_may_stay_empty_and_comes_as_null(world: RunningSlack) -> None:
    async with world.app() as app:
        views = replying(app)
        view_id = await opened(world, {**MODAL, "blocks": [{**INPUT, "optional": True}]})

        await world.slack.submit_view(user=ADA, view_id=view_id, values={})

    assert views[0]["state"]["values"] == typed(None)


async def test_nobody_submits_or_closes_a_modal_that_they_do_not_see(world: RunningSlack) -> None:
    view_id = await opened(world)

    with pytest.raises(LookupError):
        await world.slack.submit_view(user=GRACE, view_id=view_id, values=typed("Mine"))
    with pytest.raises(LookupError):
        await world.slack.close_view(user=GRACE, view_id=view_id)

    assert seen(world) == "Add a note"


@pytest.mark.parametrize(("wish", "heard"), [({"notify_on_close": True}, 1), ({}, 0)])
async def test_the_app_hears_of_a_closed_modal_only_if_it_asked_for_that(
    world: RunningSlack, wish: dict[str, bool], heard: int
) -> None:
    closed: list[dict[str, Any]] = []
    async with world.app() as app:

        @app.view_closed("note")
        async def take(ack: AsyncAck, body: dict[str, Any]) -> None:
            closed.append(body)
            await ack()

        view_id = await opened(world, {**MODAL, **wish})
        await world.slack.close_view(user=ADA, view_id=view_id)

    assert seen(world) is None
    assert [body["view"]["id"] for body in closed] == [view_id] * heard


async def test_three_views_may_lie_upon_each_other(world: RunningSlack) -> None:
    nothing_open = await refusal(world.client.views_push(trigger_id=trigger(world), view=OTHER))
    root = await opened(world)

    pushed = await world.client.views_push(trigger_id=trigger(world), view=OTHER)
    await world.client.views_push(trigger_id=trigger(world), view=OTHER)
    fourth = await refusal(world.client.views_push(trigger_id=trigger(world), view=OTHER))

    assert (nothing_open["error"], fourth["error"]) == ("not_found", "push_limit_reached")
    assert (pushed["view"]["root_view_id"], pushed["view"]["previous_view_id"]) == (root, root)


async def test_a_view_can_be_updated_while_it_is_open(world: RunningSlack) -> None:
    view_id = await opened(world)

    stale = await refusal(world.client.views_update(view_id=view_id, view=OTHER, hash="1.2"))
    await world.client.views_update(view_id=view_id, view=OTHER)
    shown = seen(world)
    await world.slack.close_view(user=ADA, view_id=view_id)
    gone = await refusal(world.client.views_update(view_id=view_id, view=OTHER))

    assert (stale["error"], shown, gone["error"]) == ("hash_conflict", "Another", "not_found")


async def test_views_that_are_too_large_or_share_an_id_of_the_apps_own_are_refused(
    world: RunningSlack,
) -> None:
    blocks = [
        {"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3000}, "block_id": str(number)}
        for number in range(90)
    ]
    await opened(world, {**MODAL, "external_id": "one"})

    large = await refusal(world.client.views_publish(user_id=ADA, view={"type": "home", "blocks": blocks}))
    twice = await refusal(
        world.client.views_open(trigger_id=trigger(world), view={**MODAL, "external_id": "one"})
    )

    assert (large["error"], twice["error"]) == ("view_too_large", "duplicate_external_id")


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"title": {"type": "plain_text", "text": "x" * 25}}, "/view/title/text"),
        *[
            (
                {"blocks": [{**INPUT, "element": {**INPUT["element"], "max_length": length}}]},
                "/view/blocks/0/element/max_length",
            )
            for length in (0, 3001, "20", True)
        ],
    ],
)
async def test_a_view_beyond_the_limits_is_refused_with_the_place(
    world: RunningSlack, changes: dict[str, Any], pointer: str
) -> None:
    answer = await refusal(world.client.views_open(trigger_id="1.2.3", view={**MODAL, **changes}))

    assert answer["error"] == "invalid_arguments"
    assert pointer in answer["response_metadata"]["messages"][0]


def home(*values: str) -> dict[str, Any]:
    rows = [
        {"type": "actions", "block_id": f"answers-{number}", "elements": [{**BUTTON, "value": value}]}
        for number, value in enumerate(values)
    ]
    return {"type": "home", "blocks": rows}


async def test_buttons_of_the_same_name_in_a_home_are_told_apart_by_their_block(world: RunningSlack) -> None:
    await world.client.views_publish(user_id=ADA, view=home("ref-1", "ref-2"))

    click = await world.slack.click(user=ADA, action_id="answer-no", block_id="answers-1", via="home")

    assert click.payload["actions"][0]["value"] == "ref-2"
    assert click.payload["container"] == {"type": "view", "view_id": click.payload["view"]["id"]}
    assert not {"state", "channel", "message", "response_url"} & click.payload.keys()


async def test_whoever_opens_their_home_is_told_to_the_app_with_what_they_see(world: RunningSlack) -> None:
    events: list[dict[str, Any]] = []
    async with world.app() as app:

        @app.event("app_home_opened")
        async def take(ack: AsyncAck, event: dict[str, Any]) -> None:
            events.append(event)
            await ack()

        await world.slack.open_home(ADA)
        await world.client.views_publish(user_id=ADA, view=home("ref-1"))
        await world.slack.open_home(ADA)
        await world.slack.open_home(ADA, tab="messages")

    assert [event["tab"] for event in events] == ["home", "home", "messages"]
    assert {event["channel"] for event in events} == {"D0ADALOVE01"}
    assert ["view" in event for event in events] == [False, True, False]


async def test_bots_and_deactivated_people_open_nothing(world: RunningSlack) -> None:
    person = world.slack.workspace.person(ADA)
    assert person is not None
    world.slack.workspace.admit(replace(person, deleted=True))

    for user in (ADA, "U0DEPLOY006", "U0NOBODY"):
        with pytest.raises(LookupError):
            await world.slack.open_home(user)
