"""The verb *prove*: lets people prove a *yes*. A push is claimed before it is sent, and never sent twice.

An attempt is a row, and an asyncio task that sleeps between two polls. If its worker dies, another one
continues when its lease expires.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

from bot.backoff import pause, retry_delay, when_set
from bot.errors import AmbiguousError, NoDevice, PermanentError, StoreError, TransientError
from bot.triage import factor_rules
from bot.triage.factor import Attempt, PollResult, Push, Verdict
from bot.triage.log_events import log_event, log_question
from bot.triage.model import Question, Step
from bot.triage.ports import SecondFactor
from bot.triage.recorder import Recorder
from bot.triage.restores import Restores

log = logging.getLogger(__name__)

#: How often to look for attempts that another worker has abandoned; and if no kind of alert needs a proof,
#: for those that earlier settings have left.
LOOK_INTERVAL: Final = timedelta(seconds=5)
IDLE_INTERVAL: Final = timedelta(seconds=60)

#: The most attempts found at a time.
FOUND_MAX: Final = 100

#: How much of the lease must be left when a poll begins, how often the lease is renewed during a poll, and
#: how old a claim may be when the push is sent.
LEASE_LEFT_MIN: Final = timedelta(seconds=20)
RENEW_AFTER: Final = timedelta(seconds=15)
CLAIM_AGE_MAX: Final = timedelta(seconds=10)

#: How long to wait for calls in progress when stopping: a push whose id is not stored cannot be polled again.
STOP_WAIT: Final = timedelta(seconds=3)

#: How long to wait before retrying a push, while the time is not known, and after the store or Slack failed.
RETRY_AFTER: Final = timedelta(seconds=5)
CLOCK_PAUSE: Final = timedelta(seconds=1)
STORE_PAUSE: Final = timedelta(seconds=1)
SLACK_PAUSE: Final = timedelta(seconds=10)


class Prover:
    """Lets people prove a *yes* with the second factor. `factor` is None where there is no provider."""

    def __init__(
        self,
        factor: SecondFactor | None,
        recorder: Recorder,
        *,
        restores: Restores,
        jitter: Callable[[], float],
        on_work: Callable[[], None],
    ) -> None:
        self._factor = factor
        self._restores = restores
        self._recorder = recorder
        self._store = recorder.store
        self._clock = recorder.clock
        self._jitter = jitter
        self._on_work = on_work
        self._stop = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, attempt: Attempt) -> None:
        """Work on an attempt, unless this worker already does."""
        if attempt.key not in self._tasks and not self._stop.is_set():
            task = asyncio.create_task(self._work(attempt), name=f"prove {attempt.key}")
            self._tasks[attempt.key] = task

    async def run(self, stop: asyncio.Event) -> None:
        """Work on what is due until `stop` is set, then wait up to 3 s for calls in progress.

        Raises nothing.
        """
        with when_set(stop, self._stop.set):
            while not stop.is_set():
                is_used = await self._find() or self._tasks or self._recorder.policy.uses_factor
                interval = LOOK_INTERVAL if is_used else IDLE_INTERVAL
                await pause(stop, seconds=interval.total_seconds())
        # A call that takes longer goes on while the other loops stop; its attempt is safe in the store.
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=STOP_WAIT.total_seconds())

    async def _find(self) -> bool:
        """Start what is due; return whether there is any.

        While the time is not known, every push may seem expired.
        """
        if not self._clock.is_known:
            return True
        try:
            due = await self._store.due_attempts(self._clock(), limit=FOUND_MAX)
        except StoreError as error:
            log_event(log.error, "sweep.failed", "sweep failed: %s", error)
            return True
        for attempt in due:
            self.start(attempt)
        return bool(due)

    async def _work(self, attempt: Attempt) -> None:
        current: Attempt | None = attempt
        try:
            while current is not None and not self._stop.is_set():
                known = self._clock.is_known
                current = await (self._step(current) if known else self._wait(current, CLOCK_PAUSE))
        except (StoreError, TransientError) as error:  # it stays due
            log_event(log.error, "sweep.failed", "an attempt is left for later: %s", error)
        except Exception:  # noqa: BLE001 - it is logged, with its traceback
            log_event(log.exception, "sweep.failed", "an attempt is left for later")
        finally:
            del self._tasks[attempt.key]

    async def _step(self, attempt: Attempt) -> Attempt | None:
        """Do the next step; return the attempt after it, or None if this worker has nothing more to do."""
        if attempt.sent_at is None:
            return await self._send(attempt)
        if not attempt.push_id or self._factor is None:
            return await self._end_lost(attempt)
        return await self._poll(attempt, self._factor)

    async def _send(self, attempt: Attempt) -> Attempt | None:
        now, factor = self._clock(), self._factor
        if factor is None or now >= attempt.started_at + factor_rules.RETRY_FOR:
            return await self._store_verdict(attempt, Verdict.UNAVAILABLE)
        claimed, since = factor_rules.claim(attempt, now), self._clock.boottime()
        if not await self._store.save_attempt(claimed):
            return None  # another worker was faster
        if await self._restores.may_have_sent(attempt):
            return claimed  # without an id, it ends as lost
        if self._clock.boottime() - since > CLAIM_AGE_MAX:  # the process was frozen meanwhile
            return await self._save(factor_rules.record_not_sent(claimed, self._clock()))
        return await self._push(claimed, factor)

    async def _push(self, claimed: Attempt, factor: SecondFactor) -> Attempt | None:
        try:
            push = await factor.push(claimed.subject, claimed.code)
        except TransientError as error:
            log_event(log.warning, "proof.delayed", "not asked for a proof yet: %s", error)
            now = self._clock()
            unsent = await self._save(factor_rules.record_not_sent(claimed, now))
            jittered = retry_delay(0, self._jitter(), first=RETRY_AFTER)
            left = claimed.started_at + factor_rules.RETRY_FOR - now
            return await self._wait(unsent, min(error.retry_after or jittered, left))
        except AmbiguousError as error:
            log_event(log.warning, "proof.lost", "it may have been asked for: %s", error)
            return await self._save(factor_rules.lose(claimed, self._clock()))
        except PermanentError as error:
            log_event(log.error, "proof.unavailable", "no proof can be asked for: %s", error)
            no_device = isinstance(error, NoDevice)
            return await self._give_up(claimed, Verdict.NO_DEVICE if no_device else Verdict.UNAVAILABLE)
        return await self._record(claimed, push)

    async def _record(self, claimed: Attempt, push: Push) -> Attempt | None:
        log_event(log.info, "proof.requested", "asked for a proof")
        out = await self._save(factor_rules.record_push(claimed, push, self._clock()))
        if out is not None and push.lifetime > factor_rules.PUSH_LIFETIME_MAX:
            log_event(log.error, "proof.unavailable", "the provider's pushes last longer than 300 s")
            out = await self._store_verdict(out, Verdict.UNAVAILABLE, is_over=False)
        return await self._wait(out, push.interval)

    async def _give_up(self, claimed: Attempt, verdict: Verdict) -> Attempt | None:
        """End an attempt whose push the provider has refused."""
        unsent = await self._save(factor_rules.record_not_sent(claimed, self._clock()))
        return None if unsent is None else await self._store_verdict(unsent, verdict)

    async def _end_lost(self, attempt: Attempt) -> Attempt | None:
        """End an attempt whose push is lost, once the push must have expired."""
        now = self._clock()
        if attempt.dead_at is None or attempt.dead_at <= now:
            return await self._store_verdict(attempt, Verdict.UNAVAILABLE)
        if attempt.due_at is not None and attempt.due_at < attempt.dead_at:
            await self._save(factor_rules.postpone(attempt, attempt.dead_at))
        return None  # it is due when the push has expired

    async def _poll(self, attempt: Attempt, factor: SecondFactor) -> Attempt | None:
        now = self._clock()
        if attempt.due_at is None or attempt.due_at < now + LEASE_LEFT_MIN:
            attempt = factor_rules.renew(attempt, now)
            if not await self._store.save_attempt(attempt):
                return None  # another worker has taken over
        is_dead = attempt.dead_at is not None and attempt.dead_at + factor_rules.POLL_GRACE < now
        call = asyncio.create_task(factor.poll(attempt.push_id, attempt.subject))
        attempt = await self._renew_while(attempt, call)
        now = self._clock()
        try:
            polled = await call
        except Exception as error:  # noqa: BLE001 - whatever happens, the attempt must end
            if is_dead:
                return await self._store_verdict(attempt, Verdict.UNAVAILABLE)
            known = error if isinstance(error, TransientError) else None
            tell = log.warning if known else log.exception
            log_event(tell, "proof.delayed", "not known yet whether it is proved: %s", error)
            wait = (known and known.retry_after) or attempt.interval
            ends_at = max(attempt.dead_at or now, now) + factor_rules.POLL_GRACE
            return await self._wait(attempt, min(wait, ends_at - now + STORE_PAUSE))
        if polled.verdict is Verdict.PENDING and not is_dead:
            slower = replace(attempt, interval=attempt.interval + polled.slower)
            return await self._wait(slower, slower.interval)
        return await self._finish(attempt, polled, is_dead=is_dead)

    async def _renew_while(self, attempt: Attempt, call: asyncio.Task[PollResult]) -> Attempt:
        """Wait until `call` is done, renewing the lease: a provider may hold a poll for half a minute.

        Returns the attempt as stored last. If the lease is lost, the answer is still awaited, because the
        provider issues a token only once.
        """
        try:
            while not (await asyncio.wait({call}, timeout=RENEW_AFTER.total_seconds()))[0]:
                with contextlib.suppress(StoreError):
                    renewed = factor_rules.renew(attempt, self._clock())
                    if await self._store.save_attempt(renewed):
                        attempt = renewed
        finally:
            if not call.done():
                call.cancel()
        return attempt

    async def _finish(self, attempt: Attempt, polled: PollResult, *, is_dead: bool) -> Attempt | None:
        """Store a verdict that is final, or after which only a report of fraud can follow."""
        if polled.verdict is Verdict.LOST:
            log_event(log.warning, "proof.lost", "the provider knows no result: %s", polled.detail)
            return await self._save(factor_rules.lose(attempt, self._clock()))
        verdict = Verdict.TIMED_OUT if polled.verdict is Verdict.PENDING else polled.verdict
        is_over = is_dead or verdict is not Verdict.UNAVAILABLE
        rest = await self._store_verdict(attempt, verdict, is_over=is_over, detail=polled.detail)
        return await self._wait(rest, attempt.interval)

    async def _wait(self, attempt: Attempt | None, span: timedelta) -> Attempt | None:
        if attempt is not None:
            await pause(self._stop, seconds=span.total_seconds())
        return attempt

    async def _save(self, attempt: Attempt) -> Attempt | None:
        """Store an attempt, retrying while the store fails; None if another worker has taken it over."""
        while True:
            try:
                return attempt if await self._store.save_attempt(attempt) else None
            except StoreError as error:
                await self._wait_out(error)

    async def _store_verdict(
        self, attempt: Attempt, verdict: Verdict, *, is_over: bool = True, detail: str = ""
    ) -> Attempt | None:
        """Store a verdict and what it means in one transaction; return the attempt unless it is over.

        The provider may not give the verdict again. So this retries while the store fails, or while Slack
        cannot be asked what the message of a restored question shows.
        """
        while True:
            try:
                return await self._try_to_store_verdict(
                    attempt, PollResult(verdict=verdict, detail=detail), is_over
                )
            except (StoreError, TransientError) as error:
                await self._wait_out(error)

    async def _wait_out(self, error: StoreError | TransientError) -> None:
        if self._stop.is_set():
            raise error
        log_event(log.error, "sweep.failed", "an attempt waits: %s", error)
        wait = STORE_PAUSE if isinstance(error, StoreError) else SLACK_PAUSE
        await pause(self._stop, seconds=wait.total_seconds())

    async def _try_to_store_verdict(
        self,
        attempt: Attempt,
        polled: PollResult,
        is_over: bool,  # noqa: FBT001 - see `_store_verdict`
    ) -> Attempt | None:
        now, policy, verdict = self._clock(), self._recorder.policy, polled.verdict
        earliest_push = await self._restores.earliest_push()
        after = factor_rules.end(attempt, verdict, now) if is_over else factor_rules.renew(attempt, now)
        question = await self._store.load(attempt.ref)
        if question is not None:  # after a restore, its message may show an answer that the store lacks
            question = await self._restores.before_click(question, question.slack_id, None)
        step: Step | None = None

        def decide(row: Question, stored: Attempt | None) -> Step | None:
            if stored is None or stored.version != attempt.version:
                return None
            decided = factor_rules.judge(row, after, verdict, now, policy, earliest_push)
            return decided and replace(decided, attempt=after)

        current = question
        if question is not None:
            current, step = await self._recorder.decide_proof(question, attempt.subject, decide)
        if current is not None and step is not None:
            _log_verdict(current, polled, is_ignored=step.ignored is not None)
            self._on_work()
        elif not await self._store.save_attempt(after):
            return None
        return None if is_over else after


def _log_verdict(question: Question, polled: PollResult, *, is_ignored: bool) -> None:
    verdict, detail = polled.verdict, polled.detail or None
    if verdict is Verdict.OTHER_PERSON:
        words = "somebody else approved: the provider has another person's device for this subject"
        log_question(log.critical, "proof.mismatched", question, words)
    if is_ignored:
        log_question(log.warning, "proof.ignored", question, verdict=verdict)
    elif verdict is Verdict.APPROVED:
        log_question(log.info, "proof.accepted", question, standing=question.standing)
    else:
        reason = question.reason or None
        log_question(log.warning, "proof.failed", question, reason=reason, verdict=verdict, detail=detail)
