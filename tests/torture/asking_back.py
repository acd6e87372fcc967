"""Follow-up questions and the replies to them: each written in a window, and sent until it is accepted."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from random import Random
from typing import Any, Final

from bot.sandbox.fake_slack import Message, SlackStandIn

from .alerts import Alert
from .click_retries import TRIES, wait_after
from .history import Exchange, History
from .messages import INQUIRY_EVENT, block_of, ref_of
from .windows import see_window, send_window

#: About how many alerts somebody asks something, how many questions get a reply, and how many a meddler's.
_ASKED: Final = 0.6
_REPLIED: Final = 0.8
_MEDDLED: Final = 0.3

#: What every question and every reply says: no other text has these words.
INQUIRY_WORDS: Final = "Which laptop was it"
REPLY_WORDS: Final = "It was the blue one"


class Interview:
    """Asks and replies. `desks` are the windows of people, one a person at a time."""

    def __init__(
        self, slack: SlackStandIn, history: History, *, seed: int, desks: defaultdict[str, asyncio.Lock]
    ) -> None:
        self._slack = slack
        self._history = history
        self._seed = seed
        self._desks = desks
        self._seen: set[str] = set()

    async def ask(self, card: Message, alert: Alert, members: list[str]) -> None:
        """Ask a follow-up question about an alert, once or twice, from its first card."""
        random = Random(f"{self._seed} {alert.identifier} asked back")
        if alert.identifier in self._seen or random.random() > _ASKED:
            return
        self._seen.add(alert.identifier)
        for number in range(random.randint(1, 2)):
            await asyncio.sleep(random.uniform(0, 2))
            asked = Exchange(
                identifier=alert.identifier, text=f"{INQUIRY_WORDS}, {alert.identifier} {number}?"
            )
            await self._write(asked, self._history.inquiries, random.choice(members), card, "ask", "take")

    async def reply(self, message: Message, alert: Alert) -> None:
        """Reply as the person, and try to as somebody else."""
        ref = ref_of(message, event=INQUIRY_EVENT)
        random = Random(f"{self._seed} {ref} replied")
        if ref in self._seen:
            return
        self._seen.add(ref)
        if random.random() < _MEDDLED:
            others = [each.id for each in self._slack.workspace.people if each.id != alert.person]
            place: Any = {"channel": message.channel, "ts": message.ts}
            await self._slack.click(action_id="reply", user=random.choice(others), **place)
        if random.random() < _REPLIED:
            await asyncio.sleep(random.uniform(0, 2))
            reply = Exchange(identifier=alert.identifier, text=f"{REPLY_WORDS}, {ref[-6:]}.")
            await self._write(reply, self._history.replies, alert.person, message, "reply", "reply")

    async def _write(  # noqa: PLR0913, PLR0917 - what, into which list, by whom, and where
        self, said: Exchange, told: list[Exchange], user: str, message: Message, action_id: str, block: str
    ) -> None:
        """Press the button until the window opens, and send it until it is taken."""
        for tries in range(1, TRIES + 1):
            async with self._desks[user]:
                view = await self._open(user, message, action_id, block)
                if view is not None:
                    told.append(said)
                    await self._send(said, user, view)
                    return
            await asyncio.sleep(wait_after(tries))

    async def _open(self, user: str, message: Message, action_id: str, block: str) -> dict[str, Any] | None:
        """Press the button once, if the message has it; return the window, if that opens."""
        shown = self._slack.workspace.message(message.channel, message.ts) or message
        buttons = {each.get("action_id"): each for each in block_of(shown, block).get("elements", [])}
        if action_id not in buttons:
            return None
        value = str(buttons[action_id].get("value"))
        place: Any = {"channel": message.channel, "ts": message.ts, "value": value}
        await self._slack.click(action_id=action_id, user=user, **place)
        view = await see_window(self._slack, user, value)
        return view if view is not None and view["callback_id"] in ("ask-back", "reply") else None

    async def _send(self, said: Exchange, user: str, view: dict[str, Any]) -> None:
        values = {"note": {"text": {"type": "plain_text_input", "value": said.text}}}
        said.acknowledged = await send_window(self._slack, user, view, values)
