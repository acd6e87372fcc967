"""What Slack keeps the worker from: a reply that is lost, a scope that is taken away. Nobody is asked twice.

All worlds of this module wait at the same time: a look-up takes seconds, a halted worker tries twice a
minute.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
import world as world_package
from world import World

pytestmark = pytest.mark.slow

CLOCKED_WORKER = str(Path(world_package.__file__).with_name("clocked_worker.py"))

#: More than the first look waits for, less than the second.
LAG = timedelta(seconds=12)

PEOPLE = ("ada@example.com", "grace@example.com", "katherine@example.com", "alan@example.com")

WORLDS = ("usual", "not posted", "lagging", "ahead", "behind", "closed history", "closing history")


@pytest.fixture(scope="module", autouse=True)
def doubtful(create_shared_world: Callable[..., World]) -> Mapping[str, tuple[World, str]]:
    """Worlds with a question in doubt each."""
    worlds = {name: create_shared_world() for name in WORLDS}
    return {name: (world, _put_in_doubt(world, name)) for name, world in worlds.items()}


@pytest.fixture(scope="module", autouse=True)
def without_scope(create_shared_world: Callable[..., World]) -> tuple[World, Sequence[str]]:
    """A world whose app lost chat:write while it ran, took requests in without it, and has it again."""
    world = create_shared_world()
    world.start()
    world.slack.without_scope("chat:write")
    identifiers = world.send_many(PEOPLE)
    world.until_taken()
    world.worker.until_logged("CRITICAL", "asking.halted")
    for identifier in identifiers:
        world.worker.until_logged("request.accepted", identifier)
    world.slack.without_scope("")
    return world, identifiers


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


@pytest.mark.parametrize("name", ["usual", "not posted", "ahead", "behind", "lagging"])
def test_a_question_that_was_being_posted_when_the_worker_was_killed_is_looked_up_and_asked_once(
    doubtful: Mapping[str, tuple[World, str]], name: str
) -> None:
    world, identifier = doubtful[name]

    world.until_asked(identifier)

    assert len(world.slack.questions(identifier)) == 1
    assert world.slack.faults.count("chat.postMessage") == (2 if name == "not posted" else 1)
    looks = world.slack.faults.count("conversations.history")
    assert looks == {"usual": 1, "not posted": 2}.get(name, looks)
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
    """Start the worker, and leave it in doubt whether a question was posted."""
    if name in ("ahead", "behind"):
        world.worker.program = (CLOCKED_WORKER, "600" if name == "ahead" else "-600")
    if name == "lagging":
        world.slack.lag(LAG)
    if name == "closed history":
        world.slack.without_scope("im:history")
    world.start()
    if name == "closing history":
        world.slack.without_scope("im:history")
    hold = world.slack.hold("chat.postMessage", after_work=name != "not posted")
    identifier = world.send()
    hold.wait_until_reached()
    world.until_taken()
    if name not in ("closed history", "closing history"):
        world.worker.kill()
    world.slack.forget_held()
    if not world.worker.is_running():
        world.start()
    return identifier
