"""Rate limits: nobody is asked faster than Slack allows, and no flood for one person starves another.

There is no rate limit for the workspace as a whole: it would be a guess. Slack tells each worker when it is
too fast, and that worker then posts fewer messages at a time. A pause lasts its span: every `now` here is
`Clock.monotonic`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice

from bot.clock import Clock
from bot.errors import AppRejected
from bot.triage.log_events import log_event
from bot.triage.model import Question

log = logging.getLogger(__name__)

#: Slack accepts about one message per second in a conversation …
INTERVAL = timedelta(seconds=1)
#: … and short bursts of more: https://docs.slack.dev/apis/web-api/rate-limits (2026-11).
BURST = 3

#: When a reserved time expires: messages that a pause delayed must not all be sent at once.
MISSED_AFTER = BURST * INTERVAL

#: The most messages under way at a time.
CONCURRENCY_MAX = 128

#: By how much that limit grows with each message that Slack accepts. It is halved whenever Slack asks to wait
#: (additive increase, multiplicative decrease).
GROWTH = 0.5

#: How often a message is tried while Slack rejects the app.
PROBE_INTERVAL = timedelta(seconds=30)

#: How often the log repeats that.
REMIND_INTERVAL = timedelta(hours=1)


class RateLimiter:
    """Limits the rate of questions per person: a burst of three, then one per second."""

    def __init__(self) -> None:
        self._next: dict[str, timedelta] = {}

    def reserve(self, user: str, now: timedelta) -> timedelta:
        """Reserve the next moment at which this person may be asked, and return it."""
        self._forget(now)
        behind = max(self._next.pop(user, now), now)
        self._next[user] = behind + INTERVAL
        return max(now, behind - (BURST - 1) * INTERVAL)

    def _forget(self, now: timedelta) -> None:
        """Forget people who could burst again. Each reservation checks two, so that all get their turn."""
        for user in list(islice(self._next, 2)):
            moment = self._next.pop(user)
            if moment > now:
                self._next[user] = moment


@dataclass(frozen=True, kw_only=True, slots=True)
class Pacing:
    """The rate limits that everything that posts messages shares."""

    limiter: ConcurrencyLimiter
    rate_limiter: RateLimiter
    jitter: Callable[[], float]  #: a random number in 0..1, for jitter

    def wait_for(self, question: Question, clock: Clock) -> timedelta:
        """Return how long to wait before the person is asked or reminded: not at all if a reserved time has
        come, or until a new reservation.
        """
        if question.paced and question.due_at is not None and clock() - question.due_at <= MISSED_AFTER:
            return timedelta(0)
        now = clock.monotonic()
        return self.rate_limiter.reserve(question.request.user, now) - now


class ConcurrencyLimiter:
    """Limits how many messages are under way, and stops them while Slack asks to wait or rejects the app.

    `concurrency` is the most messages under way at a time. While Slack rejects the app, one at a time is
    tried.
    """

    def __init__(self, *, jitter: Callable[[], float], concurrency: int = CONCURRENCY_MAX) -> None:
        self._jitter = jitter
        self._concurrency_max = concurrency
        self._concurrency = float(concurrency)
        self._closed_until: timedelta | None = None
        self.rejection_code = ""  #: with which Slack rejects the app; empty if it does not
        self._logged_at: dict[str, timedelta] = {}

    def count_free_slots(self, now: timedelta, wanted: int, *, under_way: int) -> int:
        """Return how many of the `wanted` messages may start now, while `under_way` others are unfinished."""
        if self._closed_until is not None and now < self._closed_until:
            return 0
        concurrency = 1 if self.rejection_code else int(self._concurrency)
        return max(0, min(wanted, concurrency - under_way))

    def opens_at(self, now: timedelta) -> timedelta | None:
        """Return when messages may start again; None if they may now."""
        return self._closed_until if self._closed_until is not None and self._closed_until > now else None

    def pause(self, until: timedelta) -> None:
        """Start no messages before this moment."""
        self._closed_until = max(until, self._closed_until or until)

    def slow_down(self, wait: timedelta, now: timedelta) -> None:
        """Start no messages for as long as Slack asks, and halve the limit."""
        if self.opens_at(now) is None:  # otherwise this message was under way before Slack asked
            self._concurrency = max(1.0, self._concurrency / 2)
        self.pause(now + wait)

    def trip(self, error: AppRejected, now: timedelta) -> None:
        """Stop because Slack rejects the app itself; after 15 to 30 s, one message tries again."""
        self.rejection_code = error.code
        self.pause(now + PROBE_INTERVAL * (0.5 + self._jitter() / 2))
        told = self._logged_at.get(error.code)
        if told is None or now - told >= REMIND_INTERVAL:
            self._logged_at[error.code] = now
            log_event(
                log.critical,
                "asking.halted",
                "asking is halted: Slack rejects this app with %s. Requests are still accepted. %s",
                error.code,
                error.remedy,
                code=error.code,
            )

    def reset(self) -> None:
        """Resume, and raise the limit: Slack accepted a message."""
        if self.rejection_code:
            log_event(log.warning, "asking.resumed")
        self.rejection_code = ""
        self._logged_at.clear()
        self._concurrency = min(self._concurrency_max, self._concurrency + GROWTH)
