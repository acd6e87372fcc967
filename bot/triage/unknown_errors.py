"""Unknown error codes: how long to retry, and whether the worker or the question is to blame."""

from __future__ import annotations

from datetime import timedelta
from typing import NoReturn

from bot.errors import AppRejected, Undeliverable, UnknownErrorCode
from bot.triage.model import Question
from bot.triage.rate_limits import ConcurrencyLimiter

#: What to do about a code for which our tables have no remedy.
_UNKNOWN_REMEDY = "Look it up in Slack's documentation of {method}; see messages.toml if it blames the text."

#: The least time for which a question with such a code is retried.
PATIENCE = timedelta(minutes=15)

#: The worker is to blame if this many people get the same code with nobody asked in between.
PEOPLE = 3

#: How many of the people asked last are remembered: of two, at least one is somebody else.
_ASKED_KEPT = 2


class UnknownErrorHistory:
    """Remembers the unknown error codes that a method has returned lately, and decides when to give up.

    One new code of Slack's, or one typo in `messages.toml`, must not end a whole backlog, and one person whom
    the app cannot reach must not hold up all others. So the worker is to blame for a code that three people
    get with nobody asked in between. The question is to blame if it gets a code for 15 minutes while somebody
    else is asked; if nobody is, it waits. The history ends with the process.
    Every `now` is `Clock.monotonic`.
    """

    def __init__(self, method: str = "chat.postMessage") -> None:
        self._method = method
        self._since: dict[str, dict[str, timedelta]] = {}
        self._people: dict[str, dict[str, timedelta]] = {}
        self._asked: dict[str, timedelta] = {}  #: the people asked last, the latest last

    def judge(
        self, question: Question, error: UnknownErrorCode, now: timedelta, limiter: ConcurrencyLimiter
    ) -> NoReturn:
        """Raise the error again to retry, or raise `Undeliverable` to give up. May trip the limiter."""
        self.note(question, error.code, now)
        if self.is_worker_trouble(error.code):
            remedy = error.remedy or _UNKNOWN_REMEDY.format(method=self._method)
            limiter.trip(AppRejected(error.code, remedy=remedy), now)
        if self.is_final(question, error.code, now):
            raise Undeliverable(error.code) from error
        raise error

    def note(self, question: Question, code: str, now: timedelta) -> None:
        """Record that this question was refused with this code at `now`."""
        self._since.setdefault(question.ref, {}).setdefault(code, now)
        people = self._people.setdefault(code, {})
        people[question.request.user] = now
        for user in [user for user, seen in people.items() if now - seen > 2 * PATIENCE]:
            del people[user]

    def note_success(self, question: Question, now: timedelta) -> None:
        """Record that Slack accepted this question, so the worker is not to blame for what others got."""
        self._people.clear()
        self._asked.pop(question.request.user, None)  # moves it to the end
        self._asked[question.request.user] = now
        if len(self._asked) > _ASKED_KEPT:
            del self._asked[next(iter(self._asked))]

    def forget(self, question: Question) -> None:
        """Forget the codes of a question that was asked, or has ended."""
        self._since.pop(question.ref, None)

    def is_worker_trouble(self, code: str) -> bool:
        """Whether enough people got the code to blame the worker rather than a question."""
        return len(self._people.get(code, ())) >= PEOPLE

    def is_final(self, question: Question, code: str, now: timedelta) -> bool:
        """Whether to give up, because this question can never be asked."""
        since = self._since.get(question.ref, {}).get(code, now)
        others = [moment for user, moment in self._asked.items() if user != question.request.user]
        is_its_own = any(moment > since for moment in others)
        return now - since >= PATIENCE and is_its_own and not self.is_worker_trouble(code)
