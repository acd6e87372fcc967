"""A world whose worker serves its metrics, what can be read there, and a real Prometheus."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from world import WorkerProcess, until

#: Any free port: the log says which.
LISTEN: Mapping[str, str] = {"METRICS_LISTEN": "127.0.0.1:0"}

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def address_of(worker: WorkerProcess) -> str:
    """Wait until a worker serves its metrics, and return where."""
    line = worker.until_logged("metrics.served")
    found = re.search(r"host=(\S+) port=(\d+)", line)
    assert found
    return f"{found[1]}:{found[2]}"


def fetch(address: str, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def health(address: str) -> tuple[int, dict[str, Any]]:
    status, body = fetch(address, "/healthz")
    return status, json.loads(body)


def problems(address: str) -> set[str]:
    return {each["problem"] for each in health(address)[1]["problems"]}


def read_samples(text: str) -> Samples:
    """Return the value of each sample, by its name and its labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class Meters:
    """What one worker's metrics say."""

    def __init__(self, address: str) -> None:
        self._address = address

    def text(self) -> str:
        return fetch(self._address, "/metrics")[1]

    def value(self, name: str, **labels: str) -> float | None:
        samples = read_samples(self.text())
        return samples.get((name, tuple(sorted(labels.items()))))

    def until(self, name: str, value: float, **labels: str) -> None:
        """Wait until a sample has this value."""
        until(lambda: self.value(name, **labels) == value, what=f"{name}{labels} is {value}")


def debian_program(name: str) -> str:
    """Return the path of a program of Debian's package `prometheus`; skip the test where it is missing."""
    path = shutil.which(name)
    if path is None:
        assert not os.environ.get("CI"), f"{name} is missing: .ci/run installs it"
        pytest.skip(f"{name} is not installed: apt install prometheus")
    return path


class Prometheus:
    """Scrapes one address every second, and answers queries."""

    def __init__(self, port: int) -> None:
        self._address = f"127.0.0.1:{port}"

    def query(self, expression: str) -> list[Any]:
        """Return what an expression yields now. AssertionError if Prometheus cannot evaluate it."""
        found: list[Any] = self._ask("/query", query=expression)["result"]
        return found

    def evaluated_rules(self) -> list[dict[str, Any]]:
        """Wait until every rule was evaluated, and return the result of each."""

        def look() -> list[dict[str, Any]]:
            rules = [rule for group in self._ask("/rules")["groups"] for rule in group["rules"]]
            return [] if any(rule["health"] == "unknown" for rule in rules) else rules

        return until(look, what="every rule was evaluated")

    def until_scraped(self, expression: str) -> None:
        """Wait until an expression yields something."""
        until(lambda: self._answers() and self.query(expression), what=f"{expression} yields something")

    def _answers(self) -> bool:
        try:
            self.query("1")
        except OSError:
            return False
        return True

    def _ask(self, path: str, **parameters: str) -> dict[str, Any]:
        query = urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(f"http://{self._address}/api/v1{path}?{query}", timeout=30) as answer:
                found: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                is_starting = error.code == HTTPStatus.SERVICE_UNAVAILABLE
                problem = error.read().decode()
            if is_starting:
                raise
            raise AssertionError(f"{parameters}: {problem}") from error
        data: dict[str, Any] = found["data"]
        return data


@contextmanager
def scraping(target: str, folder: Path, *, rules: Path | None = None) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes this address; it keeps its files in `folder`."""
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)] if rules else [],
        "scrape_configs": [{"job_name": "triage-bot", "static_configs": [{"targets": [target]}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    port = _free_port()
    command = [
        debian_program("prometheus"),
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    ]
    with subprocess.Popen(command, cwd=folder) as process:  # noqa: S603 - a program of Debian's
        try:
            yield Prometheus(port)
        finally:
            process.terminate()


def _free_port() -> int:
    # It cannot be told to take any port, and to say which.
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port
