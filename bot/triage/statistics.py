"""Statistics that show which alerts are false alarms: the answers, and how long people took. Pure.

Only questions that were asked count, each once, by the outcome that stands.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from bot.triage.outcomes import ENDINGS, OUTCOMES, Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class AlertStatistics:
    """The questions about the alerts of one label."""

    alert: str
    asked: int
    endings: Mapping[str, int]  #: how many had each ending, by the keys of `outcomes.ENDINGS`
    open: int  #: how many may still be answered in time
    median: timedelta | None  #: from the question to the first answer; None if there is none
    p90: timedelta | None  #: the 90th percentile of the same


class Tally:
    """Sums up questions one by one. It keeps one duration per answered question in memory."""

    def __init__(self) -> None:
        self._endings: defaultdict[str, Counter[Outcome | None]] = defaultdict(Counter)
        self._answer_times: defaultdict[str, list[timedelta]] = defaultdict(list)

    def add(self, alert: str, *, standing: Outcome | None, answer_time: timedelta | None) -> None:
        """Add a question that was asked; `answer_time` is the time to the first answer, None without one."""
        self._endings[alert][standing] += 1
        if answer_time is not None:
            self._answer_times[alert].append(answer_time)

    def result(self) -> Sequence[AlertStatistics]:
        """Return the statistics of each alert, the most asked first."""
        summed = [self._sum_up(alert, endings) for alert, endings in self._endings.items()]
        return sorted(summed, key=lambda each: (-each.asked, each.alert))

    def _sum_up(self, alert: str, endings: Counter[Outcome | None]) -> AlertStatistics:
        counts = {ending.key: 0 for ending in ENDINGS}
        for outcome, facts in OUTCOMES.items():
            counts[facts.ending.key] += endings[outcome]
        answer_times = sorted(self._answer_times[alert])
        return AlertStatistics(
            alert=alert,
            asked=endings.total(),
            endings=counts,
            open=endings[None],
            median=percentile(answer_times, 50),
            p90=percentile(answer_times, 90),
        )


def percentile(ordered: Sequence[timedelta], percent: int) -> timedelta | None:
    """Return the nearest-rank percentile; None if empty.

    `ordered` is ascending, `percent` 1 to 100. The rank is computed with integers, so it is exact.
    """
    rank = -(-percent * len(ordered) // 100)
    return ordered[rank - 1] if ordered else None
