"""The text of `verify`. Identifiers in it are untrusted, and cannot control the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from bot.cli.output.tables import pluralize
from bot.cli.verification import Verdict
from bot.printable import make_printable


def render_verdict(verdict: Verdict) -> str:
    """Return what is wrong with an export, a line each, and what it holds."""
    return "\n".join(map(make_printable, _lines_of(verdict)))


def _lines_of(verdict: Verdict) -> Iterator[str]:
    yield from verdict.faults
    yield from (f"{gap}: a release that keeps no trail has worked on the alert" for gap in verdict.gaps)
    numbers = {"alert": verdict.alerts, "event": verdict.events, "report": verdict.reports}
    counts = ", ".join(pluralize(number, noun) for noun, number in numbers.items())
    faults = pluralize(len(verdict.faults), "fault")
    yield f"{counts}: {faults if verdict.faults else 'nothing is missing or changed'}."
