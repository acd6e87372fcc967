"""Compares this machine's clock with the time that a server names in its answer. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from bot.cli.checks.findings import Finding

#: AWS rejects a signature whose time is off by this much or more.
REFUSED_FROM = timedelta(minutes=5)

#: From here on, reminders and deadlines are visibly late or early. A `Date` has whole seconds.
WARNED_FROM = timedelta(seconds=30)

_REMEDY = "enable NTP: timedatectl set-ntp true; to see whether it works: timedatectl timesync-status"


def check_clock(server: str, date: str, now: datetime) -> list[Finding]:
    """Compare `now`, aware, with the `Date` of an HTTP answer from `server`; return nothing if it is no date.

    A difference of 30 s is a warning, one of 5 min a failure.
    """
    try:
        skew = now - parsedate_to_datetime(date)
    except ValueError:
        return []
    subject = f"clock and {server}"
    if abs(skew) < WARNED_FROM:
        return [Finding.ok(subject, f"agrees with {server}")]
    side = "ahead of" if skew > timedelta(0) else "behind"
    judge = Finding.warning if abs(skew) < REFUSED_FROM else Finding.failed
    return [judge(subject, f"{abs(skew).total_seconds():.0f} s {side} {server}", _REMEDY)]
