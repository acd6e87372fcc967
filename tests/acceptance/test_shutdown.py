"""A worker that is told to stop stops in time, whatever Slack and SQS do, and hides nothing in the queue."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest
from world import World
from world.sqs_proxy import SqsProxy

#: How long stopping may take, whatever hangs: a promise of the worker's.
STOP_SECONDS = 10


def _slack_is_away(world: World) -> None:
    world.slack.stop()
    identifier = world.send()
    world.worker.until_logged("question.delayed", identifier)


def _slack_asks_to_wait(world: World) -> None:
    world.slack.faults.limit("chat.postMessage", "120")
    identifier = world.send()
    world.worker.until_logged("question.delayed", identifier)
    world.send_many(["grace@example.com"] * 5)


def _slack_hangs_in_a_look_up(world: World) -> None:
    hold = world.slack.hold("users.lookupByEmail")
    world.send(user="alan@example.com")
    hold.wait_until_reached()


def _slack_refuses_the_worker(world: World) -> None:
    world.slack.without_scope("chat:write")
    world.send()
    world.worker.until_logged("asking.halted")


@pytest.mark.parametrize(
    ("trouble", "signals"),
    [
        (_slack_is_away, 1),
        (_slack_asks_to_wait, 1),
        (_slack_refuses_the_worker, 1),
        (_slack_is_away, 2),
        (_slack_hangs_in_a_look_up, 2),
    ],
)
def test_a_worker_in_trouble_with_slack_stops_in_time_and_hides_nothing(
    world: World, trouble: Callable[[World], None], signals: int
) -> None:
    world.start()
    trouble(world)

    world.worker.signal(signal.SIGTERM)
    if signals > 1:
        world.worker.until_logged("worker.stopping")
        world.worker.signal(signal.SIGTERM)

    exit_code = world.worker.exit_code(seconds=STOP_SECONDS)
    expected = {0} if signals == 1 else {0, 1}
    if signals > 1 and "worker.stopped" in world.worker.log:
        # All was done when the second signal came: the interpreter was ending, and had no handler left.
        expected.add(-signal.SIGTERM)
    assert exit_code in expected
    assert world.waiting(world.requests)[1] == 0


def test_a_worker_that_cannot_reach_sqs_stops_in_time(
    create_world: Callable[..., World], sqs_endpoint: str
) -> None:
    with SqsProxy(sqs_endpoint) as proxy:
        world = create_world(AWS_ENDPOINT_URL_SQS=proxy.url)
        world.start()
        proxy.upstream = "http://127.0.0.1:9"
        world.send()  # ends the poll that is under way
        world.worker.until_logged("poll.failed")

        world.worker.signal(signal.SIGTERM)

        assert world.worker.exit_code(seconds=STOP_SECONDS) == 0


def test_what_is_due_is_told_before_the_worker_stops(world: World) -> None:
    world.start()
    identifier = world.send()
    question = world.slack.question(identifier)
    world.until_asked(identifier)

    click = world.slack.press(question, "no")
    assert world.worker.stop() == 0

    assert click.acknowledged
    assert world.status(identifier) == "escalated"
