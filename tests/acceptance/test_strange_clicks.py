"""Clicks that must change nothing, and payloads that nobody expects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from mypy_boto3_sqs import SQSClient
from world import ADA, GRACE, World, until

from bot.sandbox.fake_slack.workspace import Message


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory, sqs: SQSClient, aws_environment: Mapping[str, str]
) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("strange"), sqs, aws_environment) as world:
        world.start()
        yield world
        world.assert_clean_log()


def assert_unanswered(world: World, identifier: str) -> None:
    """Assert that a question stands as if nobody had clicked. What is stored is stored before it is acked."""
    row = world.known_row(identifier)
    assert (row["state"], row["said"], row["outcome"], row["reports"]) == ("asked", None, None, [])


def until_told(world: World, user: str, words: str) -> None:
    until(lambda: any(words in text for text in world.slack.told(user)), what=f"{user} is told of {words!r}")


def test_a_strangers_click_changes_nothing_and_the_stranger_is_told(world: World) -> None:
    identifier = world.send()

    click = world.slack.press(world.slack.question(identifier), "yes", user=GRACE)

    assert click.acknowledged
    assert_unanswered(world, identifier)
    until_told(world, GRACE, "put to somebody else")


def test_a_click_from_another_workspace_changes_nothing(world: World) -> None:
    identifier = world.send()

    click = world.slack.press(world.slack.question(identifier), "no", team="T0ELSEWHERE")

    assert click.acknowledged
    assert_unanswered(world, identifier)
    until_told(world, ADA, "another workspace")


@pytest.mark.parametrize(
    "forge", [lambda _: "0" * 32 + "." + "1" * 32, lambda ref: ref[:-1] + "!", str.upper]
)
def test_a_ref_that_is_not_known_changes_nothing(world: World, forge: Any) -> None:
    identifier = world.send(user="katherine@example.com")
    question = world.slack.question(identifier)
    assert question.metadata is not None

    click = world.slack.press(question, "yes", value=forge(question.metadata["event_payload"]["ref"]))

    assert click.acknowledged
    assert_unanswered(world, identifier)
    until_told(world, "U0KATHER003", "This question is closed")


def test_a_choice_that_was_not_offered_changes_nothing(world: World) -> None:
    identifier = world.send(user="alan@example.com", identityConfidence="high")
    question = world.slack.question(identifier)
    assert question.metadata is not None

    click = world.slack.press(question, "wrongUser", value=question.metadata["event_payload"]["ref"])

    assert click.acknowledged
    assert_unanswered(world, identifier)
    until_told(world, "U0ALANTU004", "not one of the answers")


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


def test_buttons_that_are_not_ours_are_acknowledged(world: World) -> None:
    question = world.slack.question(world.send())

    for action_id in ("something-else", "answer-maybe", "answer-", ""):
        assert world.slack.press(question, "", action_id=action_id).acknowledged, action_id


MENU = {"type": "static_select", "action_id": "answer-yes", "selected_option": {"value": "yes"}}


def _interaction(kind: str) -> dict[str, Any]:
    return {
        "type": kind,
        "callback_id": "nobody_knows",
        "team": {"id": "T0SANDBOX01", "domain": "sandbox"},
        "user": {"id": ADA, "team_id": "T0SANDBOX01"},
        "trigger_id": "1.2.3",
        "token": "verification",
        "api_app_id": "A0TRIAGE001",
    }


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("interactive", _interaction("shortcut")),
        ("interactive", _interaction("message_action")),
        ("interactive", _interaction("view_closed") | {"view": {"type": "modal", "callback_id": "x"}}),
        ("interactive", _interaction("something_new")),
        ("interactive", _interaction("block_actions") | {"actions": [MENU]}),
        ("slash_commands", {"command": "/triage", "text": "", "team_id": "T0SANDBOX01", "user_id": ADA}),
        ("something_new", {"hello": "there"}),
    ],
)
def test_a_payload_that_nobody_expects_is_acknowledged(
    world: World, kind: str, payload: dict[str, Any]
) -> None:
    acknowledgement = world.slack.run(world.slack.stand_in.socket_mode.send(kind, payload))

    assert acknowledgement is not None


def test_a_modal_of_somebody_elses_is_acknowledged(world: World) -> None:
    view = {"id": "V1", "type": "modal", "callback_id": "nobody_knows", "blocks": []}
    world.slack.do(lambda: world.slack.stand_in.workspace.show_modal(ADA, view))

    click = world.slack.run(world.slack.stand_in.submit_view(user=ADA, view_id="V1", values={}))

    assert click.acknowledged


@pytest.mark.parametrize("kind", ["app_home_opened", "tokens_revoked", "something_new"])
def test_an_event_that_nobody_expects_is_acknowledged_the_first_time(world: World, kind: str) -> None:
    delivery = world.slack.run(world.slack.stand_in.send_event({"type": kind, "user": ADA}))

    assert (delivery.acknowledged, delivery.attempts) == (True, 1)
