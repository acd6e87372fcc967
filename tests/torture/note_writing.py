"""People who have something to add to their answer: they open the window for a note, write, and send it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any, Final

from bot.sandbox.fake_slack import Message, SlackStandIn

from .alerts import Alert
from .click_retries import TRIES, wait_after
from .history import History, Note
from .messages import block_of
from .windows import see_window

#: What every note says.
NOTE_WORDS: Final = "I was in a meeting"


class NoteWriter:
    """Writes notes as people do, one window a person at a time."""

    def __init__(self, slack: SlackStandIn, history: History, desks: defaultdict[str, asyncio.Lock]) -> None:
        self._slack = slack
        self._history = history
        self._desks = desks

    async def write(self, alert: Alert, question: Message) -> None:
        """Add a note to the answer, if its message offers that and the window opens."""
        async with self._desks[alert.person]:
            view = await self._open(alert, question)
            if view is not None:
                await self._send(alert, view)

    async def _open(self, alert: Alert, question: Message) -> dict[str, Any] | None:
        for tries in range(1, TRIES + 1):
            await asyncio.sleep(wait_after(tries))
            shown = self._slack.workspace.message(question.channel, question.ts)
            if shown is None or not block_of(shown, "note"):  # not yet, or never
                continue
            await self._slack.click(
                user=alert.person, channel=question.channel, ts=question.ts, action_id="note"
            )
            view = await see_window(self._slack, alert.person, alert.key)
            if view is not None:
                return view
        return None

    async def _send(self, alert: Alert, view: dict[str, Any]) -> None:
        note = Note(identifier=alert.identifier, text=f"{NOTE_WORDS} with {alert.identifier}.")
        self._history.notes.append(note)
        values = {"note": {"text": {"type": "plain_text_input", "value": note.text}}}
        for tries in range(1, TRIES + 1):
            note.tries += 1
            try:
                click = await self._slack.submit_view(user=alert.person, view_id=view["id"], values=values)
            except LookupError:  # a window that was asked for before came late, and took this one's place
                return
            note.acknowledged = click.acknowledged and not click.errors
            if click.acknowledged:
                return
            await asyncio.sleep(wait_after(tries))
