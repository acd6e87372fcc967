"""Compares this machine's clock with the time that a server names in its answer. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from bot.cli.checks.findings import Finding, Verdict

#: AWS rejects a signature whose time is off by this much or more.
REFUSED_FROM = timedelta(minutes=5)

#: From here on, reminders and deadlines are visibly late or early. A `Date` has whole seconds.
WARNED_FROM = timedelta(seconds=30)


def check_clock(whose: str, date: str, now: datetime) -> Finding | None:
    """Compare `now`, aware, with the `Date` of an HTTP answer from `whose`; None if that is no date.

    A difference of 30 s is a warning, one of 5 min a failure.
    """
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
    remedy = "enable NTP: timedatectl set-ntp true; to see whether it works: timedatectl timesync-status"
    return (Verdict.WARNING if skew < REFUSED_FROM else Verdict.FAILED), remedy
