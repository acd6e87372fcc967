"""Looks up a question that may already be in Slack. A row in doubt is never posted again before that.

*Not found* counts only after two complete looks some time apart, because Slack's history lags. Slack may show
only a few messages a minute, so a look that has to wait resumes where it stopped. A process forgets its looks
when it ends; the next one looks twice again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto

from bot.clock import Clock
from bot.errors import AmbiguousError, AppRejected, TransientError, Undeliverable, UnknownErrorCode
from bot.triage.inquiry import Inquiry
from bot.triage.model import Bookmark, MessageRef, Question
from bot.triage.ports import Messenger

#: How long a row in doubt waits if Slack rejects the app during a look.
SCOPE_WAIT = timedelta(seconds=60)


@dataclass(frozen=True, kw_only=True, slots=True)
class LookUpDelays:
    """How far Slack's history is assumed to lag."""

    first_look: timedelta = timedelta(seconds=5)  #: from the ambiguous result to the first look
    looks_apart: timedelta = timedelta(seconds=10)  #: from the first look to the second
    #: How long after its claim a post may still take effect, even if the process that sent it was killed: as
    #: long as a call may take. A living process knows better when its call ended.
    post_takes: timedelta = timedelta(seconds=15)
    #: An older claim is given up before posting. A post that starts within this time has ended, and shows,
    #: before another worker has looked twice. Writing the claim takes less, even if the store is slow.
    claim_holds: timedelta = timedelta(seconds=10)


class LookUpResult(Enum):
    """The result of a look that did not find the question."""

    TOO_SOON = auto()
    NOT_FOUND_YET = auto()  #: a later look decides
    NOT_POSTED = auto()  #: it was definitely not posted
    IMPOSSIBLE = auto()  #: the app may not look


@dataclass(slots=True)
class _Doubt:
    since: datetime | None  #: of the claim; another claim of the same row is another doubt
    look_at: timedelta  #: by `Clock.monotonic`
    missed: bool = False
    bookmark: Bookmark | None = None  #: of the look in progress
    passed: set[Bookmark] = field(default_factory=set)  #: every bookmark of that look

    def begin_anew(self) -> None:
        """Make the next look begin with the first page."""
        self.bookmark = None
        self.passed.clear()


class LookUps:
    """Looks up rows in doubt, each until its state is certain."""

    def __init__(self, messenger: Messenger, *, clock: Clock, delays: LookUpDelays) -> None:
        self._messenger = messenger
        self._clock = clock
        self._delays = delays
        self._doubts: dict[str, _Doubt] = {}

    def mark_in_doubt(self, question: Question | Inquiry) -> datetime:
        """Record that the result of a post is unknown as of now; return when to look for the first time."""
        look_at = self._clock.monotonic() + self._delays.first_look
        self._doubts[question.ref] = _Doubt(since=question.in_doubt_since, look_at=look_at)
        return self.look_at(question)

    def look_at(self, question: Question | Inquiry) -> datetime:
        """Return when to look next, in UTC."""
        return self._clock() + self._wait(question)

    def _wait(self, question: Question | Inquiry) -> timedelta:
        """Return how much longer not to look."""
        known = self._doubts.get(question.ref)
        if known is None or known.since != question.in_doubt_since:
            if not self._clock.is_known:
                return self._delays.first_look  # how old the claim is cannot be told
            # A dead process left it behind: its post may still be under way.
            now = self._clock()
            posted_by = (question.in_doubt_since or now) + self._delays.post_takes
            wait = max(posted_by - now, timedelta(0)) + self._delays.first_look
            known = _Doubt(since=question.in_doubt_since, look_at=self._clock.monotonic() + wait)
            self._doubts[question.ref] = known
        return max(known.look_at - self._clock.monotonic(), timedelta(0))

    def forget(self, question: Question | Inquiry) -> None:
        """Forget a question that is no longer in doubt."""
        self._doubts.pop(question.ref, None)

    async def look(self, question: Question | Inquiry) -> MessageRef | LookUpResult:
        """Look, if it is time to. `TransientError` if the look could not be completed: it resumes later."""
        if not self._messenger.can_look_up:
            return LookUpResult.IMPOSSIBLE
        if self._wait(question):
            return LookUpResult.TOO_SOON
        doubt = self._doubts[question.ref]  # before the look: a click may settle the doubt meanwhile
        message_ref = await self._read_on(question, doubt)
        if message_ref is not None:
            return message_ref
        if doubt.missed and self._clock.is_known:
            return LookUpResult.NOT_POSTED
        doubt.look_at, doubt.missed = self._clock.monotonic() + self._delays.looks_apart, True
        return LookUpResult.NOT_FOUND_YET

    async def _read_on(self, question: Question | Inquiry, doubt: _Doubt) -> MessageRef | None:
        """Read page after page; return where the question is, or None if it is on none of them."""
        while isinstance(found := await self._read(question, doubt), Bookmark):
            if found in doubt.passed:
                doubt.begin_anew()
                raise TransientError("the look-up failed: Slack returned the same page twice")
            doubt.passed.add(found)
            doubt.bookmark = found
        doubt.begin_anew()
        return found

    async def _read(self, question: Question | Inquiry, doubt: _Doubt) -> MessageRef | Bookmark | None:
        """Read the next page. If Slack refuses it, the bookmark is dropped, and the look starts again."""
        try:
            return await self._messenger.look_up(question, after=doubt.bookmark)
        except AmbiguousError as error:
            raise TransientError(f"the look-up failed: {error}") from error
        except AppRejected as error:
            raise TransientError(f"the look-up was refused: {error.code}", retry_after=SCOPE_WAIT) from error
        except (Undeliverable, UnknownErrorCode) as error:
            doubt.begin_anew()
            raise TransientError(f"the look-up was refused: {error}") from error
