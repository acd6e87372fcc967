"""`triage-bot stats` beside a running worker, and without one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from mypy_boto3_sqs import SQSClient
from world import World, until


@pytest.fixture
def world(tmp_path: Path, sqs: SQSClient, aws_environment: Mapping[str, str]) -> Iterator[World]:
    with World(tmp_path, sqs, aws_environment) as world:
        world.start()
        yield world


def test_the_statistics_are_the_same_whether_the_worker_runs_or_not(world: World) -> None:
    yes, no = world.send(alert="ssh_access_sign_releng"), world.send(alert="ssh_access_sign_releng")
    world.slack.press(world.slack.question(yes), "yes")
    world.slack.press(world.slack.question(no), "no")
    until(lambda: world.known_row(no)["outcome"], what="the answer is stored")
    running = world.worker.command("stats", "--json")
    world.worker.stop()
    stopped = world.worker.command("stats", "--json")

    [alert] = json.loads(running.stdout)
    assert (alert["alert"], alert["asked"], alert["yes"], alert["no"]) == ("ssh_access_sign_releng", 2, 1, 1)
    assert alert["medianSeconds"] is not None
    assert stopped.stdout == running.stdout


def test_a_plot_is_written_beside_the_table(world: World) -> None:
    world.slack.question(world.send())

    shown = world.worker.command("stats", "--since", "2h", "--plot", "plot.svg")

    assert shown.returncode == 0
    assert "sensitive_host_session" in shown.stdout
    assert "sensitive_host_session" in (world.worker.folder / "plot.svg").read_text()


def test_a_plot_of_another_kind_is_refused_at_once(world: World) -> None:
    refused = world.worker.command("stats", "--plot", "plot.png")

    assert refused.returncode == 2
    assert "expected FILE.svg" in refused.stderr
