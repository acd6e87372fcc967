"""The verb *ask*: from an accepted request to a question that is posted in Slack once.

Order matters: find the person, claim durably, post, record. A worker that dies between claim and record
leaves a row in doubt, and a row in doubt is looked up in Slack before it is posted again.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from bot.backoff import retry_delay
from bot.errors import (
    AmbiguousError,
    AppRejected,
    NoConversation,
    TransientError,
    Undeliverable,
    UnknownErrorCode,
)
from bot.triage import asking_rules, place_rules, responder_rules, restore_rules
from bot.triage.bursts import Bursts
from bot.triage.log_events import log_question
from bot.triage.look_ups import LookUpDelays, LookUpResult, LookUps
from bot.triage.model import MessageRef, Person, Question, State, Step
from bot.triage.outcomes import Reason, SlackCode, reason_of
from bot.triage.people_finder import LOOK_UPS_MAX, Finder
from bot.triage.ports import Messenger
from bot.triage.rate_limits import ConcurrencyLimiter, Pacing
from bot.triage.recorder import Recorder
from bot.triage.restores import Restores
from bot.triage.unknown_errors import UnknownErrorHistory

log = logging.getLogger(__name__)


class Asker:
    """Takes a question that is due one step closer to being asked."""

    def __init__(  # noqa: PLR0913 - it has as many to work with
        self,
        messenger: Messenger,
        recorder: Recorder,
        *,
        bursts: Bursts,
        pacing: Pacing,
        restores: Restores | None = None,
        delays: LookUpDelays | None = None,
    ) -> None:
        self.bursts = bursts
        self.finder = Finder(
            messenger,
            recorder.policy.people,
            clock=recorder.clock,
            limiter=ConcurrencyLimiter(jitter=pacing.jitter, concurrency=LOOK_UPS_MAX),
        )
        self._messenger = messenger
        self._recorder = recorder
        self.restores = restores or Restores(messenger, recorder)
        self._clock = recorder.clock
        self._pacing = pacing
        self._limiter = pacing.limiter
        self._unknown_errors = UnknownErrorHistory()
        self._delays = delays or LookUpDelays()
        self._look_ups = LookUps(messenger, clock=recorder.clock, delays=self._delays)
        self._claims: dict[str, Question] = {}  #: rows that this process has claimed and is posting, by ref

    async def ask(self, question: Question) -> None:
        """Ask, or find out whether it was asked. A failure reschedules the question, or ends it.

        Raises `StoreError`.
        """
        await self._try(question, self._take_step)

    async def find_person(self, question: Question) -> None:
        """Find out whom to ask. A failure reschedules the question; if there is nobody to ask, it ends.
        Raises `StoreError`.
        """
        await self._try(question, self._person)

    async def _try(self, question: Question, step: Callable[[Question], Awaitable[object]]) -> None:
        if question.state not in (State.ACCEPTED, State.POSTING):
            return  # it was asked, or never will be
        try:
            await step(question)
        except Undeliverable as error:
            await self._close(self._claims.get(question.ref, question), reason_of(error.reason))
        except TransientError as error:
            await self._retry(question, error)
        except AmbiguousError as error:
            await self._leave_in_doubt(self._claims.get(question.ref, question), error)
        finally:
            self._claims.pop(question.ref, None)

    async def identify(self, question: Question) -> Question | None:
        """Find out whom a row of a restored backup is for, so that a click on it can be checked.

        Return the row as it is then; None if it is gone. Raises `TransientError` if that is not known yet.
        """
        if question.state is State.ACCEPTED and question.in_doubt_since is not None:
            with contextlib.suppress(
                Undeliverable
            ):  # if there is nobody, the sweeper will find that out, too, and end the question
                return await self._claim_restored(question)
        return question

    async def _take_step(self, question: Question) -> None:
        if question.in_doubt_since is None and question.waits_for:
            await self._give_up(question)
        elif question.in_doubt_since is None:
            await self._ask_in_turn(question)
        elif question.state is State.ACCEPTED:
            await self._claim_restored(question)
        else:
            await self._look(question)

    async def _ask_in_turn(self, question: Question) -> None:
        person = await self._person(question)
        now = self._clock()
        _, released = await self._recorder.decide(
            question, lambda row: responder_rules.release_own(row, person, now)
        )
        if released is not None:
            return  # it is still due
        if await self._waits_for_hours(question, person):
            return
        claimed, since = await self._claim_in_turn(question, person)
        if claimed is not None and not await self._give_up_stale(claimed, since):
            await self._post_claimed(claimed, since)

    async def _claim_in_turn(self, question: Question, person: Person) -> tuple[Question | None, timedelta]:
        """Return the claimed question, and `Clock.boottime` before the claim.

        None if it waits for a place or for its turn, or must not be asked now.
        """
        since = self._clock.boottime()
        # Before its turn among the person's messages is reserved: what waits for a place needs none.
        async with self.bursts.turn(question, person) as places:
            if places is None:
                return None, since
            wait = self._pacing.wait_for(question, self._clock)
            if wait:
                await self.bursts.postpone(question, person, places, self._clock() + wait)
                return None, since
            if not await self.restores.before_asking(question, person):
                return None, since
            since = self._clock.boottime()
            return await self.bursts.claim(question, person, places), since

    async def _give_up(self, question: Question) -> None:
        """Give up a question that was reported, and has found no place since."""
        now, policy = self._clock(), self._recorder.policy
        current = await self._decide(question, lambda row: place_rules.stop_waiting(row, now, policy))
        if current is not None and current.state is State.CLOSED:
            log_question(log.info, "question.given_up", current)

    async def _post_claimed(self, claimed: Question, since: timedelta) -> None:
        self._claims[claimed.ref] = claimed
        # A process that freezes from here on, during the call, may still post too late: Slack's API has no
        # "post unless it exists". So the age of the claim is checked last, and the call has a timeout.
        message_ref = await self._post(claimed, since)
        if message_ref is None:
            return
        self._unknown_errors.note_success(claimed, self._clock.monotonic())
        await self._record(claimed, message_ref, is_new=True)
        self._limiter.reset()

    async def _post(self, claimed: Question, since: timedelta) -> MessageRef | None:
        """Post the question, and open the conversation first if necessary; None if the claim was given up.

        `since` is `Clock.boottime` before the claim.
        """
        try:
            with contextlib.suppress(NoConversation):
                return await self._send(claimed)
            channel = await self._messenger.open_conversation(claimed)
            if await self._give_up_stale(claimed, since):
                return None
            return await self._send(claimed, channel)
        except AppRejected as error:
            self._limiter.trip(error, self._clock.monotonic())
            raise
        except UnknownErrorCode as error:
            self._unknown_errors.judge(claimed, error, self._clock.monotonic(), self._limiter)

    async def _send(self, claimed: Question, channel: str = "") -> MessageRef:
        """Post the question. Only a wait that Slack asks for here pauses all posts."""
        try:
            return await self._messenger.post(claimed, channel=channel)
        except TransientError as error:
            if error.retry_after is not None:
                self._limiter.slow_down(error.retry_after, self._clock.monotonic())
            raise

    async def _give_up_stale(self, claimed: Question, since: timedelta) -> bool:
        """Give up a claim that grew old while this process, or the machine, was frozen: another worker may
        have taken over.
        """
        now = self._clock()
        age = max(now - (claimed.in_doubt_since or now), self._clock.boottime() - since)
        if age <= self._delays.claim_holds:
            return False
        step = asking_rules.record_not_posted(claimed, now)
        if step is None:
            return False
        log_question(log.warning, "question.delayed", claimed, "question delayed: the claim is too old")
        # Saves this version only: a worker that took over has stored a newer one before posting.
        await self._recorder.save(claimed, step)
        return True

    async def _person(self, question: Question) -> Person:
        person = await self.finder.find(question)
        reason = asking_rules.why_not_ask(person, self._recorder.policy)
        if reason is not None:
            raise Undeliverable(reason)
        return person

    async def _waits_for_hours(self, question: Question, person: Person) -> bool:
        now, policy = self._clock(), self._recorder.policy
        ask_at = policy.ask_at(question, person, now)
        if ask_at <= now:
            return False
        await self._recorder.decide(
            question, lambda row: asking_rules.wait_for_hours(row, person, ask_at, policy)
        )
        return True

    async def _claim_restored(self, question: Question) -> Question | None:
        """Claim a row of a restored backup, which may have been asked since the backup was made."""
        person = await self._person(question)
        await self.bursts.hold(question, person)
        current, _ = await self._recorder.decide(
            question, lambda row: asking_rules.claim_restored(row, person, self._clock())
        )
        return current

    async def _record(self, question: Question, message_ref: MessageRef, *, is_new: bool = False) -> None:
        """Record where the question is: it was posted just now, or found."""
        policy, restore, lag = self._recorder.policy, await self.restores.restore(), self._clock.lag

        def record(row: Question) -> Step | None:
            now = self._clock()
            known = restore_rules.note_certain(row, restore, now) if is_new else row
            step = asking_rules.record_asked(known, message_ref, now, policy, lag=lag)
            return step and restore_rules.read_soon(step, restore, now)

        await self._recorder.decide(question, record)
        self.forget(question)
        log_question(log.info, "question.asked", question, channel=message_ref.channel)

    async def _look(self, question: Question) -> None:
        found = await self._look_ups.look(question)
        if found is LookUpResult.IMPOSSIBLE:
            await self._close(question, Reason.DELIVERY_UNKNOWN)
        elif found is LookUpResult.NOT_POSTED:
            await self._ask_again(question)
        elif isinstance(found, LookUpResult):
            await self._look_later(question, self._look_ups.look_at(question))
        else:
            await self._record(question, found)

    async def _ask_again(self, question: Question) -> None:
        self._look_ups.forget(question)
        log_question(log.info, "question.not_found", question, "not found in Slack, so it was not asked")
        restore = await self.restores.restore()
        if restore_rules.is_unread(question, restore):
            await self.bursts.release(question)  # otherwise all that are held this way would be asked at once

        def record(row: Question) -> Step | None:
            return asking_rules.record_not_posted(
                restore_rules.note_certain(row, restore, self._clock()), self._clock()
            )

        await self._decide(question, record)

    async def _look_later(self, question: Question, look_at: datetime) -> None:
        current = await self._decide(question, lambda row: asking_rules.defer(row, look_at))
        if current is None or current.in_doubt_since is None:
            self._look_ups.forget(question)  # a click was faster

    async def _leave_in_doubt(self, question: Question, error: AmbiguousError) -> None:
        """Leave the row in doubt: the post may have happened."""
        log_question(log.warning, "question.unconfirmed", question, "it may have been posted: %s", error)
        await self._look_later(question, self._look_ups.mark_in_doubt(question))

    async def _retry(self, question: Question, error: TransientError) -> None:
        log_question(log.warning, "question.delayed", question, "question delayed: %s", error)
        # A wait that Slack asks for needs no back-off: the method's limiter limits how many calls start then.
        asked, backoff = error.retry_after, retry_delay(question.attempts, self._pacing.jitter())
        due_at = self._clock() + (backoff if asked is None else asked)
        claimed = self._claims.get(question.ref)
        if claimed is not None:
            await self._decide(claimed, lambda row: asking_rules.record_not_posted(row, due_at))
        else:
            await self._decide(question, lambda row: asking_rules.defer(row, due_at))

    async def _close(self, question: Question, reason: Reason | SlackCode) -> None:
        now, policy, restore = self._clock(), self._recorder.policy, await self.restores.restore()

        def close(row: Question) -> Step | None:
            return asking_rules.close(restore_rules.give_up_reading(row, restore, now), reason, now, policy)

        await self._decide(question, close)
        self.forget(question)
        log_question(log.info, "question.closed", question, reason=reason)

    async def _decide(
        self, question: Question, decision: Callable[[Question], Step | None]
    ) -> Question | None:
        """Store a decision on a row that is still to be asked, unless another worker has claimed it since."""

        def decide(row: Question) -> Step | None:
            is_open = row.state in (State.ACCEPTED, State.POSTING)
            return decision(row) if is_open and row.in_doubt_since == question.in_doubt_since else None

        current, _ = await self._recorder.decide(question, decide)
        return current

    def forget(self, question: Question) -> None:
        """Forget what this process knows about a question that was asked, or has ended."""
        self.finder.forget(question)
        self._unknown_errors.forget(question)
        self._look_ups.forget(question)
