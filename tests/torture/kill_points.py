"""Where a life can end: the boundaries between the worker and the world, and what dies at them."""

from __future__ import annotations

import inspect
import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from bot.triage.assignments import AssignmentKind
from bot.triage.model import Question, State, Step
from bot.triage.outcomes import Outcome
from bot.triage.recorder import Recorder

#: Every verb at whose beginning and end the worker is killed.
_VERBS: Final = (
    "accept",
    "delete",
    "copy",
    "find",
    "claim",
    "post",
    "record",
    "defer",
    "look",
    "answer",
    "close",
    "retry",
    "send",
    "mark",
    "redraw",
    "shown",
    "link",
    "count",
    "remind",
    "uncount",
    "expire",
    "card",
    "carded",
    "take",
    "hand over",
    "release",
    "note",
    "ask back",
    "inquiry",
    "put",
    "reply",
)
_FACTOR_VERBS: Final = ("start", "push", "poll", "attempt", "prove")  # fmt: skip

_FLOOD_VERBS: Final = ("places", "wait", "call", "line", "burst card")

_BOUNDARIES: Final = (
    *(f"{moment} {verb}" for verb in _VERBS for moment in ("before", "after")),
    "after receive",
)

#: Where a worker with a second factor can die besides: at a click that starts an attempt, at a call to the
#: provider, where an attempt is stored (its claim, its push's id, its lease), and at a verdict.
_FACTOR_BOUNDARIES: Final = tuple(
    f"{moment} {verb}" for verb in _FACTOR_VERBS for moment in ("before", "after")
)


#: Where one can die besides in a flood: where places are stored, a question waits or is called, and at
#: the calls for the line and the card of a burst.
_FLOOD_BOUNDARIES: Final = tuple(
    f"{moment} {verb}" for verb in _FLOOD_VERBS for moment in ("before", "after")
)


def boundaries(*, factor: bool, flood: bool = False) -> Sequence[str]:
    """Return where a life can end, with or without a second factor, and floods for one person."""
    factored = _FACTOR_BOUNDARIES if factor else ()
    return (*_BOUNDARIES, *factored, *(_FLOOD_BOUNDARIES if flood else ()))


#: What the kinds of assignments are called here.
_ASSIGNED: Final = {
    AssignmentKind.TAKEN: "take",
    AssignmentKind.HANDED_OVER: "hand over",
    AssignmentKind.RELEASED: "release",
}


class KillSwitch:
    """Kills this process at the n-th passing of a boundary; at none if `boundary` is empty.

    Passings before `armed_at` (seconds since 1970, by our own clock) do not count.
    """

    def __init__(self, boundary: str, passings: int, armed_at: float = 0.0) -> None:
        self._boundary = boundary
        self._left = passings
        self._armed_at = armed_at

    def pass_by(self, boundary: str) -> None:
        """Die here, if it is time."""
        if boundary != self._boundary or time.time() < self._armed_at:
            return
        self._left -= 1
        if self._left == 0:
            os.write(sys.stdout.fileno(), json.dumps({"dies": boundary}).encode() + b"\n")
            os.kill(os.getpid(), signal.SIGKILL)


class KillableProxy:
    """Stands for `inner`, and passes a boundary before and after each call of a method that has a verb."""

    def __init__(self, inner: Any, verbs: Mapping[str, str], kill_switch: KillSwitch) -> None:
        self._inner = inner
        self._verbs = verbs
        self._kill_switch = kill_switch

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._inner, name)
        verb = self._verbs.get(name)
        if verb is None or not inspect.iscoroutinefunction(attribute):
            return attribute

        async def guarded(*values: Any, **options: Any) -> Any:
            self._kill_switch.pass_by(f"before {verb}")
            result = await attribute(*values, **options)
            self._kill_switch.pass_by(f"after {verb}")
            return result

        return guarded


class KillableRecorder(Recorder):
    """Passes a boundary before and after each step that is stored, named by what the step does."""

    kill_switch: KillSwitch

    async def save(self, before: Question, step: Step) -> Question | None:
        verb = verb_of(before, step)
        self.kill_switch.pass_by(f"before {verb}")
        saved = await super().save(before, step)
        self.kill_switch.pass_by(f"after {verb}")
        return saved


def verb_of(before: Question, step: Step) -> str:
    """Name what a step does to a question."""
    after = step.question
    if step.report is not None or step.attempt is not None:
        return _ending(before, step)
    if after.assignments != before.assignments:
        return _ASSIGNED[after.handled[-1].kind]
    if after.reminders != before.reminders:
        return "count" if after.reminders > before.reminders else "uncount"
    if (after.card_ts, after.card_due_at) != (before.card_ts, before.card_due_at):
        return "carded"
    if after.shown != before.shown:
        return "shown"
    return _asking(before, after)


def _ending(before: Question, step: Step) -> str:
    """Name a step that MozDef is told about, or that is about a proof."""
    after = step.question
    if step.inquiry is not None:
        return "reply" if step.inquiry.replies else "ask back"
    if step.attempt is not None:
        return "start" if step.attempt.sent_at is None and step.report is None else "prove"
    if after.notes > before.notes:
        return "note"
    if after.state is State.CLOSED:
        return "close"
    return "expire" if after.standing in (Outcome.TIMED_OUT, Outcome.UNDELIVERABLE) else "answer"


def _asking(before: Question, after: Question) -> str:
    """Name a step on the way to being asked."""
    if after.ts != before.ts:
        return "record"
    if after.waits_for != before.waits_for:
        return "wait" if after.waits_for else "call"
    if after.in_doubt_since is None:
        return "retry"
    return "claim" if after.in_doubt_since != before.in_doubt_since else "defer"


STORE_VERBS: Final = {
    "add": "accept",
    "mark_sent": "mark",
    "mark_parked": "mark",
    "save_attempt": "attempt",
    "save_inquiry": "inquiry",
    "save_places": "places",
}
MESSENGER_VERBS: Final = {
    "find_person": "find",
    "post": "post",
    "post_inquiry": "put",
    "post_line": "line",
    "look_up": "look",
    "redraw": "redraw",
    "link_to": "link",
    "remind": "remind",
}
FACTOR_VERBS: Final = {"push": "push", "poll": "poll"}
TEAM_VERBS: Final = {"show": "card", "show_burst": "burst card"}
REQUEST_VERBS: Final = {"receive": "receive", "delete_batch": "delete"}
RESPONSE_VERBS: Final = {"send_batch": "send"}
DEAD_LETTER_VERBS: Final = {"send_batch": "copy"}
