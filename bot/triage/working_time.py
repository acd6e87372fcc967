"""Working time: counts time only in a person's working hours, in their own time zone. Pure.

A working day opens when local time first reaches or passes its opening time, and closes likewise. What counts
is elapsed time: an hour that is skipped in spring does not count, and one repeated in autumn counts twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

_WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

#: As a closing time, the end of the day.
_MIDNIGHT = time(0)

#: How many days are searched: the longest wait, and a bound on the work for odd schedules.
_FARTHEST_DAYS = 3653

_ONE_DAY = timedelta(days=1)
_ONE_SECOND = timedelta(seconds=1)

_DAY = "|".join(_WEEK)
_TIME = "(?:[01]?[0-9]|2[0-3]):[0-5][0-9]"
_SCHEDULE = re.compile(
    rf"(?P<days>(?:{_DAY})(?:-(?:{_DAY}))?(?:,(?:{_DAY})(?:-(?:{_DAY}))?)*)"
    rf"(?P<opens>{_TIME})-(?P<closes>{_TIME}|24:00)"
)
_EXAMPLE = "Mon-Fri 09:00-18:00 or Mon,Wed,Fri 8:30-24:00"


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkingHours:
    """When people work, in local time. Raises `ValueError` without a day, or unless `closes` is later."""

    days: frozenset[int]  #: Monday is 0; at least one
    opens: time
    closes: time  #: 00:00 is the end of the day

    def __post_init__(self) -> None:
        if not self.days or not self.days <= frozenset(range(7)):
            raise ValueError("working hours need at least one day, 0 to 6")
        if self.closes != _MIDNIGHT and self.closes <= self.opens:
            raise ValueError("working hours must close after they open")


def parse_working_hours(text: str) -> WorkingHours:
    """Parse a schedule such as `Mon-Fri 09:00-18:00`; days may wrap (`Fri-Mon`), 24:00 ends the day.

    Raises `ValueError` with a sentence that continues after the variable's name, and that shows `text`.
    """
    found = _SCHEDULE.fullmatch(text.replace(" ", "").lower())
    if not found:
        raise ValueError(f"is {text!r}; expected days and hours such as {_EXAMPLE}")
    opens, closes = _read_minutes(found["opens"]), _read_minutes(found["closes"])
    if closes <= opens:
        raise ValueError(f"is {text!r}; expected hours that close later in the day than they open")
    return WorkingHours(days=_read_days(found["days"]), opens=_make_time(opens), closes=_make_time(closes))


def after_working_time(
    start: datetime, duration: timedelta, hours: WorkingHours | None, zone: tzinfo
) -> datetime:
    """Return when `duration` of working time has passed since `start`; both times are in UTC.

    Without `hours`, all time counts. With them, the result is at most ten years after `start`.
    """
    if hours is None or duration <= timedelta(0):
        return start + duration
    remaining = duration
    for opening, closing in _sessions(start, hours, zone):
        if remaining <= closing - opening:
            return opening + remaining
        remaining -= closing - opening
    return start + timedelta(days=_FARTHEST_DAYS)


def next_working_moment(start: datetime, hours: WorkingHours | None, zone: tzinfo) -> datetime:
    """Return `start` if it is within `hours`, else the next opening; both times are in UTC."""
    return start if hours is None else next(_sessions(start, hours, zone))[0]


def find_time_zone(name: str) -> ZoneInfo | None:
    """Return the time zone with this name in the tz database; None if there is none. Raises nothing."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError, ImportError):
        # There is none, the path leaves the database, the file is no time zone, it is a folder, or too long.
        return None


def _sessions(start: datetime, hours: WorkingHours, zone: tzinfo) -> Iterator[tuple[datetime, datetime]]:
    """Yield opening and closing, in UTC, of each working day; the first opening is never before `start`."""
    today = start.astimezone(zone).date()
    for day in (today + number * _ONE_DAY for number in range(_FARTHEST_DAYS)):
        if day.weekday() not in hours.days:
            continue
        closing_day = day + _ONE_DAY if hours.closes == _MIDNIGHT else day
        opening = max(start, _find_first_shown(day, hours.opens, zone))
        closing = _find_first_shown(closing_day, hours.closes, zone)
        if opening < closing:
            yield opening, closing


def _find_first_shown(day: date, clock: time, zone: tzinfo) -> datetime:
    """Return when local time in `zone` first reaches this time on this day, in UTC."""
    local = datetime.combine(day, clock, tzinfo=zone)
    first, second = local.astimezone(UTC), local.replace(fold=1).astimezone(UTC)
    # A skipped local time is converted the wrong way round: with fold=1 it comes out before the change.
    return first if first <= second else _find_leap(second, first, local)


def _find_leap(early: datetime, late: datetime, skipped: datetime) -> datetime:
    """Return when the clocks skip `skipped`, after `early` and at `late` at the latest, to the second."""
    wanted = skipped.replace(tzinfo=None)
    while late - early > _ONE_SECOND:
        middle = early + (late - early) // 2 // _ONE_SECOND * _ONE_SECOND
        if middle.astimezone(skipped.tzinfo).replace(tzinfo=None) < wanted:
            early = middle
        else:
            late = middle
    return late


def _read_days(text: str) -> frozenset[int]:
    """Parse `mon-fri`, `fri-mon` or `mon,wed-fri` to weekdays; Monday is 0."""
    days: set[int] = set()
    for part in text.split(","):
        names = part.split("-")
        first, last = _WEEK.index(names[0]), _WEEK.index(names[-1])
        days |= {(first + number) % 7 for number in range((last - first) % 7 + 1)}
    return frozenset(days)


def _read_minutes(text: str) -> int:
    hour, minute = text.split(":")
    return int(hour) * 60 + int(minute)


def _make_time(minutes: int) -> time:
    return time(minutes // 60 % 24, minutes % 60)
