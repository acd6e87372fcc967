"""The alerting rules by promtool, and every query of rules and dashboard against a real Prometheus."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from metrics_world import LISTEN, Meters, address_of
from mypy_boto3_sqs import SQSClient
from prometheus import Prometheus, debian_program, scraping
from world import World, until

ROOT = Path(__file__).parents[2]
RULES = ROOT / "config" / "prometheus-alerts.yml"

#: Stands for what Grafana makes of the panel's width.
RATE_INTERVAL = "1m"


@pytest.fixture
def busy_world(tmp_path: Path, sqs: SQSClient, aws_environment: Mapping[str, str]) -> Iterator[World]:
    """A world in which everything that is counted by a label has happened at least once."""
    with World(tmp_path, sqs, aws_environment, variables=LISTEN) as world:
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
        Meters(address_of(world.worker)).until("triage_reports_sent_total", 2)
        yield world


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [debian_program("promtool"), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - Debian's


def dashboard_queries() -> list[str]:
    dashboard = json.loads((ROOT / "config" / "grafana-dashboard.json").read_text(encoding="utf-8"))
    queries = [each["expr"] for panel in dashboard["panels"] for each in panel["targets"]]
    return [query.replace("$__rate_interval", RATE_INTERVAL) for query in queries]


def test_the_alerting_rules_are_well_formed() -> None:
    checked = promtool("check", "rules", str(RULES))

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_alerting_rules_fire_when_they_should_and_only_then() -> None:
    tested = promtool("test", "rules", "tests/prometheus-alerts.test.yml")

    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_prometheus_takes_the_metrics_without_complaint(busy_world: World) -> None:
    address = address_of(busy_world.worker)
    metrics = Meters(address).text()

    checked = subprocess.run(  # noqa: S603 - Debian's
        [debian_program("promtool"), "check", "metrics"],
        input=metrics,
        capture_output=True,
        text=True,
        check=False,
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_query_of_the_dashboard_yields_something(busy_world: World, tmp_path: Path) -> None:
    with scraping(address_of(busy_world.worker), tmp_path) as prometheus:
        prometheus.until_scraped("rate(triage_links_up[1m])")  # which takes two scrapes

        empty = [query for query in dashboard_queries() if not prometheus.query(query)]

    assert empty == []


def test_prometheus_evaluates_every_rule_and_none_fires_for_a_bot_that_does_its_job(
    busy_world: World, tmp_path: Path
) -> None:
    with scraping(address_of(busy_world.worker), tmp_path, rules=RULES) as prometheus:
        prometheus.until_scraped("triage_links_up == 2")
        # One was evaluated before the first scrape, and so missed the bot for a moment.
        until(lambda: "pending" not in states(prometheus), what="no alert is about to fire")

        rules = prometheus.evaluated_rules()

    assert len(rules) == 10
    assert {rule["health"] for rule in rules} == {"ok"}
    assert {rule["state"] for rule in rules} == {"inactive"}


def states(prometheus: Prometheus) -> set[str]:
    return {rule["state"] for rule in prometheus.evaluated_rules()}
