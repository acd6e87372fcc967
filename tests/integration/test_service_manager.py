"""What the worker tells systemd, as a process, on a real socket."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from mypy_boto3_sqs import SQSClient
from world import World, until
from world.service_manager import ServiceManager

QUICK_WATCHDOG_WORKER = (str(Path(__file__).with_name("quick_watchdog_worker.py")),)

#: Of the watchdog: so many pings in a row span more time than the hasty worker's patience.
INTERVAL_SECONDS = 2
MORE_THAN_PATIENCE = 12


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[ServiceManager]:
    manager = ServiceManager(tmp_path)
    yield manager
    manager.close()


@pytest.fixture
def world(
    tmp_path: Path, sqs: SQSClient, aws_environment: Mapping[str, str], manager: ServiceManager
) -> Iterator[World]:
    told = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": str(INTERVAL_SECONDS * 1_000_000)}
    with World(tmp_path, sqs, aws_environment, variables=told) as world:
        yield world


def test_it_is_ready_when_slack_has_opened_a_link_and_says_when_it_stops(
    world: World, manager: ServiceManager
) -> None:
    world.start()

    ready = manager.until_told("READY", "1")
    world.worker.stop()

    assert ready["STATUS"] == "serving"
    assert manager.told()[-1]["STOPPING"] == "1"


def test_while_slack_cannot_be_reached_it_asks_for_time_and_is_not_ready(
    world: World, manager: ServiceManager
) -> None:
    world.slack.stop()
    world.worker.start()

    waiting = manager.until_told("STATUS", "waiting for Slack")
    until(lambda: manager.pings() >= 4, what="it asks again and again")
    ready_before = [facts for facts in manager.told() if "READY" in facts]
    world.slack.start()
    manager.until_told("READY", "1")

    assert int(waiting["EXTEND_TIMEOUT_USEC"]) >= 30_000_000
    assert ready_before == []
    assert world.worker.is_running()


def test_while_the_queues_cannot_be_reached_it_is_not_ready(world: World, manager: ServiceManager) -> None:
    world.worker.environment["AWS_ENDPOINT_URL_SQS"] = "http://127.0.0.1:9"
    world.worker.start()

    world.slack.until_linked()
    waiting = manager.until_told("STATUS", "waiting for the queues")

    assert int(waiting["EXTEND_TIMEOUT_USEC"]) >= 30_000_000
    assert not any("READY" in facts for facts in manager.told())


@pytest.mark.slow
def test_an_outage_that_is_retried_counts_as_progress(world: World, manager: ServiceManager) -> None:
    world.worker.program = QUICK_WATCHDOG_WORKER
    world.start()
    manager.until_told("READY", "1")

    world.slack.stop()
    manager.until_told("STATUS", "waiting for Slack")
    before = manager.pings()
    until(lambda: manager.pings() >= before + MORE_THAN_PATIENCE, what="pings go on")
    so_far = len(manager.told())
    world.slack.start()
    manager.until_told("STATUS", "serving", after=so_far)

    assert not any(facts.get("WATCHDOG") == "trigger" for facts in manager.told())
    assert world.worker.is_running()


@pytest.mark.slow
def test_a_poller_that_is_stuck_ends_the_pings_and_asks_for_the_end(
    world: World, manager: ServiceManager
) -> None:
    world.worker.program = QUICK_WATCHDOG_WORKER
    world.start()
    manager.until_told("READY", "1")

    (world.worker.folder / "poller").touch()
    manager.until_told("WATCHDOG", "trigger")
    world.worker.stop()

    # All that comes after it is the farewell.
    assert [facts.get("WATCHDOG") for facts in manager.told()[-2:]] == ["trigger", None]
    assert "loops=poller" in world.worker.until_logged("worker.stalled")


def test_an_event_loop_that_is_stuck_is_silent(world: World, manager: ServiceManager) -> None:
    world.worker.program = QUICK_WATCHDOG_WORKER
    world.start()
    manager.until_told("READY", "1")

    (world.worker.folder / "loop").touch()
    until((world.worker.folder / "held").exists, what="the event loop is held up")
    before = manager.pings()
    # Several pings would fall into this time.
    time.sleep(INTERVAL_SECONDS)
    world.worker.kill()

    assert manager.pings() == before


def test_a_worker_that_the_watchdog_ends_says_where_it_was(world: World) -> None:
    world.start()

    world.worker.signal(signal.SIGABRT)
    exit_code = world.worker.exit_code()

    assert exit_code == -signal.SIGABRT
    assert "in run_worker" in world.worker.log or "in run_forever" in world.worker.log
    assert "Fatal Python error: Aborted" in world.worker.log
