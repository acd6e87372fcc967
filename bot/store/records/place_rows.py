"""Converts a person's places to a row and back. The row keeps them in one column, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bot.store.records.damage import reading
from bot.store.records.rows import EPOCH, microseconds, moment
from bot.triage.places import Burst, Line, Place, Places

_TIMES = ("since", "card_due_at", "taken_at", "idle_since", "ended_at")
_WORDS = ("card_secret", "card_ts", "waiting", "taken_by", "taken_name")
_LISTS = ("first", "denied")
_COUNTS = ("called", "kinds")
_LINE_TIMES = ("claimed_at", "in_doubt_since", "due_at")

_write = json.JSONEncoder(separators=(",", ":")).encode


def places_row(places: Places) -> dict[str, Any]:
    """Return a person's places as the columns of their row; times in microseconds since 1970."""
    facts = {
        "slack_id": places.slack_id,
        "other_slack_id": places.other_slack_id,
        "slack_name": places.slack_name,
        "held": [[each.ref, each.identifier, each.label, int(each.is_extra)] for each in places.held],
        "burst": places.burst and _burst_facts(places.burst),
    }
    return {
        "person": places.person,
        "version": places.version,
        "due_at": microseconds(places.due_at),
        "touched_at": microseconds(places.touched_at),
        "facts": _write(facts),
    }


@reading
def places_of(row: Mapping[str, Any]) -> Places:
    """Return the places that a row holds. `DamagedRow`."""
    facts = json.loads(row["facts"])
    return Places(
        person=row["person"],
        slack_id=facts["slack_id"],
        other_slack_id=facts["other_slack_id"],
        slack_name=facts["slack_name"],
        version=row["version"],
        held=tuple(_place_from(*each) for each in facts["held"]),
        burst=facts["burst"] and _burst_from(facts["burst"]),
        due_at=moment(row["due_at"]),
        touched_at=moment(row["touched_at"]) or EPOCH,
    )


def _place_from(ref: str, identifier: str, label: str, extra: int) -> Place:
    return Place(ref=ref, identifier=identifier, label=label, is_extra=bool(extra))


def _burst_facts(burst: Burst) -> dict[str, Any]:
    line = burst.line
    return {
        **{name: getattr(burst, name) for name in _WORDS},
        **{name: microseconds(getattr(burst, name)) for name in _TIMES},
        **{name: list(getattr(burst, name)) for name in _LISTS},
        **{name: dict(getattr(burst, name)) for name in _COUNTS},
        "line": {
            "ref": line.ref,
            "attempts": line.attempts,
            "is_over": line.is_over,
            **{name: microseconds(getattr(line, name)) for name in _LINE_TIMES},
        },
    }


def _burst_from(facts: Mapping[str, Any]) -> Burst:
    line, since = facts["line"], moment(facts["since"])
    times: dict[str, datetime | None] = {name: moment(facts[name]) for name in _TIMES}
    line_times: dict[str, Any] = {name: moment(line[name]) for name in _LINE_TIMES}
    plain: dict[str, Any] = {name: facts[name] for name in (*_WORDS, *_COUNTS)}
    lists: dict[str, Any] = {name: tuple(facts[name]) for name in _LISTS}
    burst_times: dict[str, Any] = {**times, "since": since or EPOCH}
    words: dict[str, Any] = {name: line[name] for name in ("ref", "attempts", "is_over")}
    return Burst(line=Line(**words, **line_times), **plain, **lists, **burst_times)
