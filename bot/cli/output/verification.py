"""The text of `verify`. Identifiers in it are untrusted, and cannot control the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from bot.cli.output.tables import pluralize
from bot.cli.verification import Verification
from bot.printable import make_printable

#: Why a gap is no fault.
_WHY_GAP = "the store was restored, or a release that keeps no trail has worked on the alert"


def render_verification(result: Verification) -> str:
    """Return one line for each fault and gap of an export, and one with what it contains."""
    return "\n".join(map(make_printable, _lines_of(result)))


def _lines_of(result: Verification) -> Iterator[str]:
    yield from result.faults
    yield from (f"{gap}: {_WHY_GAP}" for gap in result.gaps)
    numbers = {"alert": result.alerts, "event": result.events, "report": result.reports}
    counts = ", ".join(pluralize(number, noun) for noun, number in numbers.items())
    faults = pluralize(len(result.faults), "fault")
    yield f"{counts}: {faults if result.faults else 'nothing is missing or changed'}."
