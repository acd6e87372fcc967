"""The verb *remind*: each reminder at most once. It is counted before it is sent, never repeated in doubt."""

from __future__ import annotations

import logging
from datetime import timedelta

from bot.backoff import retry_delay
from bot.errors import AmbiguousError, AppRejected, PermanentError, TransientError
from bot.triage import asking_rules
from bot.triage.log_events import log_question
from bot.triage.model import Question
from bot.triage.ports import Messenger
from bot.triage.rate_limits import Pacing
from bot.triage.recorder import Recorder

log = logging.getLogger(__name__)

#: How long after its count a reminder is sent at the latest: later its question may have ended.
COUNT_HOLDS = timedelta(seconds=10)


class Reminder:
    """Reminds people of questions that they have not answered."""

    def __init__(self, messenger: Messenger, recorder: Recorder, *, pacing: Pacing) -> None:
        self._messenger = messenger
        self._recorder = recorder
        self._clock = recorder.clock
        self._pacing = pacing
        self._limiter = pacing.limiter

    async def remind(self, question: Question) -> None:
        """Send a reminder, if it is due and there is still no answer. Raises `StoreError`."""
        now, policy = self._clock(), self._recorder.policy
        if question.said is not None:
            await self._recorder.decide(question, asking_rules.stop_reminding)
            return
        wait = self._pacing.wait_for(question, self._clock)
        if wait:
            turn = now + wait
            await self._recorder.decide(question, lambda row: asking_rules.postpone(row, turn))
            return
        # Before the row is read: nothing slow may happen between that and the reminder.
        link = await self._messenger.link_to(question)
        since = self._clock.boottime()
        counted, step = await self._recorder.decide(
            question, lambda row: asking_rules.remind(row, now, policy)
        )
        if counted is None or step is None:
            return
        if self._clock.boottime() - since > COUNT_HOLDS:  # the machine was suspended, and all may be over
            await self._take_back(counted, TransientError("its count is too old"))
        else:
            await self._send(counted, link)

    async def _send(self, question: Question, link: str) -> None:
        try:
            await self._messenger.remind(question, link=link)
        except TransientError as error:
            await self._take_back(question, error)
        except (AmbiguousError, PermanentError) as error:
            log_question(log.warning, "reminder.unconfirmed", question, "it may have been sent: %s", error)
        else:
            self._limiter.reset()
            log_question(log.info, "question.reminded", question, n=question.reminders)

    async def _take_back(self, question: Question, error: TransientError) -> None:
        log_question(log.warning, "reminder.delayed", question, "reminder delayed: %s", error)
        if isinstance(error, AppRejected):
            self._limiter.trip(error, self._clock.monotonic())
        elif error.retry_after is not None:
            self._limiter.slow_down(error.retry_after, self._clock.monotonic())
        jittered = retry_delay(question.attempts, self._pacing.jitter())
        due_at = self._clock() + (error.retry_after or jittered) + jittered
        await self._recorder.decide(
            question,
            lambda row: asking_rules.take_back_reminder(row, due_at, number=question.reminders),
        )
