"""The verb *ask*: from an accepted request to a question that stands in Slack, once.

Order matters: find the person, claim durably, post, record. Whoever dies or is cut off between claim and
record leaves a row in doubt, and a row in doubt is looked up before it is ever posted again.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from bot.errors import AmbiguousError, CannotGoOn, TransientError, Undeliverable, UnknownRefusal
from bot.triage import rules
from bot.triage.events import about
from bot.triage.model import State
from bot.triage.refusals import Refusals

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from bot.triage.model import Posted, Question, Step
    from bot.triage.ports import Messenger
    from bot.triage.recorder import Recorder

log = logging.getLogger(__name__)

#: A look-up comes no sooner than this after the post's ambiguous end: Slack's history lags.
FIRST_LOOK = timedelta(seconds=5)

#: "Not found" counts when seen twice, this far apart.
LOOKS_APART = timedelta(seconds=10)

#: How long a row in doubt waits where the app may not read its history any more.
SCOPE_WAIT = timedelta(seconds=60)


@dataclass(slots=True)
class _Doubt:
    """What this process knows of a row in doubt. A new process looks twice anew."""

    look_at: datetime
    missed: bool = False


class Asker:
    """Takes questions that are due one step further towards having been asked."""

    def __init__(self, messenger: Messenger, recorder: Recorder, *, spread: Callable[[], float]) -> None:
        self._messenger = messenger
        self._recorder = recorder
        self._clock = recorder.clock
        self._spread = spread
        self._refusals = Refusals()
        self._doubts: dict[str, _Doubt] = {}

    async def ask(self, question: Question) -> None:
        """Ask, or find out whether it was asked. Whatever fails is due again later, or ends the question."""
        try:
            await self._take_step(question)
        except Undeliverable as error:
            await self._close(question, error.reason)
        except UnknownRefusal as error:
            await self._meet_refusal(question, error)
        except TransientError as error:
            await self._retry(question, error)
        except AmbiguousError as error:
            await self._doubt(question, error)

    async def _take_step(self, question: Question) -> None:
        if question.in_doubt_since is not None:
            await self._look(question)
        else:
            await self._post(question)

    async def _post(self, question: Question) -> None:
        person = await self._messenger.find_person(question.request.user)
        reason = rules.why_not_ask(person, self._recorder.policy)
        if reason is not None:
            raise Undeliverable(reason)
        claimed = await self._recorder.save(rules.claim(question, person, self._clock()))
        if claimed is not None:
            await self._record(claimed, await self._messenger.post(claimed))

    async def _record(self, question: Question, posted: Posted) -> None:
        await self._recorder.decide(question, lambda row: rules.asked(row, posted, self._clock()))
        self._forget(question)
        log.info("question asked", extra=about(question, "question.asked", channel=posted.channel))

    async def _look(self, question: Question) -> None:
        if not self._messenger.can_look_up:
            await self._close(question, "delivery_unknown")
            return
        now = self._clock()
        doubt = self._doubts.setdefault(question.ref, _Doubt(look_at=now + FIRST_LOOK))
        if now < doubt.look_at:
            await self._look_later(question, doubt.look_at)
            return
        posted = await self._find(question)
        if posted is not None:
            await self._record(question, posted)
        elif doubt.missed:
            await self._post_again(question)
        else:
            doubt.look_at, doubt.missed = self._clock() + LOOKS_APART, True
            await self._look_later(question, doubt.look_at)

    async def _find(self, question: Question) -> Posted | None:
        """Look the question up. A look that failed says nothing of the question: it is only tried again."""
        try:
            return await self._messenger.look_up(question)
        except Undeliverable as error:
            raise TransientError(f"the look-up was refused: {error.reason}") from error
        except CannotGoOn as error:
            raise TransientError(f"the look-up was refused: {error.code}", retry_after=SCOPE_WAIT) from error
        except (UnknownRefusal, AmbiguousError) as error:
            raise TransientError(f"the look-up failed: {error}") from error

    async def _post_again(self, question: Question) -> None:
        self._doubts.pop(question.ref, None)
        log.info("question not found, so it was not asked", extra=about(question, "question.missed"))
        await self._recorder.decide(question, lambda row: rules.not_posted(row, self._clock()))

    async def _look_later(self, question: Question, look_at: datetime) -> None:
        await self._recorder.decide(question, lambda row: _if_open(row, rules.defer, look_at))

    async def _doubt(self, question: Question, error: AmbiguousError) -> None:
        """Leave the row in doubt: the post may have happened."""
        log.warning("unsure whether asked: %s", error, extra=about(question, "question.doubted"))
        look_at = self._clock() + FIRST_LOOK
        self._doubts[question.ref] = _Doubt(look_at=look_at)
        await self._look_later(question, look_at)

    async def _retry(self, question: Question, error: TransientError) -> None:
        log.warning("not asked yet: %s", error, extra=about(question, "question.delayed"))
        due_at = self._clock() + self._delay(question, error)
        definite = question.in_doubt_since is None
        await self._recorder.decide(question, lambda row: _not_done(row, due_at, definite=definite))

    async def _meet_refusal(self, question: Question, error: UnknownRefusal) -> None:
        now = self._clock()
        self._refusals.note(question, error.code, now)
        if self._refusals.is_final(question, error.code, now):
            await self._close(question, error.code)
        else:
            await self._retry(question, error)

    async def _close(self, question: Question, reason: str) -> None:
        now = self._clock()
        await self._recorder.decide(
            question, lambda row: rules.close(row, reason, now, self._recorder.policy)
        )
        self._forget(question)
        log.info("question closed", extra=about(question, "question.closed", reason=reason))

    def _delay(self, question: Question, error: TransientError) -> timedelta:
        jittered = rules.retry_delay(question.attempts, self._spread())
        return jittered if error.retry_after is None else error.retry_after + jittered

    def _forget(self, question: Question) -> None:
        self._refusals.forget(question)
        self._doubts.pop(question.ref, None)


def _if_open(row: Question, decision: Callable[[Question, datetime], Step], due_at: datetime) -> Step | None:
    return decision(row, due_at) if row.state in (State.ACCEPTED, State.POSTING) else None


def _not_done(row: Question, due_at: datetime, *, definite: bool) -> Step | None:
    """Put a row back after a failure: out of doubt only if it was a post of ours that was not done."""
    if row.state is State.POSTING and definite:
        return rules.not_posted(row, due_at)
    return _if_open(row, rules.defer, due_at)
