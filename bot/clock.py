"""The time by which everything is decided and stored: that of Slack and AWS, not the machine's.

Each answer of theirs has a `Date`, which bounds what has to be added to CLOCK_BOOTTIME: CLOCK_BOOTTIME counts
while the machine is suspended, and nobody sets it. So a step of the machine's clock changes nothing here.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from functools import lru_cache, partial
from typing import Final, NamedTuple

#: An answer that took longer, such as that to a long poll, says too little. In seconds, as all below.
WIDTH_MAX: Final = 5.0

#: A `Date` has whole seconds.
_DATE_STEP: Final = 1.0

#: A `Date` outside these years is not believed; in seconds since 1970.
_EARLIEST: Final = datetime(2020, 1, 1, tzinfo=UTC).timestamp()
_LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC).timestamp()

#: How long an answer is believed: until then CLOCK_BOOTTIME has drifted by less than two seconds.
_KEEP: Final = 3600.0

#: Of the answers within this time, the best one is kept.
_SLOT: Final = 60.0

#: After this many answers in a row that contradict those before, they are believed: CLOCK_BOOTTIME stops
#: while a virtual machine is paused. One such answer may come from one server whose clock is wrong.
_CONTRADICTIONS: Final = 3

#: How far two services, or a service and the machine, may differ.
APART_MAX: Final = 60.0

#: How long services may answer without a usable `Date` before the machine's clock counts.
PATIENCE: Final = 600.0

#: The `verify_code` of a certificate out of time: X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED.
_NOT_NOW: Final = frozenset({9, 10})

#: The most causes of an error that are looked at.
_CAUSES_MAX: Final = 10

#: The remedy for a machine's clock that is wrong.
REMEDY: Final = "enable NTP: timedatectl set-ntp true; to see whether it works: timedatectl timesync-status"


def utc_now() -> datetime:
    """Return what the machine's clock says, aware, in UTC. Decisions use `Clock` instead."""
    return datetime.now(UTC)


class Service(StrEnum):
    """Whose answers tell the time."""

    SLACK = "Slack"
    AWS = "AWS"


#: Only Linux has it; elsewhere, where the sandbox may be tried, nothing reveals a suspend.
_BOOTTIME: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_read_boottime: Final = partial(time.clock_gettime, _BOOTTIME)


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """The clocks of a machine, in seconds."""

    wall: Callable[[], float] = time.time  #: since 1970; it may be wrong, and be set
    monotonic: Callable[[], float] = time.monotonic
    boottime: Callable[[], float] = _read_boottime


class _Bound(NamedTuple):
    """The least that has to be added to CLOCK_BOOTTIME, and how much more it may be."""

    lower: float
    width: float

    def contradicts(self, other: _Bound) -> bool:
        return self.lower > other.lower + other.width or other.lower > self.lower + self.width


class _Bounds:
    """A service's bounds in the last hour: the narrowest one of each minute, as long as it may count."""

    def __init__(self) -> None:
        self._kept: deque[tuple[float, _Bound]] = deque()  #: the narrowest first, the latest last
        self._contradictions = 0

    def narrowest(self, now: float) -> _Bound | None:
        """Return the narrowest bound of the last hour; None if there is none."""
        while self._kept and self._kept[0][0] < now - _KEEP:
            self._kept.popleft()
        return self._kept[0][1] if self._kept else None

    def add(self, bound: _Bound, now: float) -> bool:
        """Take a bound; return whether it may count."""
        best = self.narrowest(now)
        self._contradictions = self._contradictions + 1 if best and bound.contradicts(best) else 0
        if self._contradictions >= _CONTRADICTIONS:
            self._kept.clear()
            self._contradictions = 0
        if self._contradictions:
            return False
        if self._kept and self._kept[-1][0] > now - _SLOT and self._kept[-1][1].width < bound.width:
            return False
        while self._kept and self._kept[-1][1].width >= bound.width:
            self._kept.pop()
        self._kept.append((now, bound))
        return True


class Clock:
    """Call it for the time; `monotonic` for a wait; `boottime` for a claim or lease of ours. Thread-safe.

    Until the first usable answer, the time is that of the machine's clock, and nothing final may be decided
    by it: see `is_known`.
    """

    def __init__(self, machine: Machine | None = None) -> None:
        self._machine = machine or Machine()
        self._bounds = {service: _Bounds() for service in Service}
        self._offset: float | None = None  #: the time minus CLOCK_BOOTTIME; None: no answer told it
        self._width = 0.0  #: of the bound that counts
        self._useless_since: float | None = None
        self._trusts_machine = False
        self._dispute = ""
        self._refusals: dict[str, str] = {}
        self._noting = threading.Lock()

    def __call__(self) -> datetime:
        """Return the time: aware, in UTC. It is never ahead of the services', and at most 5 s behind."""
        offset = self._offset
        seconds = self._machine.wall() if offset is None else self._machine.boottime() + offset
        return datetime.fromtimestamp(seconds, UTC)

    def monotonic(self) -> timedelta:
        """Return CLOCK_MONOTONIC: by it a wait lasts its span."""
        return timedelta(seconds=self._machine.monotonic())

    def boottime(self) -> timedelta:
        """Return CLOCK_BOOTTIME: a claim or lease of this process has ended when it, or the time, says so."""
        return timedelta(seconds=self._machine.boottime())

    @property
    def is_known(self) -> bool:
        """Whether anything final may be decided: a deadline, a removal, that a question is not in Slack."""
        return self._offset is not None or self._trusts_machine

    @property
    def lag(self) -> timedelta:
        """The most by which the time is behind the services': usually little more than a second.

        Add it to a span that must not be too short by their clocks, such as that to a deadline: at the end of
        the span a bound that lags less may count.
        """
        return timedelta(seconds=self._width)

    @property
    def ahead(self) -> timedelta | None:
        """How far the machine's clock is ahead of the services'; None if they have not told the time."""
        offset = self._offset
        if offset is None:
            return None
        return timedelta(seconds=self._machine.wall() - self._machine.boottime() - offset)

    @property
    def trouble(self) -> str:
        """What is wrong with the time and, after a `; `, the remedy; empty if nothing is."""
        with self._noting:
            if self._refusals:
                return f"{next(iter(self._refusals.values()))}; {REMEDY}"
            if self._dispute:
                return f"{self._dispute}; {REMEDY}"
            if self._trusts_machine:
                why = "no answer from Slack or AWS has a usable Date, so the machine's clock counts"
                return f"{why}; check the proxies on the way to them"
            if self._useless_since is not None and self._offset is None:
                why = "no answer from Slack or AWS had a usable Date yet, so nothing final is decided"
                return f"{why}; check the proxies on the way to them"
        return ""

    def note(self, service: Service, date: object, *, sent: timedelta) -> None:
        """Learn from an answer that is the service's own, which has just arrived: its `Date` header, if any.

        `sent` is `boottime` before the request was sent. Takes microseconds and raises nothing.
        """
        received = self._machine.boottime()
        width = _DATE_STEP + received - sent.total_seconds()
        told = _parse(date) if isinstance(date, str) and width <= WIDTH_MAX else None
        with self._noting:
            if told is None:
                self._note_useless()
            elif self._bounds[service].add(_Bound(told - received, width), received):
                self._judge(received)

    def note_refusal(self, place: str, why: str = "") -> None:
        """Record, as a sentence, that a signature or a certificate was refused for its time; "": none was.

        `place` names the service.
        """
        if not why and not self._refusals:
            return
        with self._noting:
            self._refusals.pop(place, None)
            if why:
                self._refusals[place] = why

    def _note_useless(self) -> None:
        if self._offset is not None or self._dispute:
            return
        now = self._machine.monotonic()
        if self._useless_since is None:
            self._useless_since = now
        self._trusts_machine = now - self._useless_since >= PATIENCE

    def _judge(self, now: float) -> None:
        found = {service: each.narrowest(now) for service, each in self._bounds.items()}
        bounds = {service: bound for service, bound in found.items() if bound}
        lowest, highest = (pick(bound.lower for bound in bounds.values()) for pick in (min, max))
        self._dispute = ""
        if highest - lowest > APART_MAX:
            ours = self._machine.wall() - now
            self._dispute = f"Slack and AWS are {highest - lowest:.0f} s apart"
            bounds = {name: bound for name, bound in bounds.items() if abs(bound.lower - ours) <= APART_MAX}
            self._dispute += f", and the machine's clock is {_describe(bounds)}"
        if bounds:
            self._offset, self._width = min(bounds.values(), key=lambda bound: bound.width)
            self._trusts_machine = False


def _describe(near: dict[Service, _Bound]) -> str:
    if near:
        return f"near that of {next(iter(near))}, which counts"
    return "near neither: the time continues as before"


def is_expired_certificate(error: BaseException | None) -> bool:
    """Whether a call failed because, by the machine's clock, a certificate is not yet or no longer valid."""
    seen = 0
    while error is not None and seen < _CAUSES_MAX:
        if getattr(error, "verify_code", None) in _NOT_NOW:
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False


@lru_cache(maxsize=4)
def _parse(date: str) -> float | None:
    """Return a `Date` in seconds since 1970; None if it cannot be one. Many answers have the same."""
    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return None
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return seconds if _EARLIEST <= seconds < _LATEST else None
