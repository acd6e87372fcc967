"""What `triage-bot migrate` prints: counts and checksums of both stores."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from bot.cli.output.tables import align_table
from bot.store.migration.inventory import Comparison, Count
from bot.store.migration.migrate import MigrationResult
from bot.worker.views import View, render_json

_HEADINGS = ("KIND", "FILE", "TABLE", "CHECKSUM OF FILE", "CHECKSUM OF TABLE", "")

#: How many hex digits of a checksum are shown.
_SHOWN_DIGITS = 16


def render_result(result: MigrationResult, options: argparse.Namespace) -> str:
    """Return the comparison, one line per kind of row, with the next step if all are equal; or JSON."""
    if options.json:
        return render_json([_view(each) for each in result.comparisons])
    table = align_table([_HEADINGS, *(_row(each) for each in result.comparisons)])
    if result.differs is not None:
        return table
    following = f"Set STORE_URL={options.target}, and never start a worker on the file again."
    return f"{table}\nEverything matches. {following}"


def _view(comparison: Comparison) -> View:
    return {"kind": comparison.kind, "equal": comparison.is_equal} | {
        name: {"rows": count.rows, "checksum": count.checksum}
        for name, count in (("file", comparison.source), ("table", comparison.target))
    }


def _row(comparison: Comparison) -> Sequence[str]:
    source, target = comparison.source, comparison.target
    result = "equal" if comparison.is_equal else "DIFFERENT"
    counts = (f"{source.rows:,}", f"{target.rows:,}")
    return (comparison.kind, *counts, _checksum(source), _checksum(target), result)


def _checksum(count: Count) -> str:
    return count.checksum[:_SHOWN_DIGITS] if count.rows else "-"
