"""Conversion between Slack's `ts` (seconds since 1970 with six decimals) and whole microseconds. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def moment_of(at: datetime) -> int:
    """Return an aware datetime as microseconds since 1970."""
    return (at - _EPOCH) // _MICROSECOND


def microseconds(ts: str) -> int:
    """Convert a ts (`1732417200.000100`, seconds since 1970) to microseconds; `ValueError` if invalid."""
    seconds, _, fraction = ts.partition(".")
    return int(seconds) * 1_000_000 + int(f"{fraction:0<6}"[:6])


def timestamp(moment: int) -> str:
    """Convert microseconds since 1970 to a ts."""
    return f"{moment // 1_000_000}.{moment % 1_000_000:06d}"
