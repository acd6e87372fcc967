"""Receives requests: decodes them, stores them, and only then deletes them from the queue."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from random import Random
from typing import Protocol

from bot.backoff import Backoff, add_jitter, pause
from bot.clock import Clock
from bot.errors import StoreError, TransientError, TriageBotError
from bot.sqs.dead_letters import DeadLetters
from bot.sqs.errors import log_interruption
from bot.sqs.queues import FailedEntry, Received, SendQueue
from bot.sqs.wire import decode_request, identifier_in
from bot.triage.log_events import Event, log_event
from bot.triage.model import Conflict, InvalidBody, TriageRequest
from bot.triage.ports import NO_METER, Meter

log = logging.getLogger(__name__)

Decoded = TriageRequest | InvalidBody

#: Stores a batch. Returns for each request, in order, whether it is stored or already known, so that its
#: message may be deleted; or its conflict with a stored one, so that its message may be deleted once it is
#: copied.
Receive = Callable[[Sequence[Decoded]], Awaitable[Sequence[bool | Conflict]]]

#: Writes something to the store. Raises `StoreError` while that fails.
Probe = Callable[[], Awaitable[None]]

#: Called when polling makes progress, with the time within which the next call comes.
OnProgress = Callable[[timedelta], None]

#: A poll or a back-off takes at most 30 s, plus a DNS look-up that nobody answers …
POLL_PATIENCE = timedelta(seconds=45)
#: … and the other calls wait for each other, each with two attempts.
CALLS_PATIENCE = timedelta(seconds=90)

#: How long a stop waits for the poll in progress, in seconds.
LAST_POLL_SECONDS = 2.0

#: How long SQS holds a poll before it returns nothing, in seconds; and how long until it is known what
#: time it is, which the answer to a long poll does not tell.
WAIT_SECONDS = 20
FIRST_WAIT_SECONDS = 2

#: How many batches are handed back because it is not known yet what time it is: the answer to that is quick
#: and says so, unless something takes the date away.
UNDATED_MAX = 3

#: In seconds. After an empty response that came sooner than this, the next poll waits this long.
SHORTEST_POLL = 1.0

#: Seconds between two probes of a store that refuses writes.
PROBE_INTERVAL_SECONDS = 5.0


class RequestQueue(Protocol):
    """What the poller needs of a queue. Each method does what that of `Queue` does."""

    async def receive(self, *, wait_seconds: int) -> Sequence[Received]:
        """Wait for messages."""

    async def delete_batch(self, messages: Sequence[Received]) -> Sequence[FailedEntry | None]:
        """Delete them."""

    async def hand_back(self, messages: Sequence[Received]) -> Sequence[FailedEntry | None]:
        """Make them visible again."""


class Poller:
    """Polls until it is stopped, whatever fails meanwhile. The next poll waits until the batch is processed.

    While the store rejects writes, polling pauses: SQS moves a message that is received too often to the
    dead-letter queue, though nothing is wrong with it. The batch is handed back once, and polling resumes
    when `probe` succeeds, or after the back-off if there is none.
    """

    def __init__(
        self,
        queue: RequestQueue,
        dead_letters: SendQueue | None,
        receive: Receive,
        *,
        random: Random,
        probe: Probe | None = None,
    ) -> None:
        self._queue = queue
        self._dead_letters = DeadLetters(dead_letters) if dead_letters else None
        self._receive = receive
        self._random = random
        self._backoff = Backoff(random)
        self._probe = probe
        self._undated = 0  #: batches handed back because the time was not known
        self.clock = Clock()
        self.meter: Meter = NO_METER
        self.on_progress: OnProgress = lambda _: None
        self.has_polled = False  #: whether a poll was ever answered
        self.on_poll: Callable[[], None] = lambda: None  #: called after each poll that SQS answered
        #: Messages since the start: `received`, `rejected`, `conflicting`, `deleted`, `left`,
        #: `handed_back`; and `failures`.
        self.counts: Counter[str] = Counter()

    async def run(self, stop: asyncio.Event) -> None:
        """Poll until `stop` is set; then hand back what the poll in progress returns. Raises nothing."""
        if not self._dead_letters:
            _warn_of_missing_dead_letters()
        while not stop.is_set():
            self.on_progress(POLL_PATIENCE)
            began = self.clock.monotonic()
            try:
                batch = await self._poll(stop)
                self.has_polled = True
                self.on_poll()
                if batch:
                    await self._process_batch(batch)
                elif (self.clock.monotonic() - began).total_seconds() < SHORTEST_POLL:
                    await pause(stop, seconds=add_jitter(SHORTEST_POLL, self._random))
                if self._backoff.after_success():
                    log_event(log.info, "poll.recovered", "polling works again")
            except StoreError as error:
                await self._wait_for_store(stop, error)
            except Exception as error:  # noqa: BLE001 - the poller must never end
                await pause(stop, seconds=self._back_off(error))

    async def _poll(self, stop: asyncio.Event) -> Sequence[Received]:
        wait_seconds = WAIT_SECONDS if self.clock.is_known else FIRST_WAIT_SECONDS
        poll = asyncio.ensure_future(self._queue.receive(wait_seconds=wait_seconds))
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({poll, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not stop.is_set():
                return await poll
            await self._finish_poll(poll)
            return ()
        finally:
            stopping.cancel()
            poll.cancel()  # no effect if it is done; otherwise its thread dies with the process

    async def _finish_poll(self, poll: asyncio.Future[Sequence[Received]]) -> None:
        await asyncio.wait({poll}, timeout=LAST_POLL_SECONDS)
        if poll.done() and not poll.exception():
            await self._hand_back(poll.result())

    async def _process_batch(self, batch: Sequence[Received]) -> None:
        if not self.clock.is_known and self._undated < UNDATED_MAX:
            # With a wrong time a request would be due, and over, at another.
            self._undated += 1
            await self._hand_back(batch)
            return
        # The order matters: copy, store, delete; or store, copy, delete if only the store can tell that a
        # copy is needed. A message that fails on the way stays in the queue and is received again.
        self.counts["received"] += len(batch)
        self.on_progress(CALLS_PATIENCE)
        decoded = [(message, decode_request(message.body)) for message in batch]
        ready = [pair for pair in decoded if await self._copy_if_invalid(*pair)]
        stored = await self._store(ready) if ready else []
        self.counts["left"] += len(batch) - len(stored)
        if not stored:
            raise TransientError(f"none of {len(batch)} messages could be processed")
        await self._delete(stored)

    async def _copy_if_invalid(self, message: Received, decoded: Decoded) -> bool:
        if isinstance(decoded, TriageRequest):
            return True
        self.on_progress(CALLS_PATIENCE)
        if self._dead_letters and not await self._dead_letters.copy(message, decoded.reason):
            return False
        self.counts["rejected"] += 1
        reason = decoded.reason
        _log_message(message, "request.rejected", "request rejected: %s", reason, reason=reason)
        return True

    async def _store(self, ready: Sequence[tuple[Received, Decoded]]) -> list[Received]:
        messages = [message for message, _ in ready]
        try:
            verdicts = await self._receive([decoded for _, decoded in ready])
        except Exception:
            await self._hand_back(messages)
            raise
        pairs = zip(messages, verdicts, strict=True)
        return [message for message, verdict in pairs if await self._finish(message, verdict)]

    async def _finish(self, message: Received, verdict: bool | Conflict) -> bool:  # noqa: FBT001 - as `Receive` returns it
        if not isinstance(verdict, Conflict):
            return verdict
        self.on_progress(CALLS_PATIENCE)
        if self._dead_letters and not await self._dead_letters.copy(message, verdict.reason):
            return False
        self.counts["conflicting"] += 1
        self.meter.count_conflicted()
        text, names = "request ignored: %s", ",".join(verdict.fields)
        _log_message(message, "request.conflict", text, verdict.reason, fields=names)
        return True

    async def _delete(self, messages: Sequence[Received]) -> None:
        self.on_progress(CALLS_PATIENCE)
        refusals = await self._queue.delete_batch(messages)
        for message, refusal in zip(messages, refusals, strict=True):
            if refusal:
                text = "a stored request was not deleted (%s): it will be received again and recognised"
                _log_message(message, "request.left", text, refusal.code, code=refusal.code)
            else:
                self.counts["deleted"] += 1

    async def _hand_back(self, messages: Sequence[Received]) -> None:
        if not messages:
            return
        self.on_progress(CALLS_PATIENCE)
        try:
            refusals = await self._queue.hand_back(messages)
        except TriageBotError as error:
            _log_hidden(len(messages), str(error))
            return
        handed_back = sum(refusal is None for refusal in refusals)
        self.counts["handed_back"] += handed_back
        if handed_back < len(messages):
            _log_hidden(len(messages) - handed_back, "SQS rejected some of them")

    async def _wait_for_store(self, stop: asyncio.Event, error: StoreError) -> None:
        wait = self._back_off(error)
        if self._probe is None:
            await pause(stop, seconds=wait)
        while self._probe and not stop.is_set():
            self.on_progress(POLL_PATIENCE)
            await pause(stop, seconds=add_jitter(PROBE_INTERVAL_SECONDS, self._random))
            if await _succeeds(self._probe):
                return

    def _back_off(self, error: Exception) -> float:
        self.counts["failures"] += 1
        self.on_progress(POLL_PATIENCE)
        wait = self._backoff.after_failure()
        log_interruption(log, "poll.failed", "poll failed: %s", error, wait)
        return wait


async def _succeeds(probe: Probe) -> bool:
    try:
        await probe()
    except StoreError:
        return False
    except Exception:  # noqa: BLE001 - it is logged, with its traceback
        # The probe itself is broken: resume polling, which reports its own failures.
        log_event(log.exception, "probe.failed", "the probe failed")
    return True


def _warn_of_missing_dead_letters() -> None:
    log_event(
        log.warning,
        "dead_letter_queue.missing",
        "there is no dead-letter queue: invalid requests are deleted without a copy (DEAD_LETTER_QUEUE_URL)",
    )


def _log_message(message: Received, event: Event, text: str, value: str, **fields: str) -> None:
    """Log a warning about one message; `text` has a `%s` for `value`."""
    identifier = identifier_in(message.body)
    log_event(log.warning, event, text, value, identifier=identifier, message_id=message.message_id, **fields)


def _log_hidden(count: int, why: str) -> None:
    log_event(
        log.warning,
        "batch.left",
        "%d messages could not be handed back, and stay hidden for up to a minute: %s",
        count,
        why,
        messages=count,
        error=why,
    )
