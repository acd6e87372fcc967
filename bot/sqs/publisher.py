"""Sends the reports in the outbox to the response queue."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256
from itertools import islice
from random import Random
from typing import NamedTuple

from bot.backoff import RETRY_SHORTEST, Backoff, pause, retry_delay
from bot.clock import Clock
from bot.errors import TransientError, TriageBotError
from bot.sqs.errors import log_interruption
from bot.sqs.queues import BATCH, FailedEntry, Outgoing, SendQueue, cut_into_batches
from bot.triage.log_events import log_event
from bot.triage.model import OutboxRow
from bot.triage.ports import NO_METER, JudgeReport, Meter, Outbox, SendDecision, send_all

log = logging.getLogger(__name__)

#: The longest sleep, in seconds.
LONGEST_SLEEP = 60.0

#: The shortest sleep, in seconds, so that a moment that has just passed cannot make the loop spin.
SHORTEST_SLEEP = 0.05

#: How long to wait after a send, in seconds, for more that the next one can take along.
GATHER_SECONDS = 0.02

#: It waits only if the previous send was less than this long ago: a single report is sent at once.
GATHER_WITHIN = timedelta(seconds=1)

#: The most batches that a stopping worker still sends. More wait for the next start, or for another worker.
FLUSH_BATCHES = 20


#: How long a report rests that cannot be judged yet.
JUDGED_AGAIN = timedelta(seconds=10)


class _Retry(NamedTuple):
    """When to send a row again that the queue rejected temporarily."""

    failures: int
    until: timedelta  #: by `Clock.monotonic`


class Publisher:
    """Sends each report at least once, in the order of the outbox; a repeat is byte-identical.

    A report that the queue rejects permanently is parked. One that it rejects temporarily is sent again
    later, and does not hold up the others.
    """

    def __init__(
        self,
        outbox: Outbox,
        queue: SendQueue,
        clock: Clock,
        *,
        random: Random,
        meter: Meter = NO_METER,
    ) -> None:
        self._outbox = outbox
        self._queue = queue
        self._clock = clock
        self._random = random
        self._meter = meter
        self.judge: JudgeReport = send_all
        self._backoff = Backoff(random)
        self._wake_event = asyncio.Event()
        self._retries: dict[str, _Retry] = {}
        self._unmarked: list[OutboxRow] = []
        self._sent_at: timedelta | None = None  #: the last send, by `Clock.monotonic`

    def wake(self) -> None:
        """Wake the publisher, because there may be something new to send."""
        self._wake_event.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Send reports as they fall due until `stop` is set, and finish the current batch. Raises nothing."""
        while not stop.is_set():
            try:
                self._wake_event.clear()
                sent = await self._send_due()
                seconds = 0.0 if sent else await self._seconds_to_sleep()
                if self._backoff.after_success():
                    log_event(log.info, "publishing.recovered", "sending reports works again")
                if not sent:
                    await pause(stop, self._wake_event, seconds=seconds)
                elif sent < BATCH:
                    await self._gather(stop)
            except Exception as error:  # noqa: BLE001 - the publisher must never end
                await pause(stop, seconds=self._back_off(error))

    async def flush(self) -> None:
        """Send what is due, up to 20 batches; return at the first failure. To be called after `run`."""
        try:
            for _ in range(FLUSH_BATCHES):
                if not await self._send_due():
                    break
        except TriageBotError as error:
            self._back_off(error)

    async def _send_due(self) -> int:
        """Send up to ten reports; return how many there were.

        Until the time is known it sends nothing, since MozDef drops a report that comes too early.
        `ClockWatch` then wakes the publisher.
        """
        if not self._clock.is_known:
            return 0
        await self._mark_sent()
        rows = await self._load_ready_rows()
        waiting = iter(rows)
        for batch in cut_into_batches([_make_message(row) for row in rows]):
            await self._send(list(islice(waiting, len(batch))), batch)
        return len(rows)

    async def _gather(self, stop: asyncio.Event) -> None:
        """Wait for more reports if they follow each other closely: a call costs more than what it sends."""
        now, before = self._clock.monotonic(), self._sent_at
        self._sent_at = now
        if before is not None and now - before <= GATHER_WITHIN:
            await pause(stop, seconds=GATHER_SECONDS)

    async def _load_ready_rows(self) -> Sequence[OutboxRow]:
        # Rows that wait for a retry are loaded, too: otherwise ten of them would hold up all others.
        rows = await self._outbox.sendable(self._clock(), limit=BATCH + len(self._retries))
        now = self._clock.monotonic()
        resting = {event_id for event_id, rest in self._retries.items() if rest.until > now}
        kept = resting | {row.event_id for row in rows}
        self._retries = {event_id: rest for event_id, rest in self._retries.items() if event_id in kept}
        ready = [row for row in rows if row.event_id not in resting][:BATCH]
        return [row for row in ready if await self._may_send(row, now)]

    async def _may_send(self, row: OutboxRow, now: timedelta) -> bool:
        """Whether a report may be sent. One that was overtaken counts as sent."""
        decision = await self.judge(row)
        if decision is SendDecision.WAIT:
            self._retries[row.event_id] = _Retry(0, now + JUDGED_AGAIN)
        elif decision is SendDecision.DROP:
            await self._outbox.mark_sent([row], self._clock())
            log_event(log.warning, "report.overtaken", "report not sent: a later one counts", **_fields(row))
        return decision is SendDecision.SEND

    async def _send(self, rows: Sequence[OutboxRow], batch: Sequence[Outgoing]) -> None:
        verdicts = list(zip(rows, await self._queue.send_batch(batch), strict=True))
        refused = [(row, refusal) for row, refusal in verdicts if refusal]
        self._unmarked = [row for row, refusal in verdicts if not refusal]
        self._retry_later([(row, refusal) for row, refusal in refused if not refusal.permanent])
        await self._mark_sent()
        await self._park([(row, refusal) for row, refusal in refused if refusal.permanent])
        if len(refused) == len(rows) and len(self._retries) >= BATCH:
            raise TransientError("the response queue rejects a whole batch")

    async def _mark_sent(self) -> None:
        # Rows that could not be marked come before anything else is sent, so that they are not sent twice.
        if rows := self._unmarked:
            # By the queue's clock it is no later: the report after it must not come too soon.
            await self._outbox.mark_sent(rows, self._clock() + self._clock.lag)
            self._unmarked = []
            self._meter.count_sent(len(rows))
            for row in rows:
                self._retries.pop(row.event_id, None)
                log_event(log.info, "report.sent", "report sent", **_fields(row))

    async def _park(self, refused: Sequence[tuple[OutboxRow, FailedEntry]]) -> None:
        if refused:
            await self._outbox.mark_parked([row for row, _ in refused], self._clock())
            self._meter.count_parked(len(refused))
        for row, refusal in refused:
            self._retries.pop(row.event_id, None)
            log_event(
                log.error,
                "report.parked",
                "a report is parked, and MozDef does not get it: the queue rejects it permanently (%s)",
                refusal.code,
                **_fields(row),
                code=refusal.code,
            )

    def _retry_later(self, refused: Sequence[tuple[OutboxRow, FailedEntry]]) -> None:
        for row, refusal in refused:
            before = self._retries.get(row.event_id)
            failures = before.failures + 1 if before else 1
            wait = retry_delay(failures - 1, self._random.random(), shortest=RETRY_SHORTEST).total_seconds()
            self._retries[row.event_id] = _Retry(failures, self._clock.monotonic() + timedelta(seconds=wait))
            fields = {**_fields(row), "code": refusal.code, "wait_seconds": wait}
            log_event(
                log.warning,
                "report.refused",
                "report rejected, to be sent again: %s",
                refusal.explanation,
                **fields,
            )

    async def _seconds_to_sleep(self) -> float:
        now, steady = self._clock(), self._clock.monotonic()
        waits = [rest.until - steady for rest in self._retries.values()]
        if next_one := await self._outbox.next_sendable(now):
            waits.append(next_one - now)
        seconds = min((wait.total_seconds() for wait in waits), default=LONGEST_SLEEP)
        return min(max(seconds, SHORTEST_SLEEP), LONGEST_SLEEP)

    def _back_off(self, error: Exception) -> float:
        wait = self._backoff.after_failure()
        log_interruption(log, "publishing.failed", "publishing failed: %s", error, wait)
        return wait


def _make_message(row: OutboxRow) -> Outgoing:
    group = sha256(row.identifier.encode()).hexdigest()
    # A FIFO queue drops a message whose id it has seen within five minutes, so a replay needs an id of its
    # own.
    deduplication = f"{row.event_id}-{row.replays}" if row.replays else row.event_id
    return Outgoing(body=row.body, group=group, deduplication=deduplication)


def _fields(row: OutboxRow) -> dict[str, str | int]:
    return {"identifier": row.identifier, "sequence": row.sequence, "event_id": row.event_id}
