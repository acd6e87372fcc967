"""The disk is full, or the table is unavailable: nothing is lost, and work resumes by itself."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import boto3
import pytest
from world import GRACE, World, until
from world.table_proxy import TableProxy


@pytest.mark.slow
def test_a_full_disk_stops_the_polling_and_redrives_nothing_and_work_goes_on_by_itself(world: World) -> None:
    redriven = _redrive(world, after=3)
    world.start()
    asked, question = world.ask()
    world.until_asked(asked)
    log_of_writes = world.worker.folder / "triage-bot.db-wal"
    world.worker.limit_files(log_of_writes.stat().st_size)

    waiting = world.send()
    world.worker.until_logged("poll.failed", "StoreError")
    refused = world.slack.press(question, "no")
    until(lambda: world.waiting(world.requests) == (1, 0), what="the request was handed back")
    again = [world.waiting(world.requests), *_next_probes(world)]
    world.worker.limit_files(-1)

    assert not refused.acknowledged
    assert again == [(1, 0)] * len(again)
    world.slack.question(waiting)
    assert world.slack.press(question, "no").acknowledged
    assert world.status(asked) == "escalated"
    world.until_taken()
    assert world.waiting(redriven) == (0, 0)
    assert world.worker.is_running()


def test_a_damaged_row_holds_up_nothing_else(world: World) -> None:
    world.start()
    damaged, lost = world.ask()
    sound, question = world.ask(user="grace@example.com")
    for identifier in (damaged, sound):
        world.until_asked(identifier)
    assert world.worker.stop() == 0
    with closing(sqlite3.connect(world.worker.folder / "triage-bot.db")) as store:
        change = "UPDATE question SET state = 'askee', work = 'ask', due_at = accepted_at"
        store.execute(f"{change} WHERE identifier = ?", (damaged,))
        store.commit()

    world.start()
    world.worker.until_logged("store.damaged", damaged)

    assert world.slack.press(question, "yes", user=GRACE).acknowledged
    assert world.status(sound) == "acknowledged"
    assert not world.slack.press(lost, "no").acknowledged
    assert world.worker.is_running()


def _redrive(world: World, *, after: int) -> str:
    """Make SQS move a request that was received this often to another queue; return that queue's URL."""
    url = world.sqs.create_queue(QueueName=f"redriven-{world.requests.rpartition('-')[2]}")["QueueUrl"]
    attributes = world.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    policy = {"deadLetterTargetArn": attributes["QueueArn"], "maxReceiveCount": str(after)}
    world.sqs.set_queue_attributes(QueueUrl=world.requests, Attributes={"RedrivePolicy": json.dumps(policy)})
    return url


def _next_probes(world: World) -> list[tuple[int, int]]:
    """Watch the request queue over a probe of the store, which fails as well."""
    sweeps = world.worker.log.count("poll.failed")
    seen: list[tuple[int, int]] = []

    def watch() -> bool:
        seen.append(world.waiting(world.requests))
        return len(seen) > 60

    until(watch, what="a while has passed")
    assert world.worker.log.count("poll.failed") == sweeps
    return seen


@pytest.fixture
def proxy(sqs_endpoint: str) -> Iterator[TableProxy]:
    with TableProxy(sqs_endpoint) as proxy:
        yield proxy


@pytest.fixture
def dynamodb(aws_session: boto3.Session, sqs_endpoint: str) -> Any:
    make: Any = aws_session.client
    return make("dynamodb", endpoint_url=sqs_endpoint)


@pytest.fixture
def world_on_table(
    create_world: Callable[..., World], create_table: Callable[[], str], proxy: TableProxy
) -> World:
    """A worker whose table is behind the proxy."""
    return create_world(STORE_URL=create_table(), AWS_ENDPOINT_URL_DYNAMODB=proxy.url)


@pytest.mark.slow
def test_while_the_table_is_away_requests_wait_in_the_queue_and_who_clicks_is_told(
    world_on_table: World, proxy: TableProxy
) -> None:
    world = world_on_table
    world.start()
    asked, question = world.ask()
    world.worker.until_logged("question.asked", asked)

    proxy.is_away = True
    waiting = world.send()
    world.worker.until_logged("poll.failed", "StoreError")
    refused = world.slack.press(question, "no")
    until(lambda: world.waiting(world.requests) == (1, 0), what="the request was handed back")
    proxy.is_away = False

    assert not refused.acknowledged
    world.slack.question(waiting)
    assert world.slack.press(question, "no").acknowledged
    assert world.status(asked) == "escalated"
    world.until_taken()
    assert [len(world.slack.questions(one)) for one in (asked, waiting)] == [1, 1]


@pytest.mark.slow
def test_a_worker_that_starts_while_the_table_is_away_begins_when_it_is_back(
    world_on_table: World, proxy: TableProxy
) -> None:
    world = world_on_table
    proxy.is_away = True
    world.start()
    identifier = world.send()
    world.worker.until_logged("store.delayed")

    proxy.is_away = False

    assert world.slack.press(world.slack.question(identifier), "yes").acknowledged
    assert world.status(identifier) == "acknowledged"


@pytest.mark.slow
def test_a_worker_that_starts_on_a_recovered_table_while_that_is_away_asks_nobody(
    world_on_table: World, proxy: TableProxy, create_table: Callable[[], str], dynamodb: Any
) -> None:
    world = world_on_table
    world.start()
    assert world.worker.stop() == 0
    past = {"pk": {"S": "past"}, "sk": {"S": "past"}}
    before, recovered = world.worker.environment["STORE_URL"], create_table()
    item = dynamodb.get_item(TableName=before.removeprefix("dynamodb://"), Key=past)["Item"]
    dynamodb.put_item(TableName=recovered.removeprefix("dynamodb://"), Item=item)
    world.worker.environment["STORE_URL"] = recovered
    proxy.is_away = True
    world.start()
    world.send()
    world.worker.until_logged("store.delayed")

    proxy.is_away = False

    assert world.worker.exit_code() == 78
    assert "run --restored" in world.worker.log.splitlines()[-1]
    assert world.slack.all_questions() == []
