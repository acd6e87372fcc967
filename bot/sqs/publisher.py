"""Sends what waits in the outbox to the response queue."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import islice
from random import Random
from typing import NamedTuple

from bot.backoff import Backoff, pause, wait_after
from bot.errors import TransientError, TriageBotError
from bot.sqs.errors import log_interruption
from bot.sqs.queues import BATCH, FailedEntry, Outgoing, SendQueue, cut_into_batches
from bot.triage.log_events import log_event
from bot.triage.model import OutboxRow
from bot.triage.ports import NO_METER, Clock, Meter, Outbox

log = logging.getLogger(__name__)

#: Seconds that it sleeps at the most: the machine's clock may have been set meanwhile.
LONGEST_SLEEP = 60.0

#: Seconds that it sleeps at the least, so that a moment just gone by cannot keep it spinning.
SHORTEST_SLEEP = 0.05

#: Batches that a stopping worker still sends: a backlog waits for the next start, or for another worker.
FLUSH_BATCHES = 20


class _Retry(NamedTuple):
    """A row that the queue refused for now."""

    failures: int
    until: datetime


class Publisher:
    """Sends each report at least once, in the order that the outbox gives; a repeat is byte-identical.

    One that the queue refuses for good is parked; one that it refuses for now rests, and others go on.
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
        self._backoff = Backoff(random)
        self._wake_event = asyncio.Event()
        self._retries: dict[str, _Retry] = {}
        self._unmarked: list[OutboxRow] = []

    def wake(self) -> None:
        """Say that there may be something new to send."""
        self._wake_event.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Send what is due, whenever something is, until `stop` is set; the batch in hand is finished."""
        while not stop.is_set():
            try:
                self._wake_event.clear()
                if not await self._send_due():
                    await self._sleep(stop, await self._seconds_to_sleep())
                self._backoff.after_success()
            except Exception as error:  # noqa: BLE001 - reports wait for it: it never ends but by stop
                await pause(stop, self._back_off(error))

    async def flush(self) -> None:
        """Send what is due now, a backlog in part; return at the first trouble. To be called after `run`.

        The rest keeps.
        """
        try:
            for _ in range(FLUSH_BATCHES):
                if not await self._send_due():
                    break
        except TriageBotError as error:
            self._back_off(error)

    async def _send_due(self) -> bool:
        """Send up to ten; tell whether there was anything to send."""
        await self._mark_sent()
        rows = await self._load_ready_rows(self._clock())
        waiting = iter(rows)
        for batch in cut_into_batches([_make_message(row) for row in rows]):
            await self._send(list(islice(waiting, len(batch))), batch)
        return bool(rows)

    async def _load_ready_rows(self, now: datetime) -> Sequence[OutboxRow]:
        # Those that rest are asked for too, or ten of them would keep all others waiting.
        rows = await self._outbox.sendable(now, limit=BATCH + len(self._retries))
        resting = {event_id for event_id, rest in self._retries.items() if rest.until > now}
        kept = resting | {row.event_id for row in rows}
        self._retries = {event_id: rest for event_id, rest in self._retries.items() if event_id in kept}
        return [row for row in rows if row.event_id not in resting][:BATCH]

    async def _send(self, rows: Sequence[OutboxRow], batch: Sequence[Outgoing]) -> None:
        verdicts = list(zip(rows, await self._queue.send_batch(batch), strict=True))
        refused = [(row, refusal) for row, refusal in verdicts if refusal]
        self._unmarked = [row for row, refusal in verdicts if not refusal]
        self._retry_later([(row, refusal) for row, refusal in refused if not refusal.permanent])
        await self._mark_sent()
        await self._park([(row, refusal) for row, refusal in refused if refusal.permanent])
        if len(refused) == len(rows) and len(self._retries) >= BATCH:
            raise TransientError("the response queue takes none of a whole batch")

    async def _mark_sent(self) -> None:
        # What could not be marked is marked before anything else is sent, so that it is not sent twice.
        if rows := self._unmarked:
            await self._outbox.mark_sent(rows, self._clock())
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
                "a report is parked, and MozDef does not know of it: the queue refuses it for good (%s)",
                refusal.code,
                **_fields(row),
                code=refusal.code,
            )

    def _retry_later(self, refused: Sequence[tuple[OutboxRow, FailedEntry]]) -> None:
        for row, refusal in refused:
            before = self._retries.get(row.event_id)
            failures = before.failures + 1 if before else 1
            wait = wait_after(failures, self._random)
            self._retries[row.event_id] = _Retry(failures, self._clock() + timedelta(seconds=wait))
            fields = {**_fields(row), "code": refusal.code, "wait_seconds": wait}
            log_event(log.warning, "report.refused", "report refused for now: %s", refusal.words, **fields)

    async def _seconds_to_sleep(self) -> float:
        now = self._clock()
        moments = [rest.until for rest in self._retries.values()]
        if next_one := await self._outbox.next_sendable(now):
            moments.append(next_one)
        seconds = min(((moment - now).total_seconds() for moment in moments), default=LONGEST_SLEEP)
        return min(max(seconds, SHORTEST_SLEEP), LONGEST_SLEEP)

    async def _sleep(self, stop: asyncio.Event, seconds: float) -> None:
        waits = [asyncio.ensure_future(event.wait()) for event in (stop, self._wake_event)]
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _back_off(self, error: Exception) -> float:
        wait = self._backoff.after_failure()
        log_interruption(log, "publishing.failed", "sending reports is interrupted: %s", error, wait)
        return wait


def _make_message(row: OutboxRow) -> Outgoing:
    group = sha256(row.identifier.encode()).hexdigest()
    # A FIFO queue would swallow a replay that comes within five minutes under the same id.
    deduplication = f"{row.event_id}-{row.replays}" if row.replays else row.event_id
    return Outgoing(body=row.body, group=group, deduplication=deduplication)


def _fields(row: OutboxRow) -> dict[str, str | int]:
    return {"identifier": row.identifier, "sequence": row.sequence, "event_id": row.event_id}
