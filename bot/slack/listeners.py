"""What happens to each payload that Slack sends over a link. One dispatcher serves all answer buttons.

Order: store durably, then acknowledge, then redraw. Bolt acknowledges when a listener has ended without an
error (process_before_response), so a click that could not be stored is not acknowledged: Slack tells the
person, who can click again.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, Any

from slack_bolt.error import BoltUnhandledRequestError
from slack_bolt.response import BoltResponse

from bot.slack.messages import ACTION_PREFIX
from bot.triage.model import Answer, Choice, Posted
from bot.triage.ratchet import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from slack_bolt.app.async_app import AsyncApp
    from slack_bolt.context.ack.async_ack import AsyncAck

    from bot.slack.identity import Identity
    from bot.triage.ports import Clock
    from bot.triage.service import TriageService

log = logging.getLogger(__name__)


class NotOursError(Exception):
    """A click on a question that another worker may know: it must not be acknowledged."""


class Listeners:
    """Takes clicks, and acknowledges whatever else comes."""

    def __init__(
        self,
        service: TriageService,
        identity: Identity,
        *,
        clock: Clock,
        others_listen: Callable[[], bool],
    ) -> None:
        self._service = service
        self._identity = identity
        self._clock = clock
        self._others_listen = others_listen
        self._after: set[asyncio.Task[None]] = set()
        self._clicks = 0

    def register(self, app: AsyncApp) -> None:
        """Put the listeners into the app."""
        app.action(re.compile(f"^{ACTION_PREFIX}"))(self.on_answer)
        app.error(self.on_error)

    async def on_answer(self, ack: AsyncAck, body: dict[str, Any]) -> None:
        """Take the click on an answer button."""
        self._clicks += 1
        try:
            answer = read_answer(body, self._identity, self._clock)
            if answer is None:
                log.warning("payload not understood", extra=_shape("payload.ignored", body))
            else:
                await self._take(answer, str(body.get("response_url") or ""))
            await ack()
        finally:
            self._clicks -= 1

    async def on_error(self, error: Exception, body: dict[str, Any]) -> BoltResponse | None:
        """Acknowledge what nobody listens to; leave everything else that failed unacknowledged."""
        if isinstance(error, BoltUnhandledRequestError):
            log.info("payload not expected", extra=_shape("payload.ignored", body))
            return BoltResponse(status=200, body="")
        log.error("click not taken: %s", error, extra=_shape("click.failed", body), exc_info=_trace(error))
        return None

    async def drain(self) -> None:
        """Wait for the clicks in progress, and for what follows from them."""
        while self._clicks or self._after:
            await asyncio.sleep(0.01)

    async def _take(self, answer: Answer, response_url: str) -> None:
        result = await self._service.answer(answer)
        if result is Refusal.CLOSED and self._others_listen():
            raise NotOursError("another worker may hold this question; stop it, or share the store")
        if isinstance(result, Refusal):
            log.info("click refused", extra={"event": "click.refused", "fields": {"reason": result.value}})
            self._later(self._service.tell(response_url, result))
        else:
            self._later(self._service.redraw(result, response_url=response_url))

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(_logged(work))
        self._after.add(task)
        task.add_done_callback(self._after.discard)


def read_answer(body: Mapping[str, Any], identity: Identity, clock: Clock) -> Answer | None:
    """Return what a `block_actions` payload says; None if it is not the click of an answer button."""
    try:
        action, container = body["actions"][0], body.get("container") or {}
        channel, ts = container.get("channel_id"), container.get("message_ts")
        return Answer(
            ref=str(action["value"]),
            choice=Choice(action["action_id"].removeprefix(ACTION_PREFIX)),
            slack_id=str(body["user"]["id"]),
            ours=identity.is_home_of(body),
            posted=Posted(channel=str(channel), ts=str(ts)) if channel and ts else None,
            at=clock(),
        )
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return None


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception:
        # What is stored stays; the sweeper redraws what was not.
        log.exception("after a click", extra={"event": "click.unfinished", "fields": {}})


def _shape(event: str, body: Mapping[str, Any]) -> dict[str, object]:
    """Return what may be logged of a payload: what it is, never what is in it."""
    actions = body.get("actions")
    first = actions[0] if isinstance(actions, list) and actions else {}
    action_id = first.get("action_id") if isinstance(first, dict) else None
    return {"event": event, "fields": {"type": str(body.get("type")), "action_id": str(action_id)}}


def _trace(error: Exception) -> Exception | None:
    from bot.errors import TriageBotError

    return None if isinstance(error, TriageBotError | NotOursError) else error
