"""Several workers on one table: nobody is asked twice, and what one leaves in the middle the other finishes.

The worlds of one fixture wait at the same time: a worker must be missed before another takes its place.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from wording import WORDING
from world import World
from world.table_proxy import TableProxy
from world.worker import WorkerProcess

#: From the death of a worker to the end of what it was doing.
FINISHED_WITHIN_SECONDS = 60


@pytest.fixture(scope="module")
def create_world_on_a_table(
    create_shared_world: Callable[..., World], create_table: Callable[[], str], sqs_endpoint: str
) -> Callable[[], World]:
    """Make worlds whose workers keep their questions in a table."""
    return lambda: create_shared_world(STORE_URL=create_table(), AWS_ENDPOINT_URL_DYNAMODB=sqs_endpoint)


@pytest.fixture(scope="module")
def left_in_the_middle(
    create_world_on_a_table: Callable[[], World],
) -> Iterator[Mapping[str, tuple[World, str, WorkerProcess, float]]]:
    """Worlds where a worker was killed while it posted, its post done or not, and another one runs."""
    worlds = {}
    for post in ("posted", "not posted"):
        world = create_world_on_a_table()
        world.start()
        hold = world.slack.hold("chat.postMessage", after_work=post == "posted")
        identifier = world.send()
        hold.wait_until_reached()
        other = world.another_worker()
        other.start()
        other.until_logged("worker.started")
        world.worker.kill()
        killed_at = time.monotonic()
        world.slack.forget_held()
        hold.release()
        worlds[post] = (world, identifier, other, killed_at)
    yield worlds
    for _, _, other, _ in worlds.values():
        other.close()


@pytest.mark.slow
@pytest.mark.parametrize("post", ["posted", "not posted"])
def test_a_worker_killed_while_it_posts_is_followed_by_another_and_nobody_is_asked_twice(
    left_in_the_middle: Mapping[str, tuple[World, str, WorkerProcess, float]], post: str
) -> None:
    world, identifier, other, killed_at = left_in_the_middle[post]

    left = killed_at + FINISHED_WITHIN_SECONDS - time.monotonic()
    other.until_logged("question.asked", identifier, seconds=max(left, 1))

    assert len(world.slack.questions(identifier)) == 1
    world.slack.press(world.slack.question(identifier), "yes")
    assert world.status(identifier) == "acknowledged"


@pytest.mark.slow
def test_two_workers_share_the_work_and_each_thing_is_done_once(
    create_world_on_a_table: Callable[[], World], request: pytest.FixtureRequest
) -> None:
    world = create_world_on_a_table()
    world.start()
    other = world.another_worker()
    request.addfinalizer(other.close)
    other.start()
    other.until_logged("worker.started")

    people = ("ada@example.com", "grace@example.com", "katherine@example.com", "alan@example.com")
    identifiers = world.send_many(people * 3)
    for identifier in identifiers:
        world.slack.press(world.slack.question(identifier), "yes")
        world.slack.redrawn(identifier, WORDING["answer"]["yes"])

    assert {world.status(identifier) for identifier in identifiers} == {"acknowledged"}
    assert [len(world.slack.questions(one)) for one in identifiers] == [1] * len(identifiers)
    assert [len(world.reports(one)) for one in identifiers] == [1] * len(identifiers)
    listed = json.loads(other.command("list", "--json").stdout)
    assert {one["identifier"] for one in listed} == set(identifiers)
    assert json.loads(other.command("show", identifiers[0], "--json").stdout)["outcome"] == "yes"
    assert other.command("backup", "copy.db").returncode == 1
    findings = json.loads(other.command("check", "--json").stdout)["findings"]
    assert {one["verdict"] for one in findings if one["subject"] == "store"} == {"ok"}
    assert [world.worker.stop(), other.stop()] == [0, 0]
    assert "Traceback" not in other.log


def is_claim(call: dict[str, Any]) -> bool:
    puts = [part.get("Put", {}) for part in call.get("TransactItems", [])]
    return any(put.get("Item", {}).get("st", {}).get("S") == "posting" for put in [call, *puts])


@pytest.mark.slow
def test_a_frozen_worker_does_not_ask_when_it_wakes_up_and_another_has_asked(
    create_world: Callable[..., World],
    create_table: Callable[[], str],
    sqs_endpoint: str,
    request: pytest.FixtureRequest,
) -> None:
    with TableProxy(sqs_endpoint, holds=is_claim) as proxy:
        world = create_world(STORE_URL=create_table(), AWS_ENDPOINT_URL_DYNAMODB=proxy.url)
        other = world.another_worker()
        other.environment["AWS_ENDPOINT_URL_DYNAMODB"] = sqs_endpoint
        request.addfinalizer(other.close)
        world.start()
        identifier = world.send()
        proxy.wait_until_held()

        world.worker.signal(signal.SIGSTOP)
        proxy.release()
        other.start()
        other.until_logged("question.asked", identifier, seconds=60)
        world.worker.signal(signal.SIGCONT)

        assert world.worker.stop() == 0  # it finishes what is under way
        assert other.stop() == 0
        assert len(world.slack.questions(identifier)) == 1
