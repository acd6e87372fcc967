"""Reads the store when a run is over, and has the program's own `verify` judge what it exports."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import timedelta
from typing import Any

from bot.aws.access import Access
from bot.cli.verification import export_bytes, verify_export
from bot.clock import Clock
from bot.store import open_store
from bot.worker.export_lines import alert_lines, first_line

_KEEP = timedelta(days=90)


async def verify_store(
    url: str, access: Access, clock: Clock, identifiers: Iterable[str], *, hashes: Collection[str] | None
) -> list[str]:
    """Return what is wrong with the trails of these alerts.

    `hashes` are those of the reports that MozDef got; None: the store has lost something, and may have gaps.
    """
    store: Any = await open_store(
        url, read_only=True, region="us-west-2", keep=_KEEP, access=access, clock=clock
    )
    try:
        lines = [first_line(clock() - _KEEP, clock())]
        for identifier in identifiers:
            trail = await store.trail_of(identifier)
            lines += alert_lines(trail) if trail else ()
    finally:
        await store.close()
    verdict = verify_export(export_bytes(lines), hashes)
    return [*verdict.faults, *(verdict.gaps if hashes is not None else ())]
