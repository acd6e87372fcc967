"""Reads the rows that only the file has: of a restore, of what was found in Slack, and of the statistics."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from bot.store.records.damage import reading
from bot.store.records.found import found_from
from bot.store.records.rows import moment
from bot.store.records.rows import restore_of as window_of
from bot.triage.model import FoundQuestion, Restore
from bot.triage.outcomes import Outcome


@reading
def restore_of(row: Mapping[str, Any]) -> Restore:
    """Return the window of the row `restore`. `DamagedRow`."""
    return window_of(row["since"], row["until"])


@reading
def conversation_of(row: Mapping[str, Any]) -> datetime | None:
    """Return when a conversation was read. `DamagedRow`."""
    return moment(row["read_at"])


@reading
def found_of(row: Mapping[str, Any]) -> FoundQuestion:
    """Return a question that was found in Slack. `DamagedRow`."""
    return found_from(row["facts"])


@reading
def answer_of(row: Any) -> tuple[str, Outcome | None, timedelta | None]:
    """Return label, outcome and time to the answer of a row of `ASKED`. `DamagedRow`."""
    alert, standing, taken = row
    answer_time = None if taken is None else timedelta(microseconds=taken)
    return alert, Outcome(standing) if standing else None, answer_time
