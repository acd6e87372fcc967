"""The table is away, as when its region is in trouble: nothing is lost by it, and work goes on by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from world import World, until
from world.table_proxy import TableProxy


@pytest.fixture
def proxy(sqs_endpoint: str) -> Iterator[TableProxy]:
    with TableProxy(sqs_endpoint) as proxy:
        yield proxy


@pytest.fixture
def dynamodb(aws_session: boto3.Session, sqs_endpoint: str) -> Any:
    make: Any = aws_session.client
    return make("dynamodb", endpoint_url=sqs_endpoint)


@pytest.fixture
def world(create_world: Callable[..., World], create_table: Callable[[], str], proxy: TableProxy) -> World:
    """A worker whose table is behind the proxy."""
    return create_world(STORE_URL=create_table(), AWS_ENDPOINT_URL_DYNAMODB=proxy.url)


@pytest.mark.slow
def test_while_the_table_is_away_requests_wait_in_the_queue_and_who_clicks_is_told(
    world: World, proxy: TableProxy
) -> None:
    world.start()
    asked = world.send()
    question = world.slack.question(asked)
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
    world: World, proxy: TableProxy
) -> None:
    proxy.is_away = True
    world.start()
    identifier = world.send()
    world.worker.until_logged("store.delayed")

    proxy.is_away = False

    assert world.slack.press(world.slack.question(identifier), "yes").acknowledged
    assert world.status(identifier) == "acknowledged"


def test_a_worker_that_starts_on_a_recovered_table_while_that_is_away_asks_nobody(
    world: World, proxy: TableProxy, create_table: Callable[[], str], dynamodb: Any
) -> None:
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
