"""What is measured, in the order of the table; what was measured; and the bounds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import median
from typing import Final, NamedTuple


class Measure(NamedTuple):
    """One line of the table. `part` is what it is measured with."""

    name: str
    part: str
    words: str
    unit: str
    digits: int = 1
    more_is_better: bool = False


MEASURES: Final = (
    Measure("cycle_http", "cycle", "CPU a cycle, HTTP", "ms", digits=2),
    Measure("cycle_tls", "cycle", "CPU a cycle, TLS", "ms", digits=2),
    Measure("cycle_alone", "cycle", "CPU a cycle, TLS, one at a time", "ms", digits=2),
    Measure("cycle_answered", "cycle", "CPU a cycle, TLS, answered one by one", "ms", digits=2),
    Measure("asked_0", "asked", "asked, Slack at 0 ms", "/s", digits=0, more_is_better=True),
    Measure("asked_100", "asked", "asked, Slack at 100 ms", "/s", digits=0, more_is_better=True),
    Measure("asked_cpu", "asked", "CPU a question in a flood", "ms", digits=2),
    Measure("click_idle_p50", "clicks", "click acknowledged, idle, p50", "ms"),
    Measure("click_idle_p99", "clicks", "click acknowledged, idle, p99", "ms"),
    Measure("click_flood_p50", "clicks", "click acknowledged in a flood, p50", "ms"),
    Measure("click_flood_p99", "clicks", "click acknowledged in a flood, p99", "ms"),
    Measure("ready", "start", "start to ready", "s", digits=2),
    Measure("ready_cpu", "start", "start to ready, CPU", "s", digits=2),
    Measure("memory_ready", "start", "memory when ready (RSS)", "MiB"),
    Measure("memory_ready_pss", "start", "memory when ready (PSS)", "MiB"),
    Measure("memory_half", "memory", "memory after half the cycles (RSS)", "MiB"),
    Measure("memory_end", "memory", "memory after all the cycles (RSS)", "MiB"),
    Measure("memory_end_pss", "memory", "memory after all the cycles (PSS)", "MiB"),
    Measure("idle_cpu", "idle", "idle, CPU a minute", "ms"),
    Measure("idle_calls", "idle", "idle, SQS requests an hour, busiest queue", ""),
)

PARTS: Final = tuple(dict.fromkeys(measure.part for measure in MEASURES))


class Figures:
    """Samples by contestant and measure; figures that were not measured are None."""

    def __init__(self) -> None:
        self.samples: dict[str, dict[str, list[float]]] = {}

    def add(self, whose: str, measured: Mapping[str, float]) -> None:
        for measure, figure in measured.items():
            self.samples.setdefault(whose, {}).setdefault(measure, []).append(figure)

    def median(self, whose: str, measure: str) -> float | None:
        samples = self.samples.get(whose, {}).get(measure)
        return median(samples) if samples else None

    def ratio(self, measure: str, whose: str, of_whose: str) -> float | None:
        above, below = self.median(whose, measure), self.median(of_whose, measure)
        return above / below if above is not None and below else None


class PromiseResult(NamedTuple):
    """One promise, the figure that was measured, and whether it keeps to the bound."""

    promise: str
    bound: float
    figure: float
    at_least: bool = False

    @property
    def kept(self) -> bool:
        return self.figure >= self.bound if self.at_least else self.figure <= self.bound


#: Promise, bound, measure, whose, of whose (None: the figure itself), whether more is better.
_PROMISES: Final = (
    ("CPU a cycle over TLS: times the floor's", 1.5, ("cycle_tls", "ours", "floor"), False),
    ("CPU a cycle, answered one by one: times the floor's", 2.0, ("cycle_answered", "ours", "floor"), False),
    ("CPU a cycle over TLS: the plain app's, times ours", 20.0, ("cycle_tls", "plain", "ours"), True),
    ("asked with Slack at 100 ms: times the plain app's", 80.0, ("asked_100", "ours", "plain"), True),
    ("click acknowledged, idle, p99, ms", 10.0, ("click_idle_p99", "ours", None), False),
    ("click acknowledged in a flood, p99, ms", 25.0, ("click_flood_p99", "ours", None), False),
    ("start to ready, s", 1.0, ("ready", "ours", None), False),
    ("memory after all the cycles: times the floor's", 1.15, ("memory_end", "ours", "floor"), False),
    ("idle, CPU a minute, ms", 50.0, ("idle_cpu", "ours", None), False),
    ("idle, SQS requests an hour and queue", 180.0, ("idle_calls", "ours", None), False),
)

#: Memory is called flat if its second half of the cycles adds no more than this.
_FLAT: Final = 1.03


def judge(figures: Figures) -> Iterator[PromiseResult]:
    """Yield a verdict for each promise whose figures were measured."""
    for promise, bound, (measure, whose, of_whose), at_least in _PROMISES:
        figure = figures.ratio(measure, whose, of_whose) if of_whose else figures.median(whose, measure)
        if figure is not None:
            yield PromiseResult(promise, bound, figure, at_least)
    half, end = figures.median("ours", "memory_half"), figures.median("ours", "memory_end")
    if half is not None and end is not None:
        yield PromiseResult(
            "memory is flat: after all the cycles, times after half of them", _FLAT, end / half
        )
