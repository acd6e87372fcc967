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

#: What every note says.
NOTE_WORDS: Final = "I was in a meeting"

#: Seconds of ours for which somebody looks whether the window is there, and between two looks.
_SEEN_WITHIN: Final = 0.4
_LOOK: Final = 0.05


class NoteWriter:
    """Writes notes as people do, one window a person at a time."""

    def __init__(self, slack: SlackStandIn, history: History) -> None:
        self._slack = slack
        self._history = history
        self._desks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

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
            view = await self._see(alert)
            if view is not None:
                return view
        return None

    async def _see(self, alert: Alert) -> dict[str, Any] | None:
        """Wait a moment for the window, and for no other alert's."""
        for _ in range(int(_SEEN_WITHIN / _LOOK)):
            view = self._slack.workspace.modals.seen_by(alert.person)
            if view is not None and view["private_metadata"].startswith(alert.key):
                return view
            await asyncio.sleep(_LOOK)
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
