"""The people of the workspace: they answer, twice, late, differently from before, or never; and some forge.

Some answer only when they are reminded, or around their deadline; some write a note.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import defaultdict
from collections.abc import Coroutine, Mapping
from random import Random
from typing import Any, Final

from bot.sandbox.fake_slack import Message, SlackStandIn

from .alerts import Alert
from .asking_back import Interview
from .click_retries import TRIES, wait_after
from .history import History, Press
from .messages import INQUIRY_EVENT, identifier_of, is_card, key_of, ref_of, reminded_key, text_of
from .note_writing import NoteWriter
from .orders import EXPIRE_AFTER_SECONDS
from .responders import Responders

#: What people are like: habit → how many of a hundred have it.
_HABITS: Final = {
    "at once": 24,
    "soon": 16,
    "twice": 10,
    "late": 8,
    "changing": 14,
    "reminded": 8,  # waits for the first reminder
    "last minute": 5,  # answers in the moment of the deadline, a little before it or after
    "overdue": 5,  # sees that the time is over
    "never": 10,
}

#: How much longer than the time to answer somebody waits for a sign, who may never get one: the worker may
#: not know in time that it asked. In seconds of ours.
_SIGN_WAIT: Final = 4.0

#: How many add a note to an answer that asks for one.
_NOTED: Final = 0.3
_NOTABLE: Final = frozenset({"no", "notSure"})

#: How many press *yes* again and again where it needs a proof, how often, and after how many seconds of the
#: torture's time.
_STUBBORN: Final = 0.4
_AGAIN: Final = (1, 7)
_AGAIN_AFTER: Final = (5.0, 150.0)

#: The code that a message shows, to be compared with that of the device.
_CODE: Final = re.compile(r"shows the code \W?([A-Z2-9]{6})\b")

#: How many questions somebody tries to answer who may not.
_FORGED: Final = 0.15


class Crowd:
    """Reads every message, and acts on each question and card once."""

    def __init__(self, slack: SlackStandIn, history: History, *, seed: int, pace: float) -> None:
        self._slack = slack
        self._pace = pace
        self._time = EXPIRE_AFTER_SECONDS / pace  #: to answer without being late, in seconds of ours
        self._history = history
        self._seed = seed
        self._alerts: Mapping[str, Alert] = {alert.key: alert for alert in history.alerts}
        self._identified = {alert.identifier: alert for alert in history.alerts}
        self._questions: dict[str, Message] = {}
        self._busy: set[asyncio.Task[None]] = set()
        self._hurry = asyncio.Event()
        self._signs: defaultdict[tuple[str, str], asyncio.Event] = defaultdict(asyncio.Event)
        desks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._notes = NoteWriter(slack, history, desks)
        self._interview = Interview(slack, history, seed=seed, desks=desks)
        self._team = Responders(slack, history, seed=seed, desks=desks)

    async def run(self) -> None:
        """Watch the workspace. Never returns."""
        changes = self._slack.workspace.subscribe()
        while True:
            change = await changes.get()
            if change.message is None:
                continue
            if change.kind == "message_posted":
                self._notice(change.message)
                self._notice_card(change.message)
                self._notice_inquiry(change.message)
            self._read_signs(change.message)

    def hurry(self) -> None:
        """From now on, nobody puts off an answer."""
        self._hurry.set()

    @property
    def is_busy(self) -> bool:
        """Whether somebody still wants to press something."""
        return bool(self._busy)

    def _notice(self, message: Message) -> None:
        key = key_of(message)
        if key not in self._alerts or key in self._questions:
            return
        self._questions[key] = message
        alert = self._alerts[key]
        random = Random(f"{self._seed} {alert.identifier}")
        self._start(self._respond(alert, message, random))
        if random.random() < _FORGED:
            self._start(self._forge(alert, message, random))

    def _notice_card(self, message: Message) -> None:
        if is_card(message):
            alert = self._identified[identifier_of(message)]
            self._start(self._team.act(message, alert, self._questions.get(alert.key)))
            self._start(self._interview.ask(message, alert, self._team.members(message, alert)))

    def _notice_inquiry(self, message: Message) -> None:
        if key := key_of(message, event=INQUIRY_EVENT):
            self._start(self._interview.reply(message, self._alerts[key]))

    def _read_signs(self, message: Message) -> None:
        """Notify those who wait for a reminder, or for the message that their time is over."""
        if reminded_key(message):
            self._signs[reminded_key(message), "reminded"].set()
        elif key_of(message) and text_of(message, "answer"):
            self._signs[key_of(message), "overdue"].set()
        if code := _CODE.search(text_of(message, "proof")):
            self._history.codes[code[1]] = self._alerts[key_of(message)].identifier

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)

    async def _respond(self, alert: Alert, message: Message, random: Random) -> None:
        habit = random.choices(list(_HABITS), weights=list(_HABITS.values()))[0]
        is_factored = alert.identifier in self._history.factored
        choice = random.choice(("yes", "yes", *alert.choices) if is_factored else alert.choices)
        if habit == "never":
            return
        await self._bide(habit, alert, random)
        if habit == "twice":
            self._start(self._insist(alert, message, choice))
        await self._insist(alert, message, choice)
        if habit == "changing":
            for _ in range(random.randint(1, 2)):
                await self._wait(random.uniform(0, 3))
                choice = random.choice(alert.choices)
                await self._insist(alert, message, choice)
        if is_factored and random.random() < _STUBBORN:
            for _ in range(random.randint(*_AGAIN)):
                await self._wait(random.uniform(*_AGAIN_AFTER) / self._pace)
                await self._insist(alert, message, "yes")
        if random.random() < _NOTED and choice in _NOTABLE:
            await self._notes.write(alert, message)

    async def _bide(self, habit: str, alert: Alert, random: Random) -> None:
        """Wait until somebody of this habit answers."""
        if habit == "last minute":
            await asyncio.sleep(self._time + random.uniform(-0.3, 0.3))
        elif habit in ("reminded", "overdue"):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._signs[alert.key, habit].wait(), self._time + _SIGN_WAIT)
            await self._wait(random.uniform(0, 2))
        else:
            await self._wait({"at once": 0.0, "late": random.uniform(5, 40)}.get(habit, random.uniform(0, 2)))

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), seconds)

    async def _insist(self, alert: Alert, message: Message, choice: str) -> None:
        """Press until Slack shows no warning any more, as people do."""
        for tries in range(1, TRIES + 1):
            press = self._record(alert, choice, honest=True)
            await self._press(press, user=alert.person, channel=message.channel, ts=message.ts)
            if press.acknowledged:
                return
            await asyncio.sleep(wait_after(tries))

    async def _forge(self, alert: Alert, message: Message, random: Random) -> None:
        await asyncio.sleep(random.choice([0.0, random.uniform(0, 3)]))
        choice = random.choice(("yes", "no", "notSure", "wrongUser"))
        forgery = random.choice([self._by_another, self._by_reference, self._elsewhere, self._by_guess])
        if choice not in alert.choices:
            forgery = self._unoffered
        press = {"user": alert.person, "channel": message.channel, "ts": message.ts}
        await self._press(self._record(alert, choice, honest=False), **forgery(press, message, random))

    def _by_another(self, press: dict[str, str], _: Message, random: Random) -> dict[str, str]:
        """Let somebody else press."""
        return {**press, "user": self._somebody_but(press["user"], random)}

    def _by_reference(self, press: dict[str, str], message: Message, random: Random) -> dict[str, str]:
        """Press as somebody in their own conversation, with the reference of this question."""
        others = [each for each in self._questions.values() if each.channel != message.channel]
        if not others:
            return self._by_another(press, message, random)
        own = random.choice(others)
        user = self._slack.workspace.conversation(own.channel)
        assert user is not None
        assert user.person is not None
        return {"user": user.person, "channel": own.channel, "ts": own.ts, "value": ref_of(message)}

    def _elsewhere(self, press: dict[str, str], _: Message, __: Random) -> dict[str, str]:
        """Send the press from another workspace."""
        return {**press, "team": "T0ELSEWHERE"}

    def _unoffered(self, press: dict[str, str], _: Message, __: Random) -> dict[str, str]:
        """Press a button that the question has not."""
        return press

    def _by_guess(self, press: dict[str, str], message: Message, _: Random) -> dict[str, str]:
        """Guess the secret part of the reference, and miss."""
        return {**press, "value": f"{ref_of(message).partition('.')[0]}.{'0' * 32}"}

    def _somebody_but(self, user: str, random: Random) -> str:
        return random.choice([each.id for each in self._slack.workspace.people if each.id != user])

    def _record(self, alert: Alert, choice: str, *, honest: bool) -> Press:
        number = len(self._history.presses)
        began = self._slack.clock().timestamp()
        press = Press(
            number=number, identifier=alert.identifier, choice=choice, honest=honest, began_at=began
        )
        self._history.presses.append(press)
        return press

    async def _press(self, press: Press, **place: Any) -> None:
        click = await self._slack.click(action_id=f"answer-{press.choice}", **place)
        press.acknowledged, press.ended_at = click.acknowledged, self._slack.clock().timestamp()
