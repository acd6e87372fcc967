"""What Slack keeps the worker from: a reply that is lost, a scope that is taken away. Nobody is asked twice.

All worlds of this module wait at the same time: a look-up takes seconds, a halted worker tries twice a
minute.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
import world as world_package
from mypy_boto3_sqs import SQSClient
from world import World

CLOCKED_WORKER = str(Path(world_package.__file__).with_name("clocked_worker.py"))

#: More than the first look waits for, less than the second.
LAG = timedelta(seconds=12)

PEOPLE = ("ada@example.com", "grace@example.com", "katherine@example.com", "alan@example.com")

WORLDS = ("usual", "lagging", "ahead", "behind", "closed history", "closing history")


@pytest.fixture(scope="module", autouse=True)
def doubtful(
    tmp_path_factory: pytest.TempPathFactory, sqs: SQSClient, aws_environment: Mapping[str, str]
) -> Iterator[Mapping[str, tuple[World, str]]]:
    """Worlds with a question in doubt each."""
    with ExitStack() as stack:
        worlds: dict[str, tuple[World, str]] = {}
        for name in WORLDS:
            world = World(tmp_path_factory.mktemp("doubt"), sqs, aws_environment)
            stack.enter_context(world)
            worlds[name] = (world, _put_in_doubt(world, name))
        yield worlds
        for world, _ in worlds.values():
            world.assert_clean_log()


@pytest.fixture(scope="module", autouse=True)
def without_scope(
    tmp_path_factory: pytest.TempPathFactory, sqs: SQSClient, aws_environment: Mapping[str, str]
) -> Iterator[tuple[World, Sequence[str]]]:
    """A world whose app lost chat:write while it ran, took requests in without it, and has it again."""
    with World(tmp_path_factory.mktemp("scope"), sqs, aws_environment) as world:
        world.start()
        world.slack.without_scope("chat:write")
        identifiers = world.send_many(PEOPLE)
        world.until_taken()
        world.worker.until_logged("CRITICAL", "asking.halted")
        for identifier in identifiers:
            world.worker.until_logged("request.accepted", identifier)
        world.slack.without_scope("")
        yield world, identifiers
        world.assert_clean_log()


@pytest.mark.slow
def test_im_history_taken_away_at_run_time_keeps_the_doubt_and_nothing_else_waits(
    doubtful: Mapping[str, tuple[World, str]],
) -> None:
    world, identifier = doubtful["closing history"]
    world.worker.until_logged("question.delayed", identifier, "missing_scope")

    other = world.send(user="grace@example.com")

    world.slack.question(other)
    row = world.known_row(identifier)
    assert (row["state"], row["outcome"]) == ("posting", None)
    assert row["inDoubtSince"]
    assert "asking.halted" not in world.worker.log
    # The scope is back, and a start does not wait for the next minute's look.
    world.slack.without_scope("")
    assert world.worker.stop() == 0
    world.start()
    world.until_asked(identifier)
    assert len(world.slack.questions(identifier)) == 1


def test_without_im_history_at_start_a_row_in_doubt_is_settled_and_never_repeated(
    doubtful: Mapping[str, tuple[World, str]],
) -> None:
    world, identifier = doubtful["closed history"]

    details = world.reports(identifier)[0].details

    assert world.status(identifier) == "manual"
    assert details["triagebot"]["outcome"] == "undeliverable"
    assert details["triagebot"]["reason"] == "delivery_unknown"
    assert len(world.slack.questions(identifier)) == 1
    # It was there after all: a click of the person who was asked counts.
    assert world.slack.press(world.slack.question(identifier), "no").acknowledged
    assert world.status(identifier, 2) == "escalated"


@pytest.mark.parametrize("name", ["usual", "ahead", "behind", "lagging"])
def test_a_question_that_was_posted_when_the_worker_was_killed_is_found(
    doubtful: Mapping[str, tuple[World, str]], name: str
) -> None:
    world, identifier = doubtful[name]

    world.until_asked(identifier)

    assert len(world.slack.questions(identifier)) == 1
    assert world.slack.faults.count("chat.postMessage") == 1
    assert world.slack.press(world.slack.question(identifier), "yes").acknowledged
    assert world.status(identifier) == "acknowledged"


def test_a_scope_that_is_given_back_brings_every_question_once(
    without_scope: tuple[World, Sequence[str]],
) -> None:
    world, identifiers = without_scope

    world.worker.until_logged("asking.resumed", seconds=60)
    for identifier in identifiers:
        world.until_asked(identifier)

    assert [len(world.slack.questions(identifier)) for identifier in identifiers] == [1] * len(identifiers)
    loud = [line for line in world.worker.log.splitlines() if "CRITICAL" in line]
    assert len(loud) == 1
    assert "reinstall" in loud[0]
    assert world.slack.press(world.slack.question(identifiers[0]), "yes").acknowledged


def _put_in_doubt(world: World, name: str) -> str:
    """Start the worker, and let it not know of a question whether it was posted. It was."""
    if name in ("ahead", "behind"):
        world.worker.program = (CLOCKED_WORKER, "600" if name == "ahead" else "-600")
    if name == "lagging":
        world.slack.lag(LAG)
    if name == "closed history":
        world.slack.without_scope("im:history")
    world.start()
    if name == "closing history":
        world.slack.without_scope("im:history")
    identifier = _lose_a_reply(world)
    if name not in ("closed history", "closing history"):
        world.worker.kill()
    world.slack.forget_held()
    if not world.worker.is_running():
        world.start()
    return identifier


def _lose_a_reply(world: World) -> str:
    hold = world.slack.hold("chat.postMessage", after_work=True)
    identifier = world.send()
    hold.wait_until_reached()
    world.until_taken()
    return identifier
