"""Remembers refusals of Slack's that blame nobody in particular, and decides when to believe them.

One new code of Slack's, or one typing error in `messages.toml`, must not settle a backlog: a code is tried
for a quarter of an hour, and one that three people meet is the worker's trouble, not theirs.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from bot.triage.model import Question

#: How long a question is tried against such a code.
PATIENCE = timedelta(minutes=15)

#: As many people must meet the same code for it to be the worker's trouble.
PEOPLE = 3


class Refusals:
    """What Slack has refused lately, by code. Lives with the process: a restart is patient again."""

    def __init__(self) -> None:
        self._since: dict[str, dict[str, datetime]] = {}
        self._people: dict[str, dict[str, datetime]] = {}

    def note(self, question: Question, code: str, now: datetime) -> None:
        """Remember that this question met this code."""
        self._since.setdefault(question.ref, {}).setdefault(code, now)
        people = self._people.setdefault(code, {})
        people[question.request.user] = now
        for user in [user for user, seen in people.items() if now - seen > 2 * PATIENCE]:
            del people[user]

    def forget(self, question: Question) -> None:
        """Forget what this question met: it was asked, or has ended."""
        self._since.pop(question.ref, None)

    def is_worker_trouble(self, code: str) -> bool:
        """Whether the code says something about this worker rather than about a request."""
        return len(self._people.get(code, ())) >= PEOPLE

    def is_final(self, question: Question, code: str, now: datetime) -> bool:
        """Whether to believe that this question can never be asked."""
        tried_for = now - self._since.get(question.ref, {}).get(code, now)
        return tried_for >= PATIENCE and not self.is_worker_trouble(code)
