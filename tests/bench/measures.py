"""What is measured, in the order of the table, and what is to be kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .figures import Figures


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One line of the table. `part` is what it is measured with."""

    name: str
    part: str
    words: str
    unit: str
    digits: int = 1
    more_is_better: bool = False


MEASURES: Final = (
    Measure(name="cycle_http", part="cycle", words="CPU a cycle, HTTP", unit="ms", digits=2),
    Measure(name="cycle_tls", part="cycle", words="CPU a cycle, TLS", unit="ms", digits=2),
    Measure(name="cycle_alone", part="cycle", words="CPU a cycle, TLS, one at a time", unit="ms", digits=2),
    Measure(
        name="asked_0", part="asked", words="asked, Slack at 0 ms", unit="/s", digits=0, more_is_better=True
    ),
    Measure(
        name="asked_100",
        part="asked",
        words="asked, Slack at 100 ms",
        unit="/s",
        digits=0,
        more_is_better=True,
    ),
    Measure(name="asked_cpu", part="asked", words="CPU a question in a flood", unit="ms", digits=2),
    Measure(name="click_idle_p50", part="clicks", words="click acknowledged, idle, p50", unit="ms"),
    Measure(name="click_idle_p99", part="clicks", words="click acknowledged, idle, p99", unit="ms"),
    Measure(name="click_flood_p50", part="clicks", words="click acknowledged in a flood, p50", unit="ms"),
    Measure(name="click_flood_p99", part="clicks", words="click acknowledged in a flood, p99", unit="ms"),
    Measure(name="ready", part="start", words="start to ready", unit="s", digits=2),
    Measure(name="ready_cpu", part="start", words="start to ready, CPU", unit="s", digits=2),
    Measure(name="memory_ready", part="start", words="memory when ready (RSS)", unit="MiB"),
    Measure(name="memory_ready_pss", part="start", words="memory when ready (PSS)", unit="MiB"),
    Measure(name="memory_half", part="memory", words="memory after half the cycles (RSS)", unit="MiB"),
    Measure(name="memory_end", part="memory", words="memory after all the cycles (RSS)", unit="MiB"),
    Measure(name="memory_end_pss", part="memory", words="memory after all the cycles (PSS)", unit="MiB"),
    Measure(name="idle_cpu", part="idle", words="idle, CPU a minute", unit="ms"),
    Measure(name="idle_calls", part="idle", words="idle, SQS requests an hour, busiest queue", unit=""),
)

PARTS: Final = tuple(dict.fromkeys(measure.part for measure in MEASURES))


@dataclass(frozen=True, kw_only=True)
class PromiseResult:
    """One promise, the figure that was measured, and whether it keeps to the bound."""

    promise: str
    bound: float
    figure: float
    at_least: bool = False

    @property
    def kept(self) -> bool:
        """Whether the promise is kept."""
        return self.figure >= self.bound if self.at_least else self.figure <= self.bound


#: Promise, bound, measure, whose, of whose (None: the figure itself), whether more is better.
_PROMISES: Final = (
    ("CPU a cycle over TLS: times the floor's", 1.5, ("cycle_tls", "ours", "floor"), False),
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


def judge(figures: Figures) -> Sequence[PromiseResult]:
    """Return a verdict for each promise whose figures were measured."""
    verdicts = []
    for promise, bound, (measure, whose, of_whose), at_least in _PROMISES:
        figure = figures.ratio(measure, whose, of_whose) if of_whose else figures.median(whose, measure)
        if figure is not None:
            verdicts.append(PromiseResult(promise=promise, bound=bound, figure=figure, at_least=at_least))
    return [*verdicts, *_flatness(figures)]


def _flatness(figures: Figures) -> Sequence[PromiseResult]:
    half, end = figures.median("ours", "memory_half"), figures.median("ours", "memory_end")
    if half is None or end is None:
        return []
    promise = "memory is flat: after all the cycles, times after half of them"
    return [PromiseResult(promise=promise, bound=_FLAT, figure=end / half)]
