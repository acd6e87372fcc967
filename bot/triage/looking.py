"""Looking for a question that may stand in Slack already. A row in doubt is never posted again before that.

*Not found* counts only when it was seen twice, some time apart, on looks whose every page was read: Slack's
history lags. Slack may show a few messages a minute, so a look that is told to wait goes on where it was.
What a process knows of its looks dies with it; the next one looks twice anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from typing import TYPE_CHECKING

from bot.errors import AmbiguousError, CannotGoOn, TransientError, Undeliverable, UnknownRefusal
from bot.triage.model import Bookmark

if TYPE_CHECKING:
    from datetime import datetime

    from bot.triage.model import Posted, Question
    from bot.triage.ports import Clock, Messenger

#: How long a row in doubt waits where the app may not read its history any more.
SCOPE_WAIT = timedelta(seconds=60)


@dataclass(frozen=True, kw_only=True, slots=True)
class Lag:
    """How far Slack's history is trusted to lag."""

    first_look: timedelta = timedelta(seconds=5)  #: no look sooner after the ambiguous end
    looks_apart: timedelta = timedelta(seconds=10)  #: the second look comes this long after the first
    #: A post may be under way in Slack this long after its claim, though whoever sent it was killed at once:
    #: as long as a call may take. Somebody who lives knows better when it ended.
    post_takes: timedelta = timedelta(seconds=15)
    #: A claim that is older is not posted on: a post that begins by then has ended, and shows, before another
    #: worker has looked twice. A store that needs all its patience to write the claim takes less.
    claim_holds: timedelta = timedelta(seconds=10)


class Look(Enum):
    """What a look has shown, where it did not find the question."""

    TOO_SOON = auto()
    MISSED = auto()  #: a later look decides
    NOT_THERE = auto()  #: for certain: it was not posted
    IMPOSSIBLE = auto()  #: the app may not look


@dataclass(slots=True)
class _Doubt:
    since: datetime | None  #: of the claim; another claim of the same row is another doubt
    look_at: datetime
    missed: bool = False
    bookmark: Bookmark | None = None  #: of the look that is under way


class Looker:
    """Looks rows in doubt up, each as often as it takes to be sure."""

    def __init__(self, messenger: Messenger, *, clock: Clock, lag: Lag) -> None:
        self._messenger = messenger
        self._clock = clock
        self._lag = lag
        self._doubts: dict[str, _Doubt] = {}

    def doubt(self, question: Question) -> datetime:
        """Take note that a post's end is unknown since now; return when to look for the first time."""
        doubt = _Doubt(since=question.in_doubt_since, look_at=self._clock() + self._lag.first_look)
        self._doubts[question.ref] = doubt
        return doubt.look_at

    def look_at(self, question: Question) -> datetime:
        """Return when to look next."""
        known = self._doubts.get(question.ref)
        if known is None or known.since != question.in_doubt_since:
            return self._found_in_doubt(question)
        return known.look_at

    def forget(self, question: Question) -> None:
        """Forget a question that is in doubt no more."""
        self._doubts.pop(question.ref, None)

    async def look(self, question: Question) -> Posted | Look:
        """Look, if it is time to. `TransientError` if this look says nothing yet: it goes on later."""
        if not self._messenger.can_look_up:
            return Look.IMPOSSIBLE
        if self._clock() < self.look_at(question):
            return Look.TOO_SOON
        doubt = self._doubts[question.ref]  # before the look: a click may settle the doubt meanwhile
        posted = await self._read_on(question, doubt)
        if posted is not None:
            return posted
        if doubt.missed:
            return Look.NOT_THERE
        doubt.look_at, doubt.missed = self._clock() + self._lag.looks_apart, True
        return Look.MISSED

    def _found_in_doubt(self, question: Question) -> datetime:
        """Take up a row that a dead process left behind; return when to look for the first time."""
        now = self._clock()
        under_way_until = (question.in_doubt_since or now) + self._lag.post_takes
        look_at = max(now, under_way_until) + self._lag.first_look
        self._doubts[question.ref] = _Doubt(since=question.in_doubt_since, look_at=look_at)
        return look_at

    async def _read_on(self, question: Question, doubt: _Doubt) -> Posted | None:
        """Read page after page; None if the last one was read."""
        while isinstance(found := await self._read(question, doubt), Bookmark):
            doubt.bookmark = found
        doubt.bookmark = None
        return found

    async def _read(self, question: Question, doubt: _Doubt) -> Posted | Bookmark | None:
        """Read the next page. One that Slack refuses is lost with its bookmark: the look begins anew."""
        try:
            return await self._messenger.look_up(question, after=doubt.bookmark)
        except AmbiguousError as error:
            raise TransientError(f"the look-up failed: {error}") from error
        except CannotGoOn as error:
            raise TransientError(f"the look-up was refused: {error.code}", retry_after=SCOPE_WAIT) from error
        except (Undeliverable, UnknownRefusal) as error:
            doubt.bookmark = None
            raise TransientError(f"the look-up was refused: {error}") from error
