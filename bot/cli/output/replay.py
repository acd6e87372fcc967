"""The text of `replay`, rendered from views alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bot.cli.output.tables import WHOLE, align_table, pluralize
from bot.printable import make_printable
from bot.worker.views import View

#: Column → how much of it must fit.
_COLUMNS = {"IDENTIFIER": WHOLE, "NO.": 3, "OUTCOME": 9, "REPORTED AS": 9, "SO FAR": 21}


def split_replay(views: Sequence[View]) -> tuple[list[View], list[View]]:
    """Return the reports that are replayed, and those that are left out."""
    left_out = [view for view in views if view.get("isLeftOut")]
    return [view for view in views if not view.get("isLeftOut")], left_out


def render_replay(views: Sequence[View], *, width: int | None = None) -> str:
    """Return how many reports go out again, a line for each, and how many do not; to fit `width` columns."""
    again, left_out = split_replay(views)
    lines = [*_describe_reports(again, width)] if again else ["There are no reports to send again."]
    if left_out:
        verb = "is" if len(left_out) == 1 else "are"
        notes = f"{pluralize(len(left_out), 'note')} that {'was' if verb == 'is' else 'were'} sent already"
        lines.append(f"{notes} {verb} left out; --notes sends {'it' if verb == 'is' else 'them'}, too.")
    return "\n".join(lines)


def _describe_reports(views: Sequence[View], width: int | None) -> list[str]:
    alerts = {view["identifier"] for view in views}
    table = align_table([tuple(_COLUMNS), *map(_row, views)], width=width, least=[*_COLUMNS.values()])
    lines = [f"{pluralize(len(views), 'report')} of {pluralize(len(alerts), 'alert')}, in this order:", table]
    parked = sum(view["parkedAt"] is not None for view in views)
    waiting = sum(view["sentAt"] is None for view in views) - parked
    counts = [f"{waiting:,} waiting"] * bool(waiting) + [f"{parked:,} rejected by the queue"] * bool(parked)
    return [*lines, f"Among them: {', '.join(counts)}."] if counts else lines


def _row(view: View) -> tuple[str, ...]:
    cells = (view["identifier"], view["sequence"], view["outcome"], view["response"] or "a note")
    return *(make_printable(str(cell)) for cell in cells), _describe_delivery(view)


def _describe_delivery(view: View) -> str:
    if view["parkedAt"]:
        return f"rejected {_minute(view['parkedAt'])}"
    return f"sent {_minute(view['sentAt'])}" if view["sentAt"] else "waiting"


def _minute(text: str) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M}"
