"""SQS does part of a batch, refuses a report for good, or is away: the rest goes on."""

from __future__ import annotations

import json
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


def test_work_goes_on_by_itself_after_sqs_was_away(
    create_world: Callable[..., World], sqs_endpoint: str
) -> None:
    with SqsProxy(sqs_endpoint) as proxy:
        world = create_world(AWS_ENDPOINT_URL_SQS=proxy.url)
        world.start()
        before = world.send()
        question = world.slack.question(before)
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
