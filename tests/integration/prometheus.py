"""A real Prometheus, for as long as a test needs it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from world import until


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
        """Wait until every rule was evaluated, and return what became of each."""

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
