"""The dashboard and the alerting rules: whole, and about metrics that there are."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

from fakes import NOON
from prometheus_client.parser import text_string_to_metric_families

from bot.worker.health import StoreHealth, WorkerHealth
from bot.worker.metrics import Metrics

CONFIG = Path(__file__).parents[2] / "config"
DASHBOARD: dict[str, Any] = json.loads((CONFIG / "grafana-dashboard.json").read_text(encoding="utf-8"))
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]

#: What the metrics of a kind are called in queries, beside their own name.
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("_total",), "info": ("_info",)}


def metric_names() -> set[str]:
    worker_health = WorkerHealth(
        links_up=2, link_shared=False, rejection_code="", polled_at=NOON, store=StoreHealth()
    )
    text = Metrics(alerts=(), version="1").exposition(worker_health, NOON).decode()
    return {
        f"{family.name}{suffix}"
        for family in text_string_to_metric_families(text)
        for suffix in ("", *SUFFIXES.get(family.type, ()))
    }


def test_the_dashboard_asks_only_for_metrics_that_there_are() -> None:
    asked = {name for panel in PANELS for each in panel["targets"] for name in names_in(each["expr"])}

    assert asked
    assert asked <= metric_names()


def test_the_alerting_rules_ask_only_for_metrics_that_there_are() -> None:
    asked = names_in((CONFIG / "prometheus-alerts.yml").read_text(encoding="utf-8"))

    assert asked
    assert asked <= metric_names()


def test_every_panel_is_told_apart_says_what_it_shows_and_asks_the_chosen_data_source() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    for panel in PANELS:
        sources = [panel["datasource"], *(each["datasource"] for each in panel["targets"])]
        assert panel["title"]
        assert {source["uid"] for source in sources} == {"${datasource}"}
        assert len({each["refId"] for each in panel["targets"]}) == len(panel["targets"])


def test_no_panel_lies_over_another_or_beyond_the_edge() -> None:
    places = [panel["gridPos"] for panel in PANELS]

    assert all(place["x"] >= 0 and place["x"] + place["w"] <= 24 for place in places)
    assert [pair for pair in combinations(places, 2) if overlap(*pair)] == []


def test_no_variable_is_used_that_is_not_defined() -> None:
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(PANELS)))

    assert used == {"datasource", "__rate_interval"}


def names_in(text: str) -> set[str]:
    return set(re.findall(r"\btriage_\w+", text))


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    apart = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
    return not (apart or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"])
