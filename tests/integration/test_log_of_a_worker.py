"""The log of the real worker, as JSON: every line is an object, and an alert's identifier tells its story."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from mypy_boto3_sqs import SQSClient
from world import World

from bot.settings.messages import load_messages

WORDS = load_messages()


@pytest.fixture
def world(tmp_path: Path, sqs: SQSClient, aws_environment: Mapping[str, str]) -> Iterator[World]:
    with World(tmp_path, sqs, aws_environment, variables={"LOG_FORMAT": "json"}) as world:
        world.start()
        yield world


def entries(world: World) -> list[dict[str, Any]]:
    return [json.loads(line) for line in world.worker.log.splitlines()]


def test_every_line_of_a_workers_life_is_an_object(world: World) -> None:
    world.worker.signal(signal.SIGTERM)
    world.worker.exit_code()

    found = entries(world)
    assert found[-1]["event"] == "worker.stopped"

    # A start that is refused is told in the same form, and so is a doubt about the settings.
    world.worker.environment |= {"EXPIRE_AFTR": "4h", "REMIND_AFTER": "soon"}
    world.worker.start()
    assert world.worker.exit_code() == 78
    world.worker.environment |= {"REMIND_AFTER": "1h", "STORE_URL": "sqlite:////nowhere/store.db"}
    world.worker.start()
    assert world.worker.exit_code() == 78

    refused = entries(world)[len(found) :]
    assert [(entry["event"], entry["message"].partition(" ")[0]) for entry in refused] == [
        ("start.failed", "REMIND_AFTER"),
        ("setting.doubtful", "nothing"),
        ("start.failed", "the"),
    ]
    assert {frozenset(entry) for entry in entries(world)} == {
        frozenset({"time", "level", "event", "message", "fields"})
    }


def test_the_lines_with_an_alerts_identifier_tell_its_story(world: World) -> None:
    summary = "A session was opened on prod-7."
    identifier = world.send(summary=summary)
    world.slack.press(world.slack.question(identifier), "no")
    world.slack.press(world.slack.question(identifier), "no")
    world.slack.press(world.slack.question(identifier), "yes", user="U0GRACEH002")
    world.send(identifier=identifier, summary="A session was opened on prod-7.")
    world.worker.until_logged("request.known")
    world.worker.until_logged("report.sent")
    world.worker.until_logged("click.refused")

    told = [entry for entry in entries(world) if entry["fields"].get("identifier") == identifier]

    assert sorted(entry["event"] for entry in told) == [
        "click.refused",
        "question.answered",
        "question.asked",
        "report.sent",
        "request.accepted",
        "request.known",
    ]
    for secret in ("prod-7", "ada@example.com", world.slack.bot_token, world.slack.app_token):
        assert secret not in world.worker.log


def test_what_fails_after_a_click_is_told_with_the_alerts_identifier(world: World) -> None:
    identifier = world.send()
    question = world.slack.question(identifier)
    world.slack.press(question, "no")
    answered = world.slack.redrawn(identifier, WORDS["answer"]["no"])
    world.slack.faults.refuse("views.open", "expired_trigger_id")

    click = world.slack.press(answered, "", action_id="note")

    world.worker.until_logged("follow_up.failed")
    (entry,) = (entry for entry in entries(world) if entry["event"] == "follow_up.failed")
    assert click.acknowledged
    assert entry["fields"] == {"identifier": identifier}
