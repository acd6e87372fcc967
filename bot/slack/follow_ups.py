"""What follows a click, once it is judged. Whatever fails of it is told to whoever clicked.

They are told by the click's response_url where there is one, and in their Home by a line on top of it. Where
neither works it is logged and counted: nobody gets a message that they did not ask for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from functools import partial
from typing import Any

from bot.errors import PermanentError, StoreError, TriageBotError, UnknownErrorCode
from bot.slack.home_and_modals import SlackViews
from bot.slack.payloads import Clicker
from bot.triage.answer_rules import Notice, Refusal, Unfinished
from bot.triage.log_events import log_event
from bot.triage.model import Question
from bot.triage.service import TriageService

log = logging.getLogger(__name__)

#: Failures of a Home that lie in what it shows: another one may be taken. After all others it may still come.
_OF_ITS_CONTENT = (PermanentError, StoreError, UnknownErrorCode)


class FollowUps:
    """Does what follows a click, each in a task of its own: the click is acknowledged meanwhile."""

    def __init__(self, service: TriageService, views: SlackViews) -> None:
        self._service = service
        self._views = views
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def under_way(self) -> int:
        """How many there are."""
        return len(self._tasks)

    def follow_answer(self, question: Question, clicker: Clicker) -> None:
        """Show that an answer was taken, and ask for a note where the alert's policy wants one."""
        self._begin(self._show_answer(question, clicker))

    def follow_note(self, question: Question, clicker: Clicker) -> None:
        """Show that a note was taken."""
        self._begin(self._show(question, clicker))

    def open_note_window(self, question: Question, clicker: Clicker) -> None:
        """Open the window for a note."""
        self._begin(self._open_note(question, clicker))

    def tell_refusal(self, refusal: Refusal, clicker: Clicker) -> None:
        """Say why a click changed nothing."""
        if refusal is Refusal.CLOSED:  # the service, which logs all others, does not know the alert
            log_event(log.info, "click.refused", reason=refusal.value)
        self._begin(self._tell(refusal, clicker))

    def show_home(self, clicker: Clicker) -> None:
        """Show a person their Home."""
        self._begin(self._show_home(clicker))

    async def _show_answer(self, question: Question, clicker: Clicker) -> None:
        wanted = [self._redraw(question, clicker)]
        if self._views.requires_note(question):  # its window can be opened for three seconds after the click
            wanted.insert(0, self._try_open_note(question, clicker))
        work = asyncio.gather(*wanted)
        if clicker.in_home:
            await self._show_home(clicker)
        failed = [each for each in await work if each is not None]
        for each in failed[:1] if clicker.in_home else failed:  # a Home has room for one line
            await self._tell(each, clicker)

    async def _show(self, question: Question, clicker: Clicker) -> None:
        failed = await self._redraw(question, clicker)
        if failed is not None:
            await self._tell(failed, clicker)

    async def _open_note(self, question: Question, clicker: Clicker) -> None:
        failed = await self._try_open_note(question, clicker)
        if failed is not None:
            await self._tell(failed, clicker)

    async def _redraw(self, question: Question, clicker: Clicker) -> Unfinished | None:
        """Make the message show what is stored; what could not be drawn now, the sweeper makes up for."""
        try:
            is_shown = await self._service.redraw(question, response_url=clicker.response_url)
        except Exception as error:  # noqa: BLE001 - one click's follow-up
            _log_failure(error, question)
            is_shown = False
        return None if is_shown else Unfinished.MESSAGE

    async def _try_open_note(self, question: Question, clicker: Clicker) -> Unfinished | None:
        try:
            await self._views.open_note(clicker.trigger_id, question)
        except Exception as error:  # noqa: BLE001 - one click's follow-up
            _log_failure(error, question)
            return Unfinished.WINDOW
        return None

    async def _tell(self, notice: Notice, clicker: Clicker) -> None:
        if clicker.in_home:
            await self._show_home(clicker, notice)
        else:
            await self._service.tell(clicker.response_url, notice, ref=clicker.ref)

    async def _show_home(self, clicker: Clicker, notice: Notice | None = None) -> None:
        """Show a person their Home, with a line on top of it if there is something to be told."""
        try:
            unanswered, answered = await self._service.questions_of(clicker.slack_id)
            await self._views.publish_home(clicker.slack_id, unanswered, answered, notice=notice)
        except Exception as error:  # noqa: BLE001 - one click's follow-up
            _log_failure(error)
            if not (isinstance(error, _OF_ITS_CONTENT) and await self._show_notices(clicker, notice)):
                await self._service.note_untold(notice or Unfinished.HOME, error, ref=clicker.ref)

    async def _show_notices(self, clicker: Clicker, notice: Notice | None) -> bool:
        """Show a Home that has nothing but lines: this notice, and that there should be more."""
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
    """Log what failed after a click; an error of ours in one line. What is stored stays."""
    fields = {"identifier": question.request.identifier} if question else {}
    trace = None if isinstance(error, TriageBotError) else error
    log_event(partial(log.warning, exc_info=trace), "follow_up.failed", "after a click: %s", error, **fields)
