"""Where a life can end: the boundaries between the worker and the world, and a proxy that dies at them."""

from __future__ import annotations

import inspect
import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, Final

from bot.triage.model import State
from bot.triage.rules import CLAIM_LEASE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bot.triage.model import Change

    #: Names the verb of a call by its arguments.
    Verb = Callable[..., str]

#: Every verb at whose beginning and end the worker is killed.
_VERBS: Final = (
    "accept", "delete", "copy", "find", "claim", "post", "record", "defer", "look", "answer", "close",
    "retry", "send", "mark", "redraw", "shown",
)  # fmt: skip

BOUNDARIES: Final = (
    *(f"{moment} {verb}" for verb in _VERBS for moment in ("before", "after")),
    "after receive",
)


class Doom:
    """Kills this process at the n-th passing of a boundary; at none if `boundary` is empty."""

    def __init__(self, boundary: str, passings: int) -> None:
        self._boundary = boundary
        self._left = passings

    def pass_by(self, boundary: str) -> None:
        """Die here, if it is time."""
        if boundary != self._boundary:
            return
        self._left -= 1
        if self._left == 0:
            os.write(sys.stdout.fileno(), json.dumps({"dies": boundary}).encode() + b"\n")
            os.kill(os.getpid(), signal.SIGKILL)


class Mortal:
    """Stands for `inner`, and passes a boundary before and after each call of a method that has a verb."""

    def __init__(self, inner: Any, verbs: Mapping[str, str | Verb], doom: Doom) -> None:
        self._inner = inner
        self._verbs = verbs
        self._doom = doom

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._inner, name)
        verb = self._verbs.get(name)
        if verb is None or not inspect.iscoroutinefunction(attribute):
            return attribute

        async def guarded(*values: Any, **options: Any) -> Any:
            word = verb if isinstance(verb, str) else verb(*values, **options)
            self._doom.pass_by(f"before {word}")
            result = await attribute(*values, **options)
            self._doom.pass_by(f"after {word}")
            return result

        return guarded


def verb_of(change: Change) -> str:
    """Name what a change of a question is."""
    question = change.question
    if change.report is not None:
        return "close" if question.state is State.CLOSED else "answer"
    if question.state is State.ASKED:
        return "shown" if question.reports else "record"
    if question.in_doubt_since is None or question.due_at is None:
        return "retry"
    return "claim" if question.due_at == question.in_doubt_since + CLAIM_LEASE else "defer"


STORE_VERBS: Final[Mapping[str, str | Verb]] = {
    "add": "accept",
    "save": verb_of,
    "mark_sent": "mark",
    "mark_parked": "mark",
}
MESSENGER_VERBS: Final = {"find_person": "find", "post": "post", "look_up": "look", "redraw": "redraw"}
REQUEST_VERBS: Final = {"receive": "receive", "delete_batch": "delete"}
RESPONSE_VERBS: Final = {"send_batch": "send"}
DEAD_LETTER_VERBS: Final = {"send_batch": "copy"}
