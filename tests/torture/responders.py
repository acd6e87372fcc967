"""The security team: it takes alerts, hands them over and releases them; and some try who may not."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from random import Random
from typing import Any, Final

from bot.sandbox.fake_slack import Message, SlackStandIn

from .alerts import Alert
from .click_retries import TRIES, wait_after
from .history import CardAction, History
from .messages import block_of, identifier_of
from .windows import see_window, send_window

#: How many cards lead to somebody taking the alert, or handing it over at once; and what comes then.
_HANDLED: Final = 0.3
_GOES_ON: Final = 0.5

#: How many cards somebody tries to act on who may not.
_INTRUDED: Final = 0.2

#: How often somebody chooses a receiver, if Slack does not say in time who that is.
_CHOICES: Final = 10

#: The `action_id` of each kind of action.
_ACTIONS: Final = {"take": "take-it", "hand over": "hand-over", "release": "release"}


class Responders:
    """Acts on the first card of each alert. `desks` are the windows of people, one a person at a time."""

    def __init__(
        self, slack: SlackStandIn, history: History, *, seed: int, desks: defaultdict[str, asyncio.Lock]
    ) -> None:
        self._slack = slack
        self._history = history
        self._seed = seed
        self._desks = desks
        self._seen: set[str] = set()

    async def act(self, card: Message, alert: Alert, question: Message | None) -> None:
        """Do what the security team does about an alert, and let somebody meddle."""
        identifier = identifier_of(card)
        if identifier in self._seen:
            return
        self._seen.add(identifier)
        random = Random(f"{self._seed} {identifier} handled")
        members = self.members(card, alert)
        user = random.choice(members)
        async with asyncio.TaskGroup() as group:
            if random.random() < _HANDLED:
                group.create_task(self._handle(card, alert, user, random))
            if random.random() < _INTRUDED:
                others = [each for each in members if each != user]
                group.create_task(self._intrude(card, alert, question, random.choice(others), random))

    def members(self, card: Message, alert: Alert) -> list[str]:
        """Return who may act on a card, and was not asked."""
        channel = self._slack.workspace.conversation(card.channel)
        assert channel is not None
        return [each for each in channel.members if each != alert.person]

    async def _handle(self, card: Message, alert: Alert, user: str, random: Random) -> None:
        await asyncio.sleep(random.uniform(0, 2))
        kinds = ["take"] if random.random() < _GOES_ON else ["hand over"]
        while random.random() < _GOES_ON:
            kinds.append(random.choice(("hand over", "release")) if kinds[-1] != "release" else "take")
        for kind in kinds:
            action = CardAction(identifier=alert.identifier, kind=kind, by=user)
            if kind == "hand over":
                known = [each.id for each in self._slack.workspace.people if not each.deleted]
                action.to = random.choice([each for each in known if each != alert.person])
                await self._hand_over(card, action)
            else:
                self._history.card_actions.append(action)
                await self._press(card, action)
            if not action.acknowledged:
                return  # nobody knows whether it was done
            await asyncio.sleep(random.uniform(0, 2))

    async def _press(self, card: Message, action: CardAction) -> None:
        """Press until Slack shows no warning, whatever the card shows meanwhile."""
        for tries in range(1, TRIES + 1):
            click = await self._click(card, action.by, _ACTIONS[action.kind])
            action.acknowledged = click.acknowledged
            if action.acknowledged:
                return
            await asyncio.sleep(wait_after(tries))

    async def _hand_over(self, card: Message, action: CardAction) -> None:
        """Choose a receiver in the window, if that opens."""
        async with self._desks[action.by]:
            for tries in range(1, _CHOICES + 1):
                await self._click(card, action.by, _ACTIONS[action.kind])
                value = _value_of(card)
                view = await see_window(self._slack, action.by, value) if value else None
                if view is not None:
                    self._history.card_actions.append(action)
                    await self._choose(view, action)
                    return
                await asyncio.sleep(wait_after(tries))

    async def _choose(self, view: dict[str, Any], action: CardAction) -> None:
        values = {"receiver": {"who": {"type": "users_select", "selected_user": action.to}}}
        action.acknowledged = await send_window(self._slack, action.by, view, values, despite_errors=True)

    async def _intrude(
        self, card: Message, alert: Alert, question: Message | None, member: str, random: Random
    ) -> None:
        await asyncio.sleep(random.uniform(0, 3))
        on_card = {"channel": card.channel, "ts": card.ts, "value": _value_of(card)}
        ways: list[dict[str, Any]] = [{**on_card, "user": member, "team": "T0ELSEWHERE"}]
        if alert.person:
            ways.append({**on_card, "user": alert.person})
        if question is not None:
            place = {"channel": question.channel, "ts": question.ts}
            ways.append({**place, "user": alert.person, "value": _ref_of(question)})
            ways.append({**place, "user": alert.person, "value": _value_of(card)})
            ways.append({**on_card, "user": member, "value": _ref_of(question)})
        way, kind = random.choice(ways), random.choice(("take", "release"))
        at = self._slack.clock().timestamp()
        action = CardAction(identifier=alert.identifier, kind=kind, by=way["user"], honest=False, at=at)
        self._history.card_actions.append(action)
        click = await self._slack.click(action_id=_ACTIONS[kind], **way)
        action.acknowledged = click.acknowledged

    async def _click(self, card: Message, user: str, action_id: str) -> Any:
        shown = self._slack.workspace.message(card.channel, card.ts) or card
        place: Any = {"user": user, "channel": card.channel, "ts": card.ts, "value": _value_of(shown)}
        return await self._slack.click(action_id=action_id, **place)


def _value_of(card: Message) -> str:
    """Return what the buttons of a card carry."""
    elements = block_of(card, "take").get("elements") or [{}]
    return str(elements[0].get("value", ""))


def _ref_of(question: Message) -> str:
    return str((question.metadata or {}).get("event_payload", {}).get("ref", ""))
