"""Questions that may stand in Slack or not: each is looked up, and none is ever asked twice."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import world as world_package
from world import World

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypy_boto3_sqs import SQSClient

CLOCKED_WORKER = str(Path(world_package.__file__).with_name("clocked_worker.py"))

#: What is unusual about the worlds of this module, by name.
WORLDS: Mapping[str, Mapping[str, Any]] = {
    "usual": {},
    # More than the first look waits for, less than the second.
    "lagging": {"history_lag": timedelta(seconds=12)},
    "ahead": {"program": (CLOCKED_WORKER, "600")},
    "behind": {"program": (CLOCKED_WORKER, "-600")},
    "closed history": {},
    "closing history": {},
}


@pytest.fixture(scope="module", autouse=True)
def doubtful(
    tmp_path_factory: pytest.TempPathFactory, sqs: SQSClient, aws_environment: Mapping[str, str]
) -> Iterator[Mapping[str, tuple[World, str]]]:
    """Worlds with a question in doubt each. All of them wait at the same time."""
    with ExitStack() as stack:
        worlds: dict[str, tuple[World, str]] = {}
        for name, options in WORLDS.items():
            world = World(tmp_path_factory.mktemp("doubt"), sqs, aws_environment, **options)
            stack.enter_context(world)
            worlds[name] = (world, _put_in_doubt(world, name))
        yield worlds
        for world, _ in worlds.values():
            world.assert_clean_log()


@pytest.mark.parametrize("name", ["usual", "lagging", "ahead", "behind"])
def test_a_question_that_was_posted_when_the_worker_was_killed_is_found(
    doubtful: Mapping[str, tuple[World, str]], name: str
) -> None:
    world, identifier = doubtful[name]

    world.until_asked(identifier)

    assert len(world.slack.questions(identifier)) == 1
    assert world.slack.faults.count("chat.postMessage") == 1
    assert world.slack.press(world.slack.question(identifier), "yes").acknowledged
    assert world.status(identifier) == "acknowledged"


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


def _put_in_doubt(world: World, name: str) -> str:
    """Start the worker, and let it not know of a question whether it was posted. It was."""
    if name == "closed history":
        world.slack.without_scope("im:history")
    world.start()
    if name == "closing history":
        world.slack.without_scope("im:history")
    hold = world.slack.hold("chat.postMessage", after_work=True)
    identifier = world.send()
    hold.wait_until_reached()
    if name in ("closed history", "closing history"):
        world.slack.forget_held()
        world.worker.until_logged("question.doubted", identifier)
    else:
        world.until_taken()
        world.worker.kill()
        world.slack.forget_held()
        world.start()
    return identifier
