"""The same identifier twice: with another person or text, and after an invalid request."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from local_dynamodb import create_table, endpoint
from world import World, until
from world.queues import Letter
from world.world import alert


@pytest.fixture(params=["sqlite", pytest.param("dynamodb", marks=pytest.mark.slow)])
def world(request: pytest.FixtureRequest, create_world: Callable[..., World]) -> World:
    table = {"STORE_URL": f"dynamodb://{create_table()}", "AWS_ENDPOINT_URL_DYNAMODB": endpoint()}
    world = create_world(**(table if request.param == "dynamodb" else {}))
    world.start()
    return world


def dead_letters(world: World, count: int) -> list[Letter]:
    def look() -> list[Letter]:
        letters = list(world.dead_letters.letters())
        return letters if len(letters) >= count else []

    return until(look, what=f"{count} dead letters")


def test_another_person_under_a_known_identifier_is_not_asked_and_somebody_hears_of_it(world: World) -> None:
    first: dict[str, Any] = alert()
    world.send_body(json.dumps(first))
    question = world.slack.question(first["identifier"])

    other = {**first, "user": "grace@example.com"}
    world.send_body(json.dumps(other))
    world.send_body(json.dumps(first))

    (letter,) = dead_letters(world, 1)
    assert json.loads(letter.body) == other
    assert letter.reason == "another request with this identifier came first, with another user"
    line = world.worker.until_logged("request.conflict", first["identifier"])
    assert "fields=user" in line
    assert "grace" not in line
    world.until_taken()
    assert world.slack.press(question, "yes").acknowledged
    assert world.status(first["identifier"]) == "acknowledged"
    assert len(world.slack.questions(first["identifier"])) == 1
    assert len(world.dead_letters.letters()) == 1


def test_an_invalid_request_does_not_block_the_valid_one_that_follows(world: World) -> None:
    valid: dict[str, Any] = alert()
    world.send_body(json.dumps({**valid, "user": "N/A"}))
    assert world.status(valid["identifier"]) == "manual"
    assert [each.reason.partition(" ")[0] for each in dead_letters(world, 1)] == ["user"]

    world.send_body(json.dumps(valid))

    assert world.slack.press(world.slack.question(valid["identifier"]), "no").acknowledged
    assert world.status(valid["identifier"], 2) == "escalated"
    first, second = world.reports(valid["identifier"], 2)
    assert first.details["triagebot"]["reason"] == "invalid_request"
    assert (first.details["triagebot"]["sequence"], second.details["triagebot"]["sequence"]) == (0, 1)
    assert len(world.dead_letters.letters()) == 1
