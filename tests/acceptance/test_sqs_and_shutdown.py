"""SQS does part of a batch, refuses a report, or is away; and a worker in any trouble stops in time."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator

import pytest
from world import World, until
from world.sqs_proxy import EntryFault, SqsProxy


@pytest.fixture
def proxy(sqs_endpoint: str) -> Iterator[SqsProxy]:
    with SqsProxy(sqs_endpoint) as proxy:
        yield proxy


def test_a_report_that_the_queue_refuses_for_good_is_parked_and_the_others_go_on(
    create_world: Callable[..., World], proxy: SqsProxy
) -> None:
    world = create_world(AWS_ENDPOINT_URL_SQS=proxy.url)
    unfit = world.send(user="nobody-unfit@example.com")
    proxy.faults.append(
        EntryFault(
            action="SendMessageBatch",
            strikes=lambda entry: unfit in entry["MessageBody"],
            code="InvalidMessageContents",
            is_senders=True,
        )
    )
    world.start()

    others = world.send_many([f"nobody-{number}@example.com" for number in range(12)])

    for identifier in others:
        assert world.status(identifier) == "manual"
    alarm = world.worker.until_logged("ERROR", "report.parked", unfit)
    assert "InvalidMessageContents" in alarm
    shown = world.worker.command("show", unfit)
    assert "rejected by the queue" in shown.stdout
    assert [action for action, _ in proxy.failed] == ["SendMessageBatch"]
    # Once the queue takes it, `replay --unsent` sends what is parked.
    proxy.faults.clear()
    replayed = world.worker.command("replay", "--unsent")
    assert replayed.returncode == 0
    assert world.status(unfit) == "manual"


def test_entries_that_fail_for_now_are_tried_again_and_come_once(
    create_world: Callable[..., World], proxy: SqsProxy
) -> None:
    world = create_world(AWS_ENDPOINT_URL_SQS=proxy.url)
    busy = EntryFault(
        action="SendMessageBatch",
        strikes=lambda entry: int(entry["Id"]) % 2 == 0 and len(proxy.failed) < 5,
        code="InternalError",
        is_senders=False,
    )
    undeleted = EntryFault(
        action="DeleteMessageBatch",
        strikes=lambda entry: entry["Id"] == "0",
        code="ReceiptHandleIsInvalid",
        is_senders=True,
    )
    proxy.faults.extend([busy, undeleted])
    world.start()

    identifiers = world.send_many([f"nobody-{number}@example.com" for number in range(10)])

    for identifier in identifiers:
        assert world.status(identifier) == "manual"
    world.worker.until_logged("request.left", "ReceiptHandleIsInvalid")
    until(lambda: len(world.responses.letters()) >= len(identifiers), what="all reports have come")
    bodies = [json.loads(letter.body)["details"]["identifier"] for letter in world.responses.letters()]
    assert sorted(bodies) == sorted(identifiers)


@pytest.mark.slow
def test_work_goes_on_by_itself_after_sqs_was_away(
    create_world: Callable[..., World], sqs_endpoint: str
) -> None:
    with SqsProxy(sqs_endpoint) as proxy:
        world = create_world(AWS_ENDPOINT_URL_SQS=proxy.url)
        world.start()
        before, question = world.ask()
        proxy.upstream = "http://127.0.0.1:9"
        world.slack.press(question, "no")
        world.worker.until_logged("publishing.failed")
        meanwhile = world.send()
        world.worker.until_logged("poll.failed")

        proxy.upstream = sqs_endpoint

        assert world.status(before) == "escalated"
        world.slack.question(meanwhile)
        assert world.worker.is_running()
        world.worker.stop()


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


@pytest.mark.slow
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
    # A second signal leaves no time to delete what is stored.
    until(lambda: world.waiting(world.requests)[1] == 0, what="the stored request is deleted")

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
    identifier, question = world.ask()
    world.until_asked(identifier)

    click = world.slack.press(question, "no")
    assert world.worker.stop() == 0

    assert click.acknowledged
    assert world.status(identifier) == "escalated"
