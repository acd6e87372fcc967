"""A Slack that may fail in every way, and tells the truth whenever it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.errors import AmbiguousError, CannotGoOn, TransientError, Undeliverable, UnknownRefusal
from bot.triage.model import Person, Posted, Question

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class KilledError(Exception):
    """The process died here."""


#: How a post may end: whether the message is there, and what we hear of it.
POST_ENDS: dict[str, tuple[bool, Exception | None]] = {
    "answered": (True, None),
    "done, answer lost": (True, AmbiguousError("lost")),
    "not done, answer lost": (False, AmbiguousError("lost")),
    "done, then killed": (True, KilledError()),
    "killed before": (False, KilledError()),
    "rate limit": (False, TransientError("429")),
    "refused": (False, Undeliverable("is_archived")),
    "strange code": (False, UnknownRefusal("strange")),
    "token refused": (False, CannotGoOn("token_revoked")),
}
LOOK_ENDS: dict[str, Exception | None] = {
    "read": None,
    "no network": TransientError("no network"),
    "no scope": CannotGoOn("missing_scope"),
    "killed": KilledError(),
}


class TruthfulSlack:
    """Knows which messages there are, and tells it whenever it answers."""

    can_look_up = True

    def __init__(self) -> None:
        self.messages: dict[str, list[Posted]] = {}
        self.post_ends: list[str] = []
        self.look_ends: list[str] = []
        self.quick_person: Callable[[Question], Awaitable[object]] | None = None  #: clicks before the reply

    async def find_person(self, email: str) -> Person:
        return Person(slack_id=f"U0{email}", slack_name=email)

    async def post(self, question: Question) -> Posted:
        done, error = POST_ENDS[self.post_ends.pop(0) if self.post_ends else "answered"]
        place = Posted(channel=f"D0{question.slack_id}", ts="1.000001")
        if done:
            self.messages.setdefault(question.ref, []).append(place)
            if self.quick_person:
                await self.quick_person(question)
        if error:
            raise error
        return place

    async def look_up(self, question: Question) -> Posted | None:
        error = LOOK_ENDS[self.look_ends.pop(0) if self.look_ends else "read"]
        if error:
            raise error
        return next(iter(self.messages.get(question.ref, ())), None)

    async def redraw(self, question: Question, *, response_url: str = "") -> None:
        assert question.ts
        assert response_url == ""

    async def tell(self, response_url: str, message: str) -> None:
        raise TransientError(f"cannot tell {message} to {response_url}")
