"""The verb *ask back*: posts each inquiry (a follow-up question) once, in a message of its own.

Like a question, an inquiry is claimed before it is posted, and looked up before it is posted again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, TypeVar

from bot.backoff import pause, retry_delay, when_set
from bot.errors import (
    AmbiguousError,
    AppRejected,
    StoreError,
    TransientError,
    Undeliverable,
    UnknownErrorCode,
)
from bot.triage import inquiry_rules
from bot.triage.answer_rules import Refusal, count_refusal
from bot.triage.inquiry import Inquiry, Reply
from bot.triage.log_events import Event, log_event, log_question
from bot.triage.look_ups import LookUpDelays, LookUpResult, LookUps
from bot.triage.model import MessageRef, Question, RefusedClick
from bot.triage.outcomes import Reason, reason_of
from bot.triage.ports import Messenger
from bot.triage.rate_limits import Pacing
from bot.triage.recorder import Recorder
from bot.triage.restores import Restores

T = TypeVar("T")

log = logging.getLogger(__name__)

#: How often to look for inquiries that are due: while one is on its way, and otherwise.
BUSY_INTERVAL: Final = timedelta(seconds=1)
IDLE_INTERVAL: Final = timedelta(seconds=15)

#: The most inquiries in progress at a time.
CONCURRENCY: Final = 8

#: How long to retry an inquiry that Slack refuses with an unknown code, or with one that may concern the app.
REFUSED_FOR: Final = timedelta(minutes=15)

#: How long to wait if Slack rejects the app itself.
REJECTED_WAIT: Final = timedelta(seconds=30)


class Inquirer:
    """Posts the follow-up questions of the security team."""

    def __init__(
        self,
        messenger: Messenger,
        recorder: Recorder,
        *,
        restores: Restores,
        pacing: Pacing,
        on_work: Callable[[], None],
    ) -> None:
        self._messenger = messenger
        self._recorder = recorder
        self._store = recorder.store
        self._clock = recorder.clock
        self._restores = restores
        self._pacing = pacing
        self._on_work = on_work
        self._delays = LookUpDelays()
        self._look_ups = LookUps(messenger, clock=recorder.clock, delays=self._delays)
        #: By ref: when those that wait for their turn continue, on `Clock.monotonic`.
        self._turns: dict[str, timedelta] = {}
        self._due: dict[str, datetime] = {}  #: by ref: when those that this worker knows continue
        self._wake_event = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def wake(self) -> None:
        """Look for what is due at once."""
        self._wake_event.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then finish what is in progress. Raises nothing."""
        with when_set(stop, self.wake):
            while not stop.is_set():
                self._wake_event.clear()
                await self.start_due()
                is_busy = bool(self._tasks or self._due)
                interval = BUSY_INTERVAL if is_busy else IDLE_INTERVAL
                await pause(self._wake_event, seconds=interval.total_seconds())
        await asyncio.gather(*self._tasks.values())

    async def start_due(self) -> None:
        """Start what is due and not in progress yet. While the time is not known, nothing is due."""
        if not self._clock.is_known:
            return
        stale = self._clock() - inquiry_rules.CLAIM_LEASE  # another worker has taken those over
        self._due = {ref: due_at for ref, due_at in self._due.items() if due_at > stale}
        try:
            due = await self._store.due_inquiries(self._clock(), limit=CONCURRENCY + len(self._tasks))
        except StoreError as error:
            log_event(log.error, "sweep.failed", "sweep failed: %s", error)
            return
        for inquiry in due:
            if inquiry.ref not in self._tasks and len(self._tasks) < CONCURRENCY:
                task = asyncio.create_task(self._work(inquiry), name=f"ask back {inquiry.ref}")
                self._tasks[inquiry.ref] = task

    async def _work(self, inquiry: Inquiry) -> None:
        try:
            await self.advance(inquiry)
        except StoreError as error:  # it stays due
            log_inquiry(log.error, "inquiry.failed", inquiry, "inquiry failed: %s", error)
        except Exception:  # noqa: BLE001 - it is logged, with its traceback
            log_inquiry(log.exception, "inquiry.failed", inquiry)
        finally:
            del self._tasks[inquiry.ref]

    async def find(self, click: Reply) -> Inquiry | Refusal:
        """Return the inquiry that somebody wants to reply to. Raises as `reply` does."""
        question = await self._load(click)
        if question is None:
            return Refusal.LOST_INQUIRY
        known = await self._store.inquiries_of(click.ref)
        found = inquiry_rules.find_inquiry(known, click.ref)
        return inquiry_rules.why_not_reply(question, click) or found or Refusal.LOST_INQUIRY

    async def reply(self, reply: Reply) -> Question | Refusal:
        """Accept a reply. When this returns a question, the reply is durable.

        Raises `StoreError` if it was not stored, and `TransientError` if, after a restore, the standing is
        not certain yet: the person must be able to send the reply again.
        """
        question = await self._load(reply)
        if question is None:
            return Refusal.LOST_INQUIRY
        policy = self._recorder.policy
        current, verdict = await self._recorder.decide_inquiry(
            question, lambda row, known: inquiry_rules.take_reply(row, known, reply, policy)
        )
        if current is None:
            return Refusal.LOST_INQUIRY
        if isinstance(verdict, Refusal):
            refused = RefusedClick(slack_id=reply.slack_id, reason=verdict.value)
            await self._recorder.decide(current, lambda row: count_refusal(row, refused))
            log_question(log.info, "click.refused", current, reason=verdict.value)
            return verdict
        if verdict is not None and verdict.inquiry is not None:
            self._look_ups.forget(verdict.inquiry)
            log_inquiry(log.info, "inquiry.replied", verdict.inquiry)
            self._on_work()
        return current

    async def _load(self, reply: Reply) -> Question | None:
        """Return the question of the alert that an inquiry is about, with a certain standing."""
        stored = await self._store.load_by_key(reply.ref.partition(".")[0])
        return stored and await self._restores.before_click(stored, reply.slack_id, None)

    async def advance(self, inquiry: Inquiry) -> None:
        """Do the next step towards asking an inquiry. Raises `StoreError`."""
        self._due.pop(inquiry.ref, None)
        question = await self._store.find(inquiry.identifier)
        if question is None or inquiry.due_at is None:
            return
        if inquiry.in_doubt_since is not None:
            await self._look(inquiry)
        elif wait := self._find_wait(inquiry, question):
            await self._save(
                replace(inquiry_rules.defer(inquiry, self._clock() + wait), attempts=inquiry.attempts)
            )
        elif await self._can_be_read(inquiry, question):
            await self._claim_and_post(inquiry, question)

    async def _can_be_read(self, inquiry: Inquiry, question: Question) -> bool:
        """Whether the person's account is active: a post to a deactivated one succeeds, but nobody reads it.

        If it is not, the inquiry is closed; if Slack does not say, it is deferred.
        """
        try:
            person = await self._call(inquiry, self._messenger.find_person(question.slack_id))
        except TransientError as error:
            log_inquiry(log.warning, "inquiry.delayed", inquiry, "inquiry delayed: %s", error)
            await self._save(inquiry_rules.defer(inquiry, self._retry_at(inquiry, error)))
            return False
        except Undeliverable as error:
            await self._fail(inquiry, str(reason_of(error.reason)))
            return False
        if person.deactivated:
            await self._fail(inquiry, Reason.USER_DEACTIVATED.value)
        return not person.deactivated

    async def _claim_and_post(self, inquiry: Inquiry, question: Question) -> None:
        since, now = self._clock.boottime(), self._clock()
        claimed = inquiry_rules.claim(inquiry, now)
        if not await self._save(claimed):
            return
        age = max(self._clock() - now, self._clock.boottime() - since)
        if age > self._delays.claim_holds:  # the process was frozen: another worker may have taken over
            await self._save(inquiry_rules.record_not_posted(claimed, self._clock()))
            return
        try:
            place = await self._call(claimed, self._messenger.post_inquiry(claimed, question))
            await self._record(claimed, place)
        except AmbiguousError as error:
            log_inquiry(log.warning, "inquiry.unconfirmed", claimed, "it may have been posted: %s", error)
            await self._save(inquiry_rules.defer(claimed, self._look_ups.mark_in_doubt(claimed)))
        except TransientError as error:
            log_inquiry(log.warning, "inquiry.delayed", claimed, "inquiry delayed: %s", error)
            await self._save(inquiry_rules.record_not_posted(claimed, self._retry_at(claimed, error)))
        except Undeliverable as error:
            await self._fail(claimed, str(reason_of(error.reason)))

    async def _call(self, inquiry: Inquiry, call: Awaitable[T]) -> T:
        """Return the result of a call to Slack; tell the limiter if Slack rejects the app or asks to wait."""
        limiter, now = self._pacing.limiter, self._clock.monotonic
        try:
            result = await call
        except AppRejected as error:
            limiter.trip(error, now())
            raise
        except UnknownErrorCode as error:
            if self._clock() - inquiry.accepted_at >= REFUSED_FOR:
                raise Undeliverable(error.code) from error
            raise
        except TransientError as error:
            if error.retry_after is not None:
                limiter.slow_down(error.retry_after, now())
            raise
        limiter.reset()
        return result

    async def _look(self, inquiry: Inquiry) -> None:
        try:
            found = await self._look_ups.look(inquiry)
        except TransientError as error:
            log_inquiry(log.warning, "inquiry.delayed", inquiry, "looked up later: %s", error)
            await self._save(inquiry_rules.defer(inquiry, self._retry_at(inquiry, error)))
            return
        if found is LookUpResult.IMPOSSIBLE:
            await self._fail(inquiry, Reason.DELIVERY_UNKNOWN.value)
        elif found is LookUpResult.NOT_POSTED:
            self._look_ups.forget(inquiry)
            await self._save(inquiry_rules.record_not_posted(inquiry, self._clock()))
        elif isinstance(found, LookUpResult):
            await self._save(inquiry_rules.defer(inquiry, self._look_ups.look_at(inquiry)))
        else:
            await self._record(inquiry, found)

    async def _record(self, inquiry: Inquiry, place: MessageRef) -> None:
        self._look_ups.forget(inquiry)
        if await self._save(inquiry_rules.record_asked(inquiry, place, self._clock())):
            log_inquiry(log.info, "inquiry.asked", inquiry)

    async def _fail(self, inquiry: Inquiry, reason: str) -> None:
        self._look_ups.forget(inquiry)
        question, failed = await self._store.find(inquiry.identifier), replace(inquiry, reason=reason)
        if question is None:
            return
        now, policy = self._clock(), self._recorder.policy
        _, step = await self._recorder.decide_inquiry(
            question, lambda row, known: inquiry_rules.fail(row, known, failed, now, policy)
        )
        if step is not None:
            log_inquiry(log.warning, "inquiry.closed", inquiry, reason=reason)
            self._on_work()

    async def _save(self, inquiry: Inquiry) -> bool:
        """Store an inquiry and remember when it is due; False if a reply or another worker was faster."""
        is_saved = await self._store.save_inquiry(inquiry)
        if is_saved and inquiry.due_at is not None:
            self._due[inquiry.ref] = inquiry.due_at
        return is_saved

    def _find_wait(self, inquiry: Inquiry, question: Question) -> timedelta:
        """Return how long to wait: for a turn among the person's messages, or until Slack may be called."""
        now = self._clock.monotonic()
        turn = self._turns.pop(inquiry.ref, None)
        if turn is None:
            turn = self._pacing.rate_limiter.reserve(question.request.user, now)
        turn = max(turn, self._pacing.limiter.opens_at(now) or turn)
        if turn > now:
            self._turns[inquiry.ref] = turn
        return max(turn - now, timedelta(0))

    def _retry_at(self, inquiry: Inquiry, error: TransientError) -> datetime:
        jittered = retry_delay(inquiry.attempts, self._pacing.jitter())
        return self._clock() + (error.retry_after if error.retry_after is not None else jittered)


def log_inquiry(
    write: Callable[..., None],
    event: Event,
    inquiry: Inquiry,
    message: str = "",
    /,
    *values: object,
    **fields: object,
) -> None:
    """Write one record as `log_event` does, with the inquiry's alert and number as first fields."""
    log_event(write, event, message, *values, identifier=inquiry.identifier, n=inquiry.number, **fields)
