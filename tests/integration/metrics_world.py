"""A world whose worker serves its metrics, and what can be read there."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

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
