"""Metrics and health of the real worker over HTTP; rules and dashboard by promtool and a real Prometheus."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from metrics_world import (
    LISTEN,
    Meters,
    Prometheus,
    address_of,
    debian_program,
    fetch,
    health,
    problems,
    scraping,
)
from world import World, until

from bot.triage.outcomes import Status


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
    """A worker that has counted under each label at least once."""

    world: World
    address: str
    identifiers: tuple[str, str]


@pytest.fixture(scope="module")
def busy(create_shared_world: Callable[..., World]) -> Busy:
    world = create_shared_world(**LISTEN)
    address = until_healthy(world)
    world.slack.faults.refuse("users.lookupByEmail", "service_unavailable")
    identifier = world.send()
    world.worker.until_logged("question.delayed")
    world.slack.faults.heal()
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
    for name in ("open_questions", "unsent_reports", "parked_reports", "invalid_requests"):
        meters.until(f"triage_{name}", 0)


def test_no_metric_carries_an_identifier_an_address_or_a_label_that_mozdef_made_up(busy: Busy) -> None:
    status, text = fetch(busy.address, "/metrics")

    assert status == 200
    assert "@" not in text
    assert [one for one in busy.identifiers if one in text] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"FACTOR_CLIENT_ID": "triage-bot"}, "FACTOR_ISSUER is not set"),
        ({"FACTOR_ISSUER": "https://127.0.0.1:9"}, "FACTOR_CLIENT_ID is not set"),
    ],
)
def test_without_a_provider_that_can_be_used_the_worker_starts_and_only_a_yes_ends_unproven(
    create_world: Callable[..., World], tmp_path: Path, settings: dict[str, str], why: str
) -> None:
    (tmp_path / "alerts.toml").write_text('[default]\nfactor = "required"\n')
    world = create_world(**LISTEN, **settings, CONFIG_DIR=str(tmp_path))
    world.start()
    address = address_of(world.worker)
    assert why in world.worker.until_logged("proof.unavailable")
    until(lambda: problems(address) == {"no_second_factor"}, what="nothing else is wrong")
    assert why in fetch(address, "/healthz")[1]

    identifier, question = world.ask()
    world.slack.press(question, "yes")
    assert world.reports(identifier)[0].details["triagebot"]["reason"] == "factor_unavailable"
    meters, reason = Meters(address), {"reason": "factor_unavailable"}
    meters.until("triage_questions_unproven_total", 1, **reason)
    world.slack.press(question, "yes")
    meters.until("triage_questions_unproven_total", 2, **reason)
    world.slack.press(question, "no")
    assert world.status(identifier, 3) == Status.ESCALATED
    assert meters.value("triage_problem", problem="no_second_factor") == 1


def test_a_worker_that_does_its_job_is_healthy_and_notes_every_poll_that_sqs_answers(busy: Busy) -> None:
    status, before = health(busy.address)

    busy.world.send()

    assert (status, before["healthy"], before["problems"], before["links_up"]) == (200, True, [], 2)
    until(
        lambda: health(busy.address)[1]["last_successful_poll"] > before["last_successful_poll"],
        what="a later poll is noted",
    )


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /metrics HTTP/9.9\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /metrics HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    ],
    ids=["too long", "another version", "no URL", "two lengths", "no gzip"],
)
def test_a_request_that_is_none_is_answered_and_leaves_nothing_in_the_log(
    busy: Busy, request_bytes: bytes
) -> None:
    host, _, port = busy.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=30) as caller, caller.makefile("rb") as answer:
        caller.sendall(request_bytes)
        assert answer.read().startswith(b"HTTP/1.")

    assert health(busy.address)[0] == 200
    assert "Traceback" not in busy.world.worker.log


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


ROOT = Path(__file__).parents[2]
RULES = ROOT / "config" / "prometheus-alerts.yml"

#: Stands for what Grafana makes of the panel's width.
RATE_INTERVAL = "1m"


def assert_approved(*arguments: str, given: str = "") -> None:
    """Assert that promtool finds nothing wrong."""
    command = [debian_program("promtool"), *arguments]
    done = subprocess.run(command, cwd=ROOT, input=given, capture_output=True, text=True, check=False)  # noqa: S603 - Debian's
    assert done.returncode == 0, done.stdout + done.stderr


def dashboard_queries() -> list[str]:
    dashboard = json.loads((ROOT / "config" / "grafana-dashboard.json").read_text(encoding="utf-8"))
    queries = [each["expr"] for panel in dashboard["panels"] for each in panel["targets"]]
    return [query.replace("$__rate_interval", RATE_INTERVAL) for query in queries]


@pytest.mark.slow
def test_the_alerting_rules_are_well_formed_and_fire_when_they_should_and_only_then() -> None:
    assert_approved("check", "rules", str(RULES))
    assert_approved("test", "rules", "tests/prometheus-alerts.test.yml")


def test_prometheus_takes_the_metrics_without_complaint(busy: Busy) -> None:
    assert_approved("check", "metrics", given=Meters(busy.address).text())


@pytest.mark.slow
def test_every_query_of_the_dashboard_yields_something(busy: Busy, tmp_path: Path) -> None:
    with scraping(busy.address, tmp_path) as prometheus:
        prometheus.until_scraped("rate(triage_links_up[1m])")  # which takes two scrapes

        empty = [query for query in dashboard_queries() if not prometheus.query(query)]

    assert empty == []


@pytest.mark.slow
def test_prometheus_evaluates_every_rule_and_none_fires_for_a_bot_that_does_its_job(
    busy: Busy, tmp_path: Path
) -> None:
    with scraping(busy.address, tmp_path, rules=RULES) as prometheus:
        prometheus.until_scraped("triage_links_up == 2")
        # One was evaluated before the first scrape, and so missed the bot for a moment.
        until(lambda: "pending" not in states(prometheus), what="no alert is about to fire")

        rules = prometheus.evaluated_rules()

    assert len(rules) == 13
    assert {rule["health"] for rule in rules} == {"ok"}
    assert {rule["state"] for rule in rules} == {"inactive"}


def states(prometheus: Prometheus) -> set[str]:
    return {rule["state"] for rule in prometheus.evaluated_rules()}
