"""What `check` makes of the time that the other side names in its answer. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from bot.cli.checks.findings import Finding, Verdict

#: AWS refuses signatures that are older or younger.
REFUSED_FROM = timedelta(minutes=5)

#: From here on a reminder or a deadline is visibly late or early. The other side names whole seconds.
WARNED_FROM = timedelta(seconds=30)


def clock_finding(whose: str, date: str, now: datetime) -> Finding | None:
    """Compare our time with an HTTP answer's `Date`; None if that says nothing."""
    try:
        theirs = parsedate_to_datetime(date)
    except ValueError:
        return None
    skew = now - theirs
    verdict, remedy = _judge(abs(skew))
    side = "ahead of" if skew > timedelta(0) else "behind"
    detail = f"{abs(skew).total_seconds():.0f} s {side} {whose}" if remedy else f"agrees with {whose}"
    return Finding(subject=f"clock and {whose}", verdict=verdict, detail=detail, remedy=remedy)


def _judge(skew: timedelta) -> tuple[Verdict, str]:
    if skew < WARNED_FROM:
        return Verdict.OK, ""
    remedy = "let this machine's clock be set: timedatectl set-ntp true, and timedatectl timesync-status"
    return (Verdict.WARNING if skew < REFUSED_FROM else Verdict.FAILED), remedy
