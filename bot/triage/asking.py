"""The verb *ask*: from an accepted request to a question that stands in Slack, once.

Order matters: find the person, claim durably, post, record. Whoever dies or is cut off between claim and
record leaves a row in doubt, and a row in doubt is looked up before it is ever posted again.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, NoReturn

from bot.errors import AmbiguousError, CannotGoOn, TransientError, Undeliverable, UnknownRefusal
from bot.triage import rules
from bot.triage.changing import changed
from bot.triage.events import about
from bot.triage.looking import Lag, Look, Looker
from bot.triage.model import State
from bot.triage.pacing import is_in_turn
from bot.triage.refusals import Refusals

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from bot.triage.model import Person, Posted, Question, Step
    from bot.triage.pacing import Pacing
    from bot.triage.ports import Messenger
    from bot.triage.recorder import Recorder

log = logging.getLogger(__name__)

#: What to do about a code that several people have met and that our tables do not know.
_UNKNOWN_REMEDY = (
    "Look it up in Slack's documentation of chat.postMessage; see messages.toml if it blames the text."
)


class Asker:
    """Takes questions that are due one step further towards having been asked."""

    def __init__(
        self,
        messenger: Messenger,
        recorder: Recorder,
        *,
        pacing: Pacing,
        lag: Lag | None = None,
    ) -> None:
        self._messenger = messenger
        self._recorder = recorder
        self._clock = recorder.clock
        self._gate = pacing.gate
        self._pace = pacing.pace
        self._spread = pacing.spread
        self._refusals = Refusals()
        self._looker = Looker(messenger, clock=recorder.clock, lag=lag or Lag())

    async def ask(self, question: Question) -> None:
        """Ask, or find out whether it was asked. Whatever fails is due again later, or ends the question."""
        if question.state not in (State.ACCEPTED, State.POSTING):
            return  # it was asked, or never will be
        try:
            await self._take_step(question)
        except Undeliverable as error:
            await self._close(question, error.reason)
        except TransientError as error:
            await self._retry(question, error)
        except AmbiguousError as error:
            await self._doubt(question, error)

    async def identify(self, question: Question) -> Question | None:
        """Find out whose question a row of a restored backup is, so that a click on it can be judged.

        Return the row as it is then; None if it is gone. `TransientError`: that is not known yet.
        """
        if question.state is State.ACCEPTED and question.in_doubt_since is not None:
            with contextlib.suppress(Undeliverable):  # nobody's: the sweeper will find the same, and end it
                return await self._suspect(question)
        return question

    async def _take_step(self, question: Question) -> None:
        if question.in_doubt_since is None:
            await self._ask_in_turn(question)
        elif question.state is State.ACCEPTED:
            await self._suspect(question)
        else:
            await self._look(question)

    async def _ask_in_turn(self, question: Question) -> None:
        now = self._clock()
        turn = now if is_in_turn(question, now) else self._pace.reserve(question.request.user, now)
        if turn > now:
            await self._recorder.decide(question, lambda row: rules.postpone(row, turn))
            return
        try:
            await self._post(question)
        except CannotGoOn as error:
            self._gate.halt(error, self._clock())
            raise
        except UnknownRefusal as error:
            self._meet_refusal(question, error)
        except TransientError as error:
            if error.retry_after is not None:
                self._gate.slow_down(error.retry_after, self._clock())
            raise

    async def _post(self, question: Question) -> None:
        person = await self._person(question)
        if await self._waits_for_hours(question, person):
            return
        claimed = await self._recorder.save(question, rules.claim(question, person, self._clock()))
        if claimed is not None:
            await self._record(claimed, await self._messenger.post(claimed))
            self._gate.resume()

    async def _person(self, question: Question) -> Person:
        person = await self._messenger.find_person(question.request.user)
        reason = rules.why_not_ask(person, self._recorder.policy)
        if reason is not None:
            raise Undeliverable(reason)
        return person

    async def _waits_for_hours(self, question: Question, person: Person) -> bool:
        now, policy = self._clock(), self._recorder.policy
        ask_at = policy.ask_at(changed(question, time_zone=person.time_zone), now)
        if ask_at <= now:
            return False
        await self._recorder.decide(question, lambda row: rules.wait_for_hours(row, person, ask_at, policy))
        return True

    async def _suspect(self, question: Question) -> Question | None:
        """Take up a row of a restored backup, which may have been asked since the backup was made."""
        person = await self._person(question)
        current, _ = await self._recorder.decide(
            question, lambda row: rules.suspect(row, person, self._clock())
        )
        return current

    async def _record(self, question: Question, posted: Posted) -> None:
        policy = self._recorder.policy
        await self._recorder.decide(question, lambda row: rules.asked(row, posted, self._clock(), policy))
        self.forget(question)
        log.info("question asked", extra=about(question, "question.asked", channel=posted.channel))

    async def _look(self, question: Question) -> None:
        found = await self._looker.look(question)
        if found is Look.IMPOSSIBLE:
            await self._close(question, "delivery_unknown")
        elif found is Look.NOT_THERE:
            await self._ask_again(question)
        elif isinstance(found, Look):
            await self._look_later(question, self._looker.look_at(question))
        else:
            await self._record(question, found)

    async def _ask_again(self, question: Question) -> None:
        self._looker.forget(question)
        log.info("question not found, so it was not asked", extra=about(question, "question.missed"))
        await self._recorder.decide(question, lambda row: rules.not_posted(row, self._clock()))

    async def _look_later(self, question: Question, look_at: datetime) -> None:
        current, _ = await self._recorder.decide(question, lambda row: _if_open(row, rules.defer, look_at))
        if current is None or current.in_doubt_since is None:
            self._looker.forget(question)  # a click was faster

    async def _doubt(self, question: Question, error: AmbiguousError) -> None:
        """Leave the row in doubt: the post may have happened."""
        log.warning("unsure whether asked: %s", error, extra=about(question, "question.doubted"))
        await self._look_later(question, self._looker.doubt(question))

    async def _retry(self, question: Question, error: TransientError) -> None:
        log.warning("not asked yet: %s", error, extra=about(question, "question.delayed"))
        due_at = self._clock() + self._delay(question, error)
        definite = question.in_doubt_since is None
        await self._recorder.decide(question, lambda row: _not_done(row, due_at, definite=definite))

    def _meet_refusal(self, question: Question, error: UnknownRefusal) -> NoReturn:
        """Judge a refusal that blames nobody in particular. Raises it, or what it turned out to be."""
        now = self._clock()
        self._refusals.note(question, error.code, now)
        if self._refusals.is_worker_trouble(error.code):
            self._gate.halt(CannotGoOn(error.code, remedy=_UNKNOWN_REMEDY), now)
        if self._refusals.is_final(question, error.code, now):
            raise Undeliverable(error.code) from error
        raise error

    async def _close(self, question: Question, reason: str) -> None:
        now, policy = self._clock(), self._recorder.policy
        await self._recorder.decide(question, lambda row: rules.close(row, reason, now, policy))
        self.forget(question)
        log.info("question closed", extra=about(question, "question.closed", reason=reason))

    def _delay(self, question: Question, error: TransientError) -> timedelta:
        if error.retry_after is not None:
            return error.retry_after  # and no longer each time: the gate lets no more begin than Slack takes
        return rules.retry_delay(question.attempts, self._spread())

    def forget(self, question: Question) -> None:
        """Forget what this process knows of a question that is asked, or has ended."""
        self._refusals.forget(question)
        self._looker.forget(question)


def _if_open(row: Question, decision: Callable[[Question, datetime], Step], due_at: datetime) -> Step | None:
    return decision(row, due_at) if row.state in (State.ACCEPTED, State.POSTING) else None


def _not_done(row: Question, due_at: datetime, *, definite: bool) -> Step | None:
    """Put a row back after a failure: out of doubt only if it was a post of ours that was not done."""
    if row.state is State.POSTING and definite:
        return rules.not_posted(row, due_at)
    return _if_open(row, rules.defer, due_at)
