"""A worker that stands still between its claim and the post: another asks, and it must not ask as well."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest
from world import World
from world.table_proxy import TableProxy


def is_claim(call: dict[str, Any]) -> bool:
    return bool(call.get("Item", {}).get("st", {}).get("S") == "posting")


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
