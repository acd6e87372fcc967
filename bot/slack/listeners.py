"""Handles each payload that Slack sends over a link. One listener serves all answer buttons.

Order: store durably, then acknowledge, then redraw. Bolt acknowledges when a listener has ended without an
error (process_before_response), so a click that could not be stored is not acknowledged: Slack tells the
person, who can click again.
"""

from __future__ import annotations

import asyncio
import logging
import re
import traceback
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.error import BoltUnhandledRequestError
from slack_bolt.response import BoltResponse

from bot.clock import Clock
from bot.errors import TriageBotError
from bot.slack.follow_ups import FollowUps
from bot.slack.home_and_modals import SlackViews
from bot.slack.identity import Identity
from bot.slack.input_cleaning import read_text
from bot.slack.payloads import (
    Clicker,
    describe_payload,
    read_answer,
    read_card_click,
    read_card_window,
    read_clicker,
    read_note,
    read_receiver,
    read_ref,
    read_reply,
    read_reply_click,
    read_said,
)
from bot.slack.render.burst import TAKE_ALL_ACTION
from bot.slack.render.card import ASK_ACTION, HAND_OVER_ACTION, RELEASE_ACTION, TAKE_ACTION
from bot.slack.render.inquiry import ASK_BACK_VIEW, REPLY_VIEW
from bot.slack.render.marks import ACTION_PREFIX, REPLY_ACTION
from bot.slack.render.modals import HAND_OVER_VIEW, NOTE_BLOCK, NOTE_VIEW, RECEIVER_BLOCK
from bot.slack.render.question import NOTE_ACTION
from bot.triage.answer_rules import Refusal
from bot.triage.assignments import CardClick
from bot.triage.log_events import log_event
from bot.triage.model import Question
from bot.triage.places import Places
from bot.triage.responders import Responders
from bot.triage.service import TriageService

Body = dict[str, Any]
T = TypeVar("T")

log = logging.getLogger(__name__)


class NotOurQuestionError(Exception):
    """A click on a question that another worker may know: it must not be acknowledged."""


class Listeners:
    """Handles clicks and notes, and acknowledges everything else."""

    def __init__(  # noqa: PLR0913 - it is where all kinds of clicks arrive
        self,
        service: TriageService,
        views: SlackViews,
        identity: Identity,
        *,
        responders: Responders,
        clock: Clock,
        is_app_shared: Callable[[], bool],
    ) -> None:
        self._service = service
        self._responders = responders
        self._views = views
        self._identity = identity
        self._clock = clock
        self._is_app_shared = is_app_shared
        self._follow_ups = FollowUps(service, views)
        self._clicks = 0

    def register(self, app: AsyncApp) -> None:
        """Register the listeners with the app."""
        app.action(re.compile(f"^{ACTION_PREFIX}"))(self.on_answer)
        app.action(NOTE_ACTION)(self.on_note_wanted)
        app.action(TAKE_ACTION)(self.on_take)
        app.action(TAKE_ALL_ACTION)(self.on_take_all)
        app.action(RELEASE_ACTION)(self.on_release)
        app.action(HAND_OVER_ACTION)(self.on_hand_over_wanted)
        app.action(ASK_ACTION)(self.on_ask_wanted)
        app.action(REPLY_ACTION)(self.on_reply_wanted)
        app.view(NOTE_VIEW)(self.on_note)
        app.view(ASK_BACK_VIEW)(self.on_ask)
        app.view(REPLY_VIEW)(self.on_reply)
        app.view(HAND_OVER_VIEW)(self.on_hand_over)
        app.event("app_home_opened")(self.on_home_opened)
        app.error(self.on_error)

    async def on_answer(self, ack: AsyncAck, body: Body) -> None:
        """Store the click on an answer button."""
        await self._track_click(self._answer(body))
        await ack()

    async def on_note_wanted(self, ack: AsyncAck, body: Body) -> None:
        """Open the window for a note. Who may write it is checked when it is submitted."""
        clicker = read_clicker(body)
        found = self._service.find_clicked(clicker.ref, clicker.slack_id, clicker.message_ref)
        question = await self._track_click(found)
        if question is None:
            self._follow_ups.tell_refusal(Refusal.CLOSED, clicker)
        else:
            self._follow_ups.open_note_window(question, clicker)
        await ack()

    async def on_note(self, ack: AsyncAck, body: Body) -> None:
        """Store a note. A refusal is shown in the window, so that the text written there is not lost."""
        note = self._understand(read_note(body, self._identity, self._clock()), body)
        result = await self._track_click(self._service.add_note(note)) if note else Refusal.CLOSED
        if isinstance(result, Refusal):
            await ack(response_action="errors", errors=self._views.errors_at(NOTE_BLOCK, result))
            return
        self._follow_ups.follow_note(result, read_clicker(body))
        await ack()

    async def on_take(self, ack: AsyncAck, body: Body) -> None:
        """Record who on the security team takes an alert."""
        await self._act(body, self._responders.take)
        await ack()

    async def on_take_all(self, ack: AsyncAck, body: Body) -> None:
        """Record who on the security team takes a whole burst."""
        await self._act(body, self._responders.take_burst)
        await ack()

    async def on_release(self, ack: AsyncAck, body: Body) -> None:
        """Record that nobody on the security team has an alert any more."""
        await self._act(body, self._responders.release)
        await ack()

    async def on_hand_over_wanted(self, ack: AsyncAck, body: Body) -> None:
        """Open the window for a hand-over, for somebody who may act on the alert."""
        click = await self._act(body, self._responders.find_carded)
        if click is not None:
            self._follow_ups.open_hand_over_window(click, read_clicker(body))
        await ack()

    async def on_hand_over(self, ack: AsyncAck, body: Body) -> None:
        """Record to whom an alert was handed over. A refusal is shown in the window."""
        click = self._understand(read_card_window(body, self._identity, self._clock()), body)
        handing = click and self._responders.hand_over(click, read_receiver(body))
        result = await self._track_click(handing) if handing else Refusal.CLOSED
        if isinstance(result, Refusal):
            await ack(response_action="errors", errors=self._views.errors_at(RECEIVER_BLOCK, result))
            return
        await ack()

    async def on_ask_wanted(self, ack: AsyncAck, body: Body) -> None:
        """Open the window for an inquiry, for somebody who may ask the person a question."""
        click = await self._act(body, self._responders.find_askable)
        if click is not None:
            self._follow_ups.open_ask_window(click, read_clicker(body))
        await ack()

    async def on_ask(self, ack: AsyncAck, body: Body) -> None:
        """Store an inquiry. A refusal is shown in the window."""
        click = self._understand(read_card_window(body, self._identity, self._clock()), body)
        asking = click and self._responders.ask_back(click, read_said(body))
        result = await self._track_click(asking) if asking else Refusal.CLOSED
        if isinstance(result, Refusal):
            await ack(response_action="errors", errors=self._views.errors_at(NOTE_BLOCK, result))
            return
        await ack()

    async def on_reply_wanted(self, ack: AsyncAck, body: Body) -> None:
        """Open the window for a reply, for the person who was asked."""
        click = self._understand(read_reply_click(body, self._identity, self._clock()), body)
        found = await self._track_click(self._service.find_inquiry(click)) if click else Refusal.LOST_INQUIRY
        if isinstance(found, Refusal):
            self._follow_ups.tell_refusal(found, read_clicker(body))
        else:
            self._follow_ups.open_reply_window(found, read_clicker(body))
        await ack()

    async def on_reply(self, ack: AsyncAck, body: Body) -> None:
        """Store a reply. A refusal is shown in the window, so that the text written there is not lost."""
        reply = self._understand(read_reply(body, self._identity, self._clock()), body)
        result = await self._track_click(self._service.reply(reply)) if reply else Refusal.LOST_INQUIRY
        if isinstance(result, Refusal):
            await ack(response_action="errors", errors=self._views.errors_at(NOTE_BLOCK, result))
            return
        await ack(response_action="update", view=self._views.thanks())

    async def on_home_opened(self, event: Body) -> None:
        """Show a person their Home."""
        slack_id = read_text(event.get("user"))
        if not slack_id:
            log_event(log.warning, "payload.ignored", "payload not understood", **describe_payload(event))
        elif event.get("tab", "home") == "home":
            self._follow_ups.show_home(Clicker(slack_id=slack_id, in_home=True))

    async def on_error(self, error: Exception, body: Body) -> BoltResponse | None:
        """Acknowledge a payload without a listener; leave all others that failed unacknowledged."""
        if isinstance(error, BoltUnhandledRequestError):
            log_event(log.info, "payload.ignored", "payload not expected", **describe_payload(body))
            return BoltResponse(status=200, body="")
        if not _is_from_our_code(error):
            kind, described = type(error).__name__, describe_payload(body)
            log_event(log.warning, "payload.unread", "payload not understood", **described, error=kind)
            return None
        trace = None if isinstance(error, TriageBotError | NotOurQuestionError) else error
        fields = {**describe_payload(body), **await self._service.identifier_field(read_ref(body))}
        log_event(partial(log.error, exc_info=trace), "click.failed", "click not stored: %s", error, **fields)
        return None

    async def drain(self) -> None:
        """Wait for the clicks in progress and their follow-ups."""
        while self._clicks or self._follow_ups.under_way:
            await asyncio.sleep(0.01)

    async def _answer(self, body: Body) -> None:
        answer = self._understand(read_answer(body, self._identity, self._clock()), body)
        if answer is None:
            self._follow_ups.tell_refusal(Refusal.NOT_OFFERED, read_clicker(body))
            return
        result = await self._service.answer(answer)
        if result is Refusal.CLOSED and self._is_app_shared():
            raise NotOurQuestionError("another worker may hold this question; stop it, or share the store")
        if isinstance(result, Refusal):
            self._follow_ups.tell_refusal(result, read_clicker(body))
        else:
            self._follow_ups.follow_answer(result, read_clicker(body))

    async def _act(
        self, body: Body, act: Callable[[CardClick], Coroutine[Any, Any, Question | Places | Refusal]]
    ) -> CardClick | None:
        """Do what a click on a card asks for; return it, or None if it is refused, with a reason."""
        click = self._understand(read_card_click(body, self._identity, self._clock()), body)
        result = await self._track_click(act(click)) if click else Refusal.CLOSED
        if isinstance(result, Refusal):
            self._follow_ups.tell_refusal(result, read_clicker(body))
            return None
        return click

    def _understand(self, read: T | None, body: Body) -> T | None:
        """Return what was read of a payload; log it if that is nothing."""
        if read is None:
            log_event(log.warning, "payload.ignored", "payload not understood", **describe_payload(body))
        return read

    async def _track_click(self, work: Coroutine[Any, Any, Any]) -> Any:
        self._clicks += 1
        try:
            return await work
        finally:
            self._clicks -= 1


def _is_from_our_code(error: Exception) -> bool:
    """Whether an error came from one of these listeners; otherwise Bolt could not handle the payload."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return any(frame.f_globals.get("__name__") == __name__ for frame in frames)
