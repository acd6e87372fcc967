"""The verb *find*: looks up in Slack whom an address means, and remembers the answer for a while.

The key is what was looked up: `people.toml` may map several addresses to one person.

The memory lives with the process and is bounded. People who were found and addresses of nobody are kept
apart, so that no number of invented addresses makes the worker forget a person.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import lru_cache
from typing import Generic, TypeVar

from bot.clock import Clock
from bot.errors import AppRejected, TransientError, Undeliverable, UnknownErrorCode
from bot.triage.model import Person, Question
from bot.triage.outcomes import Reason
from bot.triage.people import PeopleRules
from bot.triage.ports import Messenger
from bot.triage.rate_limits import ConcurrencyLimiter
from bot.triage.unknown_errors import UnknownErrorHistory

#: How long a person who was found is trusted to be active: a post to a deactivated account "succeeds".
FRESH_FOR = timedelta(hours=1)

#: How long a person who was found takes precedence over those who were not.
MET_FOR = timedelta(days=1)

#: How long an address counts as nobody's.
MISSING_FOR = timedelta(minutes=5)

#: The most addresses of either kind that are remembered.
REMEMBERED_MAX = 2_000

#: The most look-ups under way at a time; fewer after Slack has asked to wait.
LOOK_UPS_MAX = 96

T = TypeVar("T")


class RecentAnswers(Generic[T]):
    """The last answer about each address or Slack id, and its time. The oldest is dropped if need be."""

    def __init__(self, limit: int = REMEMBERED_MAX) -> None:
        self._limit = limit
        self._answers: dict[str, tuple[timedelta, T]] = {}

    def put(self, wanted: str, answer: T, now: timedelta) -> None:
        """Remember an answer; `now` is `Clock.boottime`, which counts while the machine is suspended."""
        self.drop(wanted)  # moves it to the end, where the newest are
        self._answers[wanted] = (now, answer)
        if len(self._answers) > self._limit:
            del self._answers[next(iter(self._answers))]

    def get(self, wanted: str, now: timedelta, *, within: timedelta) -> T | None:
        """Return an answer that is no older than that; None if there is none."""
        heard_at, answer = self._answers.get(wanted, (None, None))
        return answer if heard_at is not None and now - heard_at <= within else None

    def drop(self, wanted: str) -> None:
        """Forget an answer."""
        self._answers.pop(wanted, None)


class Finder:
    """Finds people by what `people.toml` makes of their address, as fast as Slack allows.

    `limiter` is for these calls alone.
    """

    def __init__(
        self,
        messenger: Messenger,
        rules: PeopleRules,
        *,
        clock: Clock,
        limiter: ConcurrencyLimiter,
        remembered_max: int = REMEMBERED_MAX,
    ) -> None:
        self.limiter = limiter
        self._messenger = messenger
        self._target = lru_cache(maxsize=256)(rules.target)  # asked for nine times an alert
        self._clock = clock
        self._people = RecentAnswers[Person](remembered_max)
        self._missing = RecentAnswers[str](remembered_max)  #: the reasons why there is nobody
        self._unknown_errors = UnknownErrorHistory("users.lookupByEmail and users.info")

    def wanted(self, question: Question) -> str:
        """Return the address or the Slack id to look up for a question; "" if nobody may be asked."""
        return self._target(question.request.user).wanted

    def has_met(self, wanted: str) -> bool:
        """Whether this person was found within the last day."""
        return self._people.get(wanted, self._clock.boottime(), within=MET_FOR) is not None

    def is_missing(self, wanted: str) -> bool:
        """Whether there is nobody, as Slack has just said or as there is nobody to look up."""
        return not wanted or self._missing.get(wanted, self._clock.boottime(), within=MISSING_FOR) is not None

    def knows(self, wanted: str) -> bool:
        """Whether `find` needs no call, because it is known who that is, or that there is nobody."""
        return self._recall(wanted) is not None or self.is_missing(wanted)

    async def find(self, question: Question) -> Person:
        """Return whom a question is for. Raises `Undeliverable` if there is nobody, and `TransientError`."""
        target = self._target(question.request.user)
        if not target.wanted:
            raise Undeliverable(Reason.NOT_MAPPED)
        reason = self._missing.get(target.wanted, self._clock.boottime(), within=MISSING_FOR)
        if reason is not None:
            raise Undeliverable(reason)
        person = self._recall(target.wanted) or await self._look_up(question, target.wanted)
        return replace(person, found_by=target.rule) if target.rule else person

    def forget(self, question: Question) -> None:
        """Forget the refusals of a question that was asked, or has ended."""
        self._unknown_errors.forget(question)

    def _recall(self, wanted: str) -> Person | None:
        return self._people.get(wanted, self._clock.boottime(), within=FRESH_FOR)

    async def _look_up(self, question: Question, wanted: str) -> Person:
        try:
            person = await self._ask_slack(question, wanted)
        except Undeliverable as error:
            self._people.drop(wanted)
            self._missing.put(wanted, error.reason, self._clock.boottime())
            raise
        self._missing.drop(wanted)
        self._people.put(wanted, person, self._clock.boottime())
        return person

    async def _ask_slack(self, question: Question, wanted: str) -> Person:
        """Call Slack, and update the limiter and the history of these look-ups."""
        try:
            person = await self._messenger.find_person(wanted)
        except Undeliverable:
            self._note_success(question)  # that there is nobody is an answer
            raise
        except AppRejected as error:
            self.limiter.trip(error, self._clock.monotonic())
            raise
        except UnknownErrorCode as error:
            self._unknown_errors.judge(question, error, self._clock.monotonic(), self.limiter)
        except TransientError as error:
            if error.retry_after is not None:
                self.limiter.slow_down(error.retry_after, self._clock.monotonic())
            raise
        self._note_success(question)
        return person

    def _note_success(self, question: Question) -> None:
        self._unknown_errors.note_success(question, self._clock.monotonic())
        self.limiter.reset()
