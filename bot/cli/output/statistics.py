"""The table that `triage-bot stats` prints, rendered from views alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bot.cli.output.tables import align_table, count_table
from bot.printable import make_printable
from bot.triage.outcomes import ENDINGS, Ending
from bot.worker.views import View

#: Headings of the numbers, which are right-aligned; a share has up to four characters.
_NUMBERS = ("ASKED", "OPEN", *(f"{ending.heading:>4}" for ending in ENDINGS), " MEDIAN", "   90 %")

#: Width of a bar, in columns.
_BAR = 30


def render_statistics(views: Sequence[View], *, width: int | None = None) -> str:
    """Return a table of alerts with a bar for each, in the order given, and a legend; `None.` if empty.

    Where `width` columns have no room for the bars there are none, and labels are cut.
    """
    legend = "  ".join(f"{ending.mark} {ending.label}" for ending in ENDINGS)
    if not views:
        return "None."
    rows = [("ALERT", *_NUMBERS, ""), *map(_row, views)]
    if width is None or count_table(rows) <= width:
        return f"{align_table(rows)}\n\n{legend}"
    return align_table([row[:-1] for row in rows], width=width, least=[9, *map(len, _NUMBERS)])


def readable_seconds(seconds: float | None) -> str:
    """Return a duration, in seconds, in its two largest units, as `1h 05m`; `-` if it is None."""
    if seconds is None:
        return "-"
    whole = round(seconds)
    for large, small, length, part in (("d", "h", 86400, 3600), ("h", "m", 3600, 60), ("m", "s", 60, 1)):
        if whole >= length:
            return f"{whole // length}{large} {whole % length // part:02}{small}"
    return f"{whole}s"


def share_of(view: View, ending: Ending) -> float:
    """Return the share of an alert's questions that ended so, 0 to 1. An older worker may not count it: 0."""
    return view["shares"].get(ending.key) or 0.0


def _row(view: View) -> tuple[str, ...]:
    numbers = (
        str(view["asked"]),
        str(view["open"] or "-"),
        *(_percent(view["shares"].get(ending.key)) for ending in ENDINGS),
        readable_seconds(view["medianSeconds"]),
        readable_seconds(view["p90Seconds"]),
    )
    ends = (number.rjust(len(heading)) for number, heading in zip(numbers, _NUMBERS, strict=True))
    return make_printable(str(view["alert"])), *ends, "".join(_bar(view))


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


def _bar(view: View) -> Iterator[str]:
    """Yield the segments. Each ends at the rounded sum of the shares so far: rounding never adds up."""
    drawn, reached = 0, 0.0
    for ending in ENDINGS:
        reached += share_of(view, ending)
        end = round(reached * _BAR)
        yield ending.mark * (end - drawn)
        drawn = end
