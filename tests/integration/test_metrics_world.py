"""Metrics and health of the real worker, over HTTP."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from metrics_world import LISTEN, Meters, address_of, fetch, health, problems
from world import World, until


@pytest.fixture
def address(world: World) -> str:
    """Where the metrics are of a worker that is healthy."""
    return until_healthy(world)


@pytest.fixture
def world(create_world: Callable[..., World]) -> World:
    return create_world(**LISTEN)


def until_healthy(world: World) -> str:
    world.start()
    address = address_of(world.worker)
    until(lambda: health(address)[0] == 200, what="the worker is healthy")
    return address


@dataclass(frozen=True, kw_only=True)
class Busy:
    """A worker that has asked, heard, reported and rejected."""

    world: World
    address: str
    identifiers: tuple[str, str]


@pytest.fixture(scope="module")
def busy(create_shared_world: Callable[..., World]) -> Busy:
    world = create_shared_world(**LISTEN)
    address = until_healthy(world)
    identifier = world.send()
    world.slack.press(world.slack.question(identifier), "no")
    world.slack.press(world.slack.question(identifier), "no")
    world.send(identifier=identifier)
    undeliverable = world.send(alert="ada@example.com", user="nobody@example.com")
    world.send_body("{}")
    world.reports(identifier)
    world.until_taken()
    Meters(address).until("triage_reports_sent_total", 2)
    return Busy(world=world, address=address, identifiers=(identifier, undeliverable))


def test_what_happens_to_an_alert_is_counted_once(busy: Busy) -> None:
    meters, alert = Meters(busy.address), "sensitive_host_session"

    assert meters.value("triage_requests_accepted_total") == 2
    assert meters.value("triage_requests_rejected_total", reason="several_fields") == 1
    assert meters.value("triage_questions_asked_total") == 1
    assert meters.value("triage_questions_answered_total", choice="no") == 1
    assert meters.value("triage_questions_undeliverable_total", reason="users_not_found") == 1
    assert meters.value("triage_ask_seconds_count", alert=alert) == 1
    assert meters.value("triage_answer_seconds_count", alert=alert) == 1
    assert meters.value("triage_links_up") == 2
    assert meters.value("triage_oldest_open_question_seconds") == 0


def test_no_metric_carries_an_identifier_an_address_or_a_label_that_mozdef_made_up(busy: Busy) -> None:
    status, text = fetch(busy.address, "/metrics")

    assert status == 200
    assert "@" not in text
    assert [one for one in busy.identifiers if one in text] == []


def test_a_worker_that_does_its_job_is_healthy_and_notes_every_poll_that_sqs_answers(busy: Busy) -> None:
    status, before = health(busy.address)

    busy.world.send()

    assert (status, before["healthy"], before["problems"], before["links_up"]) == (200, True, [], 2)
    until(
        lambda: health(busy.address)[1]["last_successful_poll"] > before["last_successful_poll"],
        what="a later poll is noted",
    )


def test_a_worker_that_slack_has_left_is_not_healthy_until_slack_is_back(world: World, address: str) -> None:
    world.slack.stop()
    until(lambda: problems(address) == {"no_link"}, what="no link is a problem")
    status, body = health(address)
    until(lambda: failed_opens(address), what="a link that could not be opened is counted")
    world.slack.start()

    assert status == 503
    assert "no click can arrive" in body["problems"][0]["why"]
    until(lambda: health(address)[0] == 200, what="it is healthy again")


def test_a_worker_whose_links_slack_refuses_says_so_until_one_opens(world: World, address: str) -> None:
    world.slack.faults.refuse("apps.connections.open", "not_enabled")
    world.slack.run(world.slack.stand_in.disconnect("link_disabled"))
    until(lambda: problems(address) == {"no_link", "link_refused"}, what="the refusal is a problem")
    _, body = health(address)
    world.slack.faults.heal()

    assert all("Switch Socket Mode on" in each["why"] for each in body["problems"])
    assert "Switch Socket Mode on" in world.worker.until_logged("link.refused")
    until(lambda: health(address)[0] == 200, what="it is healthy again")


def test_a_worker_that_slack_refuses_says_so_and_counts_the_retries(world: World, address: str) -> None:
    world.slack.faults.refuse("chat.postMessage", "token_revoked")
    world.send()
    until(lambda: "asking_halted" in problems(address), what="asking is halted")

    status, body = health(address)
    assert status == 503
    assert "token_revoked" in body["problems"][0]["why"]
    assert Meters(address).value("triage_retries_total", method="chat.postMessage")
    assert Meters(address).value("triage_problem", problem="asking_halted") == 1


def test_an_introduction_to_slack_that_is_made_again_is_counted(world: World) -> None:
    world.slack.faults.refuse("auth.test", "service_unavailable")
    world.worker.start()
    world.worker.until_logged("slack.delayed")
    address = address_of(world.worker)

    counted = Meters(address).value("triage_retries_total", method="auth.test")
    world.slack.faults.heal()
    world.slack.faults.refuse("apps.connections.open", "service_unavailable")

    assert counted
    until(lambda: failed_opens(address), what="the second half of the introduction is counted")


def failed_opens(address: str) -> float | None:
    return Meters(address).value("triage_retries_total", method="apps.connections.open")


def test_a_worker_whose_address_is_taken_says_which_and_leaves(create_world: Callable[..., World]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        world = create_world(METRICS_LISTEN=f"127.0.0.1:{taken.getsockname()[1]}")
        world.worker.start()

        assert world.worker.exit_code() == 1

    assert "METRICS_LISTEN: 127.0.0.1 port" in world.worker.log


def test_a_worker_without_the_setting_serves_nothing_and_does_not_load_the_library(
    create_world: Callable[..., World],
) -> None:
    world = create_world(PYTHONPROFILEIMPORTTIME="1")

    world.start()

    assert "metrics.served" not in world.worker.log
    assert "aiohttp" in world.worker.log
    assert "prometheus_client" not in world.worker.log
