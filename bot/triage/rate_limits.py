"""How fast to ask: nobody faster than Slack takes it, nobody starved by a flood for somebody else.

There is no pace for the workspace as a whole: it would be a guess. Slack says when it is too fast, to each of
the workers that share a workspace, and each then puts fewer questions at a time.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from bot.errors import CannotGoOn
    from bot.triage.model import Question

log = logging.getLogger(__name__)

#: Slack takes about one message a second in a conversation …
INTERVAL = timedelta(seconds=1)
#: … and short bursts of more: https://docs.slack.dev/apis/web-api/rate-limits (2026-11).
BURST = 3

#: A moment in a person's pace is missed after this: what a pause held up must not all go at once.
MISSED_AFTER = BURST * INTERVAL

#: Messages under way at a time, at the most.
ABREAST_MAX = 128

#: How many more may be under way for each that Slack took. Half of them is given up whenever Slack asks to
#: wait, so that it comes to about as many at a time as Slack takes from one such refusal to the next.
GROWTH = 0.5

#: How often Slack is tried while it refuses the worker as a whole.
PROBE_INTERVAL = timedelta(seconds=30)

#: How often the log says so.
REMIND_INTERVAL = timedelta(hours=1)


class Pace:
    """Gives each person's questions their moments: a burst, then one a second."""

    def __init__(self) -> None:
        self._next: dict[str, datetime] = {}

    def reserve(self, user: str, now: datetime) -> datetime:
        """Return the moment at which the next question may be put to this person, which is taken now."""
        self._forget(now)
        behind = max(self._next.pop(user, now), now)
        self._next[user] = behind + INTERVAL
        return max(now, behind - (BURST - 1) * INTERVAL)

    def _forget(self, now: datetime) -> None:
        """Forget who could burst again: two are looked at for each reservation, and all in turn."""
        for user in list(islice(self._next, 2)):
            moment = self._next.pop(user)
            if moment > now:
                self._next[user] = moment


def is_in_turn(question: Question, now: datetime) -> bool:
    """Whether this is the moment that its person's pace gave it. One that was missed has to be given anew."""
    return question.paced and question.due_at is not None and now - question.due_at <= MISSED_AFTER


@dataclass(frozen=True, kw_only=True, slots=True)
class Pacing:
    """What everybody who puts messages into conversations shares."""

    gate: Gate
    pace: Pace
    spread: Callable[[], float]  #: a random number in 0..1, for jitter


class Gate:
    """Whether questions may be put: open, shut for a while, or ajar for some, or for one that tries.

    `abreast`: how many messages may be under way at a time, at the most.
    """

    def __init__(self, *, spread: Callable[[], float], abreast: int = ABREAST_MAX) -> None:
        self._spread = spread
        self._most = abreast
        self._abreast = float(abreast)
        self._shut_until: datetime | None = None
        self._halted_by = ""
        self._told: dict[str, datetime] = {}

    def room(self, now: datetime, wanted: int, *, under_way: int) -> int:
        """Return how many messages may be begun now, of so many, while so many are under way."""
        if self._shut_until is not None and now < self._shut_until:
            return 0
        abreast = 1 if self._halted_by else int(self._abreast)
        return max(0, min(wanted, abreast - under_way))

    def opens_at(self, now: datetime) -> datetime | None:
        """Return when it opens, if it is shut."""
        return self._shut_until if self._shut_until is not None and self._shut_until > now else None

    def pause(self, until: datetime) -> None:
        """Shut it until then."""
        self._shut_until = max(until, self._shut_until or until)

    def slow_down(self, wait: timedelta, now: datetime) -> None:
        """Shut it for so long, as Slack asks, and let half as many through at a time afterwards."""
        if self.opens_at(now) is None:  # else this one was under way already when Slack asked
            self._abreast = max(1.0, self._abreast / 2)
        self.pause(now + wait)

    def halt(self, error: CannotGoOn, now: datetime) -> None:
        """Shut it because Slack refuses the worker itself; from time to time one question tries again."""
        self._halted_by = error.code
        self.pause(now + PROBE_INTERVAL * (0.5 + self._spread() / 2))
        told = self._told.get(error.code)
        if told is None or now - told >= REMIND_INTERVAL:
            self._told[error.code] = now
            fields = {"code": error.code}
            log.critical(
                "nobody is asked any more: Slack refuses this app with %s. Requests are still taken in. %s",
                error.code,
                error.remedy,
                extra={"event": "asking.halted", "fields": fields},
            )

    def resume(self) -> None:
        """Open it, and a little wider than before: Slack took a message."""
        if self._halted_by:
            log.warning("people are asked again", extra={"event": "asking.resumed", "fields": {}})
        self._halted_by = ""
        self._told.clear()
        self._abreast = min(self._most, self._abreast + GROWTH)

    @property
    def halted_by(self) -> str:
        """The code with which Slack refuses the worker, or ""."""
        return self._halted_by
