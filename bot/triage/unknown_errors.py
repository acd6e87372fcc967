"""Unknown error codes: how long to be patient with one, and whose trouble it is."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn

from bot.errors import AppRejected, Undeliverable

if TYPE_CHECKING:
    from datetime import datetime

    from bot.errors import UnknownErrorCode
    from bot.triage.model import Question
    from bot.triage.rate_limits import ConcurrencyLimiter

#: What to do about a code for which our tables have no remedy.
_UNKNOWN_REMEDY = "Look it up in Slack's documentation of {method}; see messages.toml if it blames the text."

#: How long a question is tried against such a code, at the least.
PATIENCE = timedelta(minutes=15)

#: As many people must meet the same code, with nobody asked in between, for it to be the worker's trouble.
PEOPLE = 3

#: Of so many people it is known when they were asked last: one of them is somebody else.
_ASKED_KEPT = 2


class UnknownErrorHistory:
    """Remembers the unknown error codes that a method has returned lately, and decides when to give up.

    One new code of Slack's, or one typing error in `messages.toml`, must not settle a backlog; nor must one
    person whom Slack keeps from us hold up all others. So a code that three people meet, with nobody asked in
    between, is the worker's trouble. One that a question meets for a quarter of an hour is the question's, if
    somebody else was asked meanwhile; if nobody was, it waits. Lives with the process: a restart is patient
    again.
    """

    def __init__(self, method: str = "chat.postMessage") -> None:
        self._method = method
        self._since: dict[str, dict[str, datetime]] = {}
        self._people: dict[str, dict[str, datetime]] = {}
        self._asked: dict[str, datetime] = {}  #: the people asked last, the latest last

    def judge(
        self, question: Question, error: UnknownErrorCode, now: datetime, limiter: ConcurrencyLimiter
    ) -> NoReturn:
        """Raise the error again to retry, or raise `Undeliverable` to give up. May halt the method."""
        self.note(question, error.code, now)
        if self.is_worker_trouble(error.code):
            remedy = error.remedy or _UNKNOWN_REMEDY.format(method=self._method)
            limiter.trip(AppRejected(error.code, remedy=remedy), now)
        if self.is_final(question, error.code, now):
            raise Undeliverable(error.code) from error
        raise error

    def note(self, question: Question, code: str, now: datetime) -> None:
        """Record that this question was refused with this code at `now`."""
        self._since.setdefault(question.ref, {}).setdefault(code, now)
        people = self._people.setdefault(code, {})
        people[question.request.user] = now
        for user in [user for user, seen in people.items() if now - seen > 2 * PATIENCE]:
            del people[user]

    def note_success(self, question: Question, now: datetime) -> None:
        """Remember that Slack took this question: whatever others have met is not the worker's trouble."""
        self._people.clear()
        self._asked.pop(question.request.user, None)  # to stand last
        self._asked[question.request.user] = now
        if len(self._asked) > _ASKED_KEPT:
            del self._asked[next(iter(self._asked))]

    def forget(self, question: Question) -> None:
        """Forget the codes of a question that was asked, or has ended."""
        self._since.pop(question.ref, None)

    def is_worker_trouble(self, code: str) -> bool:
        """Whether so many people ran into the code that the worker is to blame, not a request."""
        return len(self._people.get(code, ())) >= PEOPLE

    def is_final(self, question: Question, code: str, now: datetime) -> bool:
        """Whether to believe that this question can never be asked."""
        since = self._since.get(question.ref, {}).get(code, now)
        others = [moment for user, moment in self._asked.items() if user != question.request.user]
        is_its_own = any(moment > since for moment in others)
        return now - since >= PATIENCE and is_its_own and not self.is_worker_trouble(code)
