"""What follows a click once it is handled. If any of it fails, the clicker is told.

They are told over the click's response_url if it has one, or by a line at the top of their Home. If neither
works, that is logged and counted: nobody gets an unsolicited message.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Coroutine
from functools import partial
from typing import Any

from bot.errors import PermanentError, StoreError, TriageBotError, UnknownErrorCode
from bot.slack.home_and_modals import SlackViews
from bot.slack.payloads import Clicker
from bot.triage.answer_rules import Notice, Refusal, Unfinished
from bot.triage.assignments import CardClick
from bot.triage.inquiry import Inquiry
from bot.triage.log_events import log_event
from bot.triage.model import Question
from bot.triage.service import TriageService

log = logging.getLogger(__name__)

#: Errors caused by the content of a Home: a simpler one may be accepted. After others it may still appear.
_OF_ITS_CONTENT = (PermanentError, StoreError, UnknownErrorCode)


class FollowUps:
    """Does what follows a click in tasks of its own, so that the click is acknowledged meanwhile."""

    def __init__(self, service: TriageService, views: SlackViews) -> None:
        self._service = service
        self._views = views
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def under_way(self) -> int:
        """How many follow-ups are unfinished."""
        return len(self._tasks)

    def follow_answer(self, question: Question, clicker: Clicker) -> None:
        """Show the answer, and open the window for a note if the alert's policy requires one."""
        if clicker.in_home or self._views.requires_note(question):
            self._begin(self._show_answer(question, clicker))
        else:  # by one task: an answer is mostly this
            self._begin(self._tell_failure(self._redraw(question, clicker), clicker))

    def follow_note(self, question: Question, clicker: Clicker) -> None:
        """Show that a note was stored."""
        self._begin(self._tell_failure(self._redraw(question, clicker), clicker))

    def open_note_window(self, question: Question, clicker: Clicker) -> None:
        """Open the window for a note."""
        self._begin(self._tell_failure(self._open_note(question, clicker), clicker))

    def open_hand_over_window(self, click: CardClick, clicker: Clicker) -> None:
        """Open the window for a hand-over."""
        opening = self._views.open_hand_over(clicker.trigger_id, click)
        self._begin(self._tell_failure(self._open(opening, Unfinished.CARD_WINDOW), clicker))

    def open_ask_window(self, click: CardClick, clicker: Clicker) -> None:
        """Open the window in which somebody asks the person something."""
        opening = self._views.open_ask_back(clicker.trigger_id, click)
        self._begin(self._tell_failure(self._open(opening, Unfinished.CARD_WINDOW), clicker))

    def open_reply_window(self, inquiry: Inquiry, clicker: Clicker) -> None:
        """Open the window for a reply."""
        opening = self._views.open_reply(clicker.trigger_id, inquiry)
        self._begin(self._tell_failure(self._open(opening, Unfinished.REPLY_WINDOW), clicker))

    def tell_refusal(self, refusal: Refusal, clicker: Clicker) -> None:
        """Say why a click changed nothing."""
        if refusal is Refusal.CLOSED:  # the service logs all others, but does not know this alert
            log_event(log.info, "click.refused", reason=refusal.value)
        self._begin(self._tell(refusal, clicker))

    def show_home(self, clicker: Clicker) -> None:
        """Show a person their Home."""
        self._begin(self._show_home(clicker))

    async def _show_answer(self, question: Question, clicker: Clicker) -> None:
        wanted = [self._redraw(question, clicker)]
        if self._views.requires_note(question):  # its window can be opened for three seconds after the click
            wanted.insert(0, self._open_note(question, clicker))
        work = asyncio.gather(*wanted)
        if clicker.in_home:
            await self._show_home(clicker)
        failed = [each for each in await work if each is not None]
        for each in failed[:1] if clicker.in_home else failed:  # a Home has room for one line
            await self._tell(each, clicker)

    async def _tell_failure(self, work: Awaitable[Unfinished | None], clicker: Clicker) -> None:
        failed = await work
        if failed is not None:
            await self._tell(failed, clicker)

    async def _redraw(self, question: Question, clicker: Clicker) -> Unfinished | None:
        """Draw the message as stored. If that fails, the sweeper tries again later."""
        try:
            is_shown = await self._service.redraw(question, response_url=clicker.response_url)
        except Exception as error:  # noqa: BLE001 - one click's follow-up
            _log_failure(error, question)
            is_shown = False
        return None if is_shown else Unfinished.MESSAGE

    async def _open_note(self, question: Question, clicker: Clicker) -> Unfinished | None:
        try:
            await self._views.open_note(clicker.trigger_id, question)
        except Exception as error:  # noqa: BLE001 - one click's follow-up
            _log_failure(error, question)
            return Unfinished.WINDOW
        return None

    async def _open(self, opening: Awaitable[None], failed: Unfinished) -> Unfinished | None:
        """Open a window; return what the clicker is told if that fails."""
        try:
            await opening
        except Exception as error:  # noqa: BLE001 - one click's follow-up
            _log_failure(error)
            return failed
        return None

    async def _tell(self, notice: Notice, clicker: Clicker) -> None:
        if clicker.in_home:
            await self._show_home(clicker, notice)
        else:
            await self._service.tell(clicker.response_url, notice, ref=clicker.ref)

    async def _show_home(self, clicker: Clicker, notice: Notice | None = None) -> None:
        """Show a person their Home, with the notice at the top if there is one."""
        try:
            listed = await self._service.questions_of(clicker.slack_id)
            await self._views.publish_home(clicker.slack_id, listed, notice=notice)
        except Exception as error:  # noqa: BLE001 - one click's follow-up
            _log_failure(error)
            if not (isinstance(error, _OF_ITS_CONTENT) and await self._show_notices(clicker, notice)):
                await self._service.note_untold(notice or Unfinished.HOME, error, ref=clicker.ref)

    async def _show_notices(self, clicker: Clicker, notice: Notice | None) -> bool:
        """Show a Home with only this notice, and a line saying that the rest failed; return whether it
        appeared.
        """
        lines = [each for each in (notice, Unfinished.HOME) if each is not None]
        try:
            await self._views.publish_notices(clicker.slack_id, lines)
        except TriageBotError as error:
            _log_failure(error)
            return False
        return True

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(_run_guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _run_guarded(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception as error:  # noqa: BLE001 - one click's follow-up
        _log_failure(error)


def _log_failure(error: Exception, question: Question | None = None) -> None:
    """Log what failed after a click, with a traceback unless the error is one of ours."""
    fields = {"identifier": question.request.identifier} if question else {}
    trace = None if isinstance(error, TriageBotError) else error
    log_event(partial(log.warning, exc_info=trace), "follow_up.failed", "after a click: %s", error, **fields)
