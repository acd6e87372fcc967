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

from bot.errors import TriageBotError
from bot.slack.payloads import is_in_home, read_answer, read_note, read_ref, read_take, shape
from bot.slack.render.card import TAKE_ACTION
from bot.slack.render.question import ACTION_PREFIX, NOTE_ACTION
from bot.slack.render.windows import NOTE_VIEW
from bot.triage.answer_rules import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from slack_bolt.app.async_app import AsyncApp
    from slack_bolt.context.ack.async_ack import AsyncAck

    from bot.slack.home_and_windows import SlackViews
    from bot.slack.identity import Identity
    from bot.triage.model import Question
    from bot.triage.ports import Clock
    from bot.triage.service import TriageService

    Body = dict[str, Any]

log = logging.getLogger(__name__)


class NotOursError(Exception):
    """A click on a question that another worker may know: it must not be acknowledged."""


class Listeners:
    """Takes clicks and notes, and acknowledges whatever else comes."""

    def __init__(
        self,
        service: TriageService,
        views: SlackViews,
        identity: Identity,
        *,
        clock: Clock,
        others_listen: Callable[[], bool],
    ) -> None:
        self._service = service
        self._views = views
        self._identity = identity
        self._clock = clock
        self._others_listen = others_listen
        self._after: set[asyncio.Task[None]] = set()
        self._clicks = 0

    def register(self, app: AsyncApp) -> None:
        """Put the listeners into the app."""
        app.action(re.compile(f"^{ACTION_PREFIX}"))(self.on_answer)
        app.action(NOTE_ACTION)(self.on_note_wanted)
        app.action(TAKE_ACTION)(self.on_take)
        app.view(NOTE_VIEW)(self.on_note)
        app.event("app_home_opened")(self.on_home_opened)
        app.error(self.on_error)

    async def on_answer(self, ack: AsyncAck, body: Body) -> None:
        """Take the click on an answer button."""
        await self._counted(self._answer(body))
        await ack()

    async def on_note_wanted(self, ack: AsyncAck, body: Body) -> None:
        """Open the window for a note. Whose note it is, is judged when it is sent."""
        question = await self._counted(self._service.find(read_ref(body)))
        if question is None:
            self._refuse(Refusal.CLOSED, body)
        else:
            self._later(self._views.open_note(str(body.get("trigger_id")), question), question)
        await ack()

    async def on_note(self, ack: AsyncAck, body: Body) -> None:
        """Take a note. What cannot be taken is said in the window, where nothing written is lost."""
        note = read_note(body, self._identity, self._clock())
        if note is None:
            log.warning("payload not understood", extra=shape("payload.ignored", body))
            await ack()
            return
        result = await self._counted(self._service.add_note(note))
        if isinstance(result, Refusal):
            await ack(response_action="errors", errors=self._views.note_errors(result))
            return
        self._later(self._service.redraw(result), result)
        await ack()

    async def on_take(self, ack: AsyncAck, body: Body) -> None:
        """Record who of the security team takes an alert; its card shows it."""
        take = read_take(body, self._identity, self._clock())
        result = await self._counted(self._service.take(take)) if take else Refusal.CLOSED
        if isinstance(result, Refusal):
            self._refuse(result, body)
        await ack()

    async def on_home_opened(self, event: Body) -> None:
        """Show a person their Home."""
        if event.get("tab", "home") == "home":
            self._later(self._show_home(str(event.get("user"))))

    async def on_error(self, error: Exception, body: Body) -> BoltResponse | None:
        """Acknowledge what nobody listens to; leave everything else that failed unacknowledged."""
        if isinstance(error, BoltUnhandledRequestError):
            log.info("payload not expected", extra=shape("payload.ignored", body))
            return BoltResponse(status=200, body="")
        trace = None if isinstance(error, TriageBotError | NotOursError) else error
        note = read_note(body, self._identity, self._clock())
        alert = await self._service.identified(note.ref if note else read_ref(body))
        log.error("click not taken: %s", error, extra=shape("click.failed", body, **alert), exc_info=trace)
        return None

    async def drain(self) -> None:
        """Wait for the clicks in progress, and for what follows from them."""
        while self._clicks or self._after:
            await asyncio.sleep(0.01)

    async def _answer(self, body: Body) -> None:
        answer = read_answer(body, self._identity, self._clock())
        if answer is None:
            log.warning("payload not understood", extra=shape("payload.ignored", body))
            return
        result = await self._service.answer(answer)
        if result is Refusal.CLOSED and self._others_listen():
            raise NotOursError("another worker may hold this question; stop it, or share the store")
        if isinstance(result, Refusal):
            self._refuse(result, body)
        else:
            self._follow_up(result, body)

    def _follow_up(self, question: Question, body: Body) -> None:
        """Show that the answer was taken, and ask for a note where the alert's policy wants one."""
        self._later(
            self._service.redraw(question, response_url=str(body.get("response_url") or "")), question
        )
        if self._views.requires_note(question):
            self._later(self._views.open_note(str(body.get("trigger_id")), question), question)
        if is_in_home(body):
            self._later(self._show_home(question.slack_id), question)

    def _refuse(self, refusal: Refusal, body: Body) -> None:
        if refusal is Refusal.CLOSED:  # the service, which logs all others, does not know the alert
            log.info("click refused", extra={"event": "click.refused", "fields": {"reason": refusal.value}})
        self._later(self._service.tell(str(body.get("response_url") or ""), refusal, ref=read_ref(body)))

    async def _show_home(self, slack_id: str) -> None:
        unanswered, answered = await self._service.questions_of(slack_id)
        await self._views.publish_home(slack_id, unanswered, answered)

    async def _counted(self, work: Coroutine[Any, Any, Any]) -> Any:
        self._clicks += 1
        try:
            return await work
        finally:
            self._clicks -= 1

    def _later(self, work: Coroutine[Any, Any, None], question: Question | None = None) -> None:
        task = asyncio.create_task(_logged(work, question))
        self._after.add(task)
        task.add_done_callback(self._after.discard)


async def _logged(work: Coroutine[Any, Any, None], question: Question | None) -> None:
    fields = {"identifier": question.request.identifier} if question else {}
    try:
        await work
    except TriageBotError as error:
        log.warning("after a click: %s", error, extra={"event": "click.unfinished", "fields": fields})
    except Exception:
        # What is stored stays; the sweeper redraws what was not.
        log.exception("after a click", extra={"event": "click.unfinished", "fields": fields})
