"""A Slack that may fail in every way, whose history may lag, and that tells the truth whenever it answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from mortal_store import KilledError

from bot.errors import AmbiguousError, AppRejected, TransientError, Undeliverable, UnknownErrorCode
from bot.triage.answer_rules import Notice
from bot.triage.asking_rules import AS_SHOWN
from bot.triage.model import (
    Answer,
    Bookmark,
    Choice,
    FoundQuestion,
    HistoryPage,
    MessageRef,
    Person,
    Question,
    Shown,
)

if TYPE_CHECKING:  # which a release before lacks
    from bot.triage.inquiry import Inquiry

_NEVER = datetime.min.replace(tzinfo=UTC)

#: How a post may end: whether the message is there, and what we are told.
POST_ENDS: dict[str, tuple[bool, Exception | None]] = {
    "answered": (True, None),
    "done, answer lost": (True, AmbiguousError("lost")),
    "not done, answer lost": (False, AmbiguousError("lost")),
    "done, then killed": (True, KilledError()),
    "killed before": (False, KilledError()),
    "rate limit": (False, TransientError("429")),
    "long rate limit": (False, TransientError("429", retry_after=timedelta(seconds=40))),
    "refused": (False, Undeliverable("is_archived")),
    "strange code": (False, UnknownErrorCode("strange")),
    "token refused": (False, AppRejected("token_revoked", remedy="Renew it.")),
}
LOOK_ENDS: dict[str, Exception | None] = {
    "read": None,
    "no network": TransientError("no network"),
    "no scope": AppRejected("missing_scope", remedy="Renew it."),
    "killed": KilledError(),
}


class Message(NamedTuple):
    ref: str
    person: str
    message_ref: MessageRef
    at: datetime

    def click(self, choice: Choice, at: datetime) -> Answer:
        """A click on it by the person whom it was sent to."""
        return Answer(
            ref=self.ref,
            choice=choice,
            slack_id=self.person,
            same_workspace=True,
            message_ref=self.message_ref,
            at=at,
        )


class TruthfulSlack:
    """Knows its messages, and tells them whenever it answers. Those of the last `lag` show later."""

    can_look_up = True

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.messages: list[Message] = []
        self.lines: list[Question] = []  #: about waiting questions
        self.shown: dict[str, Choice | None] = {}  #: what each redrawn message says was answered
        self.drawn: dict[str, Question] = {}  #: as each message was drawn last
        self.reminded: Counter[str] = Counter()
        self.lag = timedelta(0)
        self.post_ends: list[str] = []
        self.look_ends: list[str] = []
        self.quick_person: Callable[[Message], Awaitable[object]] | None = None  #: clicks before the reply
        self._clock = clock

    async def find_person(self, wanted: str) -> Person:
        name = wanted.removeprefix("U0")
        return Person(slack_id=f"U0{name}", slack_name=name)

    async def open_conversation(self, question: Question) -> str:
        return f"D0{question.slack_id}"

    async def post(self, question: Question, *, channel: str = "") -> MessageRef:
        assert not channel
        done, error = POST_ENDS[self.post_ends.pop(0) if self.post_ends else "answered"]
        place = MessageRef(channel=f"D0{question.slack_id}", ts=f"1.{len(self.messages):06}")
        if done:
            message = Message(question.ref, question.slack_id, place, self._clock())
            self.messages.append(message)
            self.drawn[question.ref] = question
            if self.quick_person:
                await self.quick_person(message)
        if error:
            raise error
        return place

    async def post_inquiry(self, inquiry: Inquiry, question: Question) -> MessageRef:
        raise AssertionError(f"nobody asks {inquiry} back about {question}")

    async def post_line(self, line: Question, *, channel: str = "") -> MessageRef:
        assert not channel
        self.lines.append(line)
        return MessageRef(channel=f"D0{line.slack_id}", ts=f"2.{len(self.lines):06}")

    async def look_up(
        self, question: Question | Inquiry, *, after: Bookmark | None = None
    ) -> MessageRef | None:
        assert after is None
        assert question.claimed_at
        seen = self._see(question.claimed_at - timedelta(minutes=30))
        return next((each.message_ref for each in seen if each.ref == question.ref), None)

    async def read_message(self, message_ref: MessageRef) -> FoundQuestion | None:
        seen = self._see(_NEVER)
        return next((self._found(each) for each in seen if each.message_ref == message_ref), None)

    async def read_conversation(
        self, slack_id: str, since: datetime, *, after: Bookmark | None = None
    ) -> HistoryPage:
        assert after is None
        seen = [each for each in self._see(since) if each.person == slack_id]
        found = (replace(self._found(each), slack_id=slack_id) for each in seen)
        return HistoryPage(questions=tuple(found), next=None)

    def _see(self, since: datetime) -> list[Message]:
        error = LOOK_ENDS[self.look_ends.pop(0) if self.look_ends else "read"]
        if error:
            raise error
        return [each for each in self.messages if since <= each.at <= self._clock() - self.lag]

    def _found(self, message: Message) -> FoundQuestion:
        drawn = self.drawn[message.ref]
        shown = Shown(
            reports=drawn.reports,
            standing=drawn.standing,
            said=drawn.said,
            answered_at=drawn.answered_at,
            is_unsure=drawn.is_unsure,
        )
        return FoundQuestion(
            ref=message.ref,
            message_ref=message.message_ref,
            posted_at=message.at,
            shown=shown,
            request=replace(drawn.request, summary="", left_out=(AS_SHOWN,)),
        )

    async def redraw(self, question: Question, *, response_url: str = "") -> None:
        assert question.ts
        assert response_url == ""
        self.drawn[question.ref] = question
        self.shown[question.ref] = question.said

    async def link_to(self, question: Question) -> str:
        return f"https://example.slack.com/archives/{question.channel}/p{question.ts}"

    async def remind(self, question: Question, *, link: str) -> None:
        assert link
        assert question.said is None
        done, error = POST_ENDS[self.post_ends.pop(0) if self.post_ends else "answered"]
        self.reminded[question.ref] += done
        if error:
            raise error

    async def tell(self, response_url: str, notice: Notice) -> None:
        raise TransientError(f"cannot tell {notice} to {response_url}")
