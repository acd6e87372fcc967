"""Copies requests that cannot be processed to the dead-letter queue, for a person to examine."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from hashlib import sha256

from bot.errors import TriageBotError
from bot.sqs.queues import FailedEntry, Outgoing, Received, SendQueue
from bot.sqs.wire import identifier_in
from bot.triage.log_events import log_event

log = logging.getLogger(__name__)

#: Sizes in bytes to which a body is truncated if SQS rejects the copy as too large. A queue accepts 1 MiB, or
#: less if so configured, but at least 1 KiB (SQS quotas). The reason counts towards that.
TRUNCATED_BYTES = (1_040_000, 250_000, 60_000, 15_000, 500)


class DeadLetters:
    """Copies requests to a queue, with the reason as a message attribute."""

    def __init__(self, queue: SendQueue) -> None:
        self._queue = queue

    async def copy(self, message: Received, reason: str) -> bool:
        """Copy a message, truncated if it is too large; return whether that succeeded. Never raises."""
        try:
            refusal = await self._copy(message, reason)
            why = refusal.explanation if refusal else ""
        except TriageBotError as error:
            why = str(error)
        if why:
            text = "a request stays in the queue, because it could not be copied to the dead-letter queue: %s"
            identifier, number = identifier_in(message.body), message.message_id
            log_event(
                log.warning, "request.left", text, why, identifier=identifier, message_id=number, reason=why
            )
        return not why

    async def _copy(self, message: Received, reason: str) -> FailedEntry | None:
        refusal = None
        for body, note in _shorten(message.body):
            [refusal] = await self._queue.send_batch([_make_message(message.message_id, body, reason + note)])
            if refusal is None or not refusal.unfit:
                break
        return refusal


def _shorten(body: str) -> Iterator[tuple[str, str]]:
    yield body, ""
    whole = body.encode()
    for limit in TRUNCATED_BYTES:
        if limit < len(whole):
            # An incomplete character at the end is dropped: SQS rejects a body that is not UTF-8.
            yield whole[:limit].decode(errors="ignore"), f"; the body is truncated to {limit} bytes"


def _make_message(message_id: str, body: str, reason: str) -> Outgoing:
    return Outgoing(
        body=body,
        group="invalid-requests",
        deduplication=sha256(message_id.encode()).hexdigest(),
        attributes={"reason": reason},
    )
