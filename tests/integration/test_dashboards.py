"""The alerting rules by promtool, and every query of rules and dashboard against a real Prometheus."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from metrics_world import LISTEN, Meters, Prometheus, address_of, debian_program, scraping
from world import World, until

ROOT = Path(__file__).parents[2]
RULES = ROOT / "config" / "prometheus-alerts.yml"

#: Stands for what Grafana makes of the panel's width.
RATE_INTERVAL = "1m"


@pytest.fixture(scope="module")
def address(create_shared_world: Callable[..., World]) -> str:
    """Where the metrics are of a worker that has counted under each label at least once."""
    world = create_shared_world(**LISTEN)
    world.start()
    world.slack.faults.refuse("users.lookupByEmail", "service_unavailable")
    identifier = world.send()
    world.worker.until_logged("question.delayed")
    world.slack.faults.heal()
    world.slack.press(world.slack.question(identifier), "yes")
    world.send(user="nobody@example.com")
    world.send_body("{}")
    world.reports(identifier)
    world.until_taken()
    address = address_of(world.worker)
    Meters(address).until("triage_reports_sent_total", 2)
    return address


def assert_approved(*arguments: str, given: str = "") -> None:
    """Assert that promtool finds nothing wrong."""
    command = [debian_program("promtool"), *arguments]
    done = subprocess.run(command, cwd=ROOT, input=given, capture_output=True, text=True, check=False)  # noqa: S603 - Debian's
    assert done.returncode == 0, done.stdout + done.stderr


def dashboard_queries() -> list[str]:
    dashboard = json.loads((ROOT / "config" / "grafana-dashboard.json").read_text(encoding="utf-8"))
    queries = [each["expr"] for panel in dashboard["panels"] for each in panel["targets"]]
    return [query.replace("$__rate_interval", RATE_INTERVAL) for query in queries]


def test_the_alerting_rules_are_well_formed_and_fire_when_they_should_and_only_then() -> None:
    assert_approved("check", "rules", str(RULES))
    assert_approved("test", "rules", "tests/prometheus-alerts.test.yml")


def test_prometheus_takes_the_metrics_without_complaint(address: str) -> None:
    assert_approved("check", "metrics", given=Meters(address).text())


def test_every_query_of_the_dashboard_yields_something(address: str, tmp_path: Path) -> None:
    with scraping(address, tmp_path) as prometheus:
        prometheus.until_scraped("rate(triage_links_up[1m])")  # which takes two scrapes

        empty = [query for query in dashboard_queries() if not prometheus.query(query)]

    assert empty == []


def test_prometheus_evaluates_every_rule_and_none_fires_for_a_bot_that_does_its_job(
    address: str, tmp_path: Path
) -> None:
    with scraping(address, tmp_path, rules=RULES) as prometheus:
        prometheus.until_scraped("triage_links_up == 2")
        # One was evaluated before the first scrape, and so missed the bot for a moment.
        until(lambda: "pending" not in states(prometheus), what="no alert is about to fire")

        rules = prometheus.evaluated_rules()

    assert len(rules) == 9
    assert {rule["health"] for rule in rules} == {"ok"}
    assert {rule["state"] for rule in rules} == {"inactive"}


def states(prometheus: Prometheus) -> set[str]:
    return {rule["state"] for rule in prometheus.evaluated_rules()}
