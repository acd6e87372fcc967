"""What `triage-bot stats` tells: JSON-able objects, and the table for people that is made of them alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.printable import printable
from bot.rendering import aligned_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import timedelta

    from bot.triage.statistics import AlertStatistics
    from bot.views import View

#: Each ending of a question: its key in a view, its words, and its mark in a bar.
ENDINGS = (
    ("yes", "yes", "█"),
    ("no", "no", "▓"),
    ("wrongUser", "wrong person", "▒"),
    ("notSure", "not sure", "░"),
    ("unanswered", "no answer", "·"),
)

#: Headings of the numbers, which stand below their ends.
_NUMBERS = ("ASKED", "OPEN", " YES", "  NO", "WRONG", "UNSURE", "NONE", " MEDIAN", "   90 %")

#: Columns of a bar.
_BAR = 30


def statistics_view(statistics: AlertStatistics) -> View:
    """Return the statistics of one alert. Shares are of the questions that have ended; times in seconds."""
    counts = {
        "yes": statistics.yes,
        "no": statistics.no,
        "wrongUser": statistics.wrong_user,
        "notSure": statistics.not_sure,
        "unanswered": statistics.unanswered,
    }
    ended = sum(counts.values())
    return {
        "alert": statistics.alert,
        "asked": statistics.asked,
        "open": statistics.open,
        **counts,
        "shares": {name: round(count / ended, 4) if ended else None for name, count in counts.items()},
        "medianSeconds": _seconds(statistics.median),
        "p90Seconds": _seconds(statistics.p90),
    }


def render_statistics(views: Sequence[View]) -> str:
    """Return a table of alerts with a bar for each, in the order given, and what its marks mean."""
    legend = "  ".join(f"{mark} {words}" for _, words, mark in ENDINGS)
    if not views:
        return "None."
    table = aligned_table([("ALERT", *_NUMBERS, ""), *map(_row, views)])
    return f"{table}\n\n{legend}"


def readable_seconds(seconds: float | None) -> str:
    """Return a time in its two largest units, as `1h 05m`; `-` for none."""
    if seconds is None:
        return "-"
    whole = round(seconds)
    for large, small, length, part in (("d", "h", 86400, 3600), ("h", "m", 3600, 60), ("m", "s", 60, 1)):
        if whole >= length:
            return f"{whole // length}{large} {whole % length // part:02}{small}"
    return f"{whole}s"


def _row(view: View) -> tuple[str, ...]:
    numbers = (
        str(view["asked"]),
        str(view["open"] or "-"),
        *(_percent(view["shares"][name]) for name, _, _ in ENDINGS),
        readable_seconds(view["medianSeconds"]),
        readable_seconds(view["p90Seconds"]),
    )
    ends = (number.rjust(len(heading)) for number, heading in zip(numbers, _NUMBERS, strict=True))
    return printable(str(view["alert"])), *ends, "".join(_bar(view))


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


def _bar(view: View) -> Iterator[str]:
    """Yield the bar's parts. Each ends where the sum of the shares so far does: rounding never adds up."""
    drawn, reached = 0, 0.0
    for name, _, mark in ENDINGS:
        reached += view["shares"][name] or 0.0
        end = round(reached * _BAR)
        yield mark * (end - drawn)
        drawn = end


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else round(duration.total_seconds(), 3)
